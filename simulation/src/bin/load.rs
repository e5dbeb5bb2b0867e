//! Runs a scenario of much load within AWS's limits: see `--help`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use simulation::load::{self, scenario::Scenario};

/// Runs the functions under a load in virtual time, within AWS's limits, and reports what was reached, what was
/// throttled, and what it costs.
#[derive(Debug, Parser)]
#[command(name = "load", version)]
struct Arguments {
    /// The scenario. Without one, all are listed.
    scenario: Option<String>,
    /// Which fraction of the load to run, within this fraction of the limits
    #[arg(long)]
    fraction: Option<f64>,
    /// How many seconds of virtual time
    #[arg(long)]
    seconds: Option<u64>,
    /// Everything random follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Directory for the report (text and JSON) and the chart (SVG)
    #[arg(long, default_value = "target/load")]
    out: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let scenarios = Scenario::all()?;
    let Some(name) = arguments.scenario else {
        scenarios.iter().for_each(|scenario| println!("{:<16} {}", scenario.name, scenario.title));
        return Ok(ExitCode::SUCCESS);
    };
    let scenario = scenarios.into_iter().find(|scenario| scenario.name == name);
    let mut scenario = scenario.with_context(|| format!("there is no scenario {name}"))?;
    scenario.fraction = arguments.fraction.unwrap_or(scenario.fraction);
    scenario.seconds = arguments.seconds.unwrap_or(scenario.seconds);
    anyhow::ensure!(scenario.fraction > 0.0 && scenario.fraction <= 1.0, "a fraction is above 0 and at most 1");
    let report = load::run(scenario, arguments.seed)?;
    println!("{report}");
    std::fs::create_dir_all(&arguments.out)?;
    let file = |extension: &str| arguments.out.join(format!("{name}.{extension}"));
    std::fs::write(file("txt"), format!("{report}\n"))?;
    std::fs::write(file("json"), serde_json::to_vec_pretty(&report)?)?;
    std::fs::write(file("svg"), load::svg(&report))?;
    let met = report.verdicts.iter().all(|verdict| verdict.met);
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
