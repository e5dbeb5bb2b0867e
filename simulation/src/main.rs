//! Runs histories of the simulated world: see `--help`.

use std::{
    collections::BTreeSet,
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
};

use clap::Parser;
use simulation::{
    faults::Fault,
    history::{self, Options},
    runner::{Runner, Summary},
    trace::Detail,
};

/// Runs random histories of the whole system in virtual time, with faults, and checks the invariants of
/// ARCHITECTURE.md.
#[derive(Debug, Parser)]
#[command(name = "simulation", version)]
struct Arguments {
    /// How many histories to run, one for each seed.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Run only the history of this seed, and print what users do and see.
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// Print each call of an AWS service as well.
    #[arg(long, requires = "seed")]
    calls: bool,
    /// Commands in a history.
    #[arg(long, default_value_t = 100)]
    commands: usize,
    /// Kinds of faults to leave out, separated by commas.
    #[arg(long, value_delimiter = ',')]
    without: Vec<Fault>,
    /// Put AWS's limits in force, as for a small fraction of the design's load.
    #[arg(long)]
    aws_limits: bool,
    /// Histories at once; as many as there are processors by default.
    #[arg(long)]
    jobs: Option<usize>,
    /// How many failing histories to shorten.
    #[arg(long, default_value_t = 1)]
    shorten: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    // How the runner starts a process for one history.
    if let [_, command, seed, commands, limits, without @ ..] = arguments.as_slice()
        && command == "history"
    {
        let without = without.iter().map(|name| name.parse()).collect::<Result<_, String>>();
        let without = without.map_err(anyhow::Error::msg)?;
        let (seed, commands) = (seed.parse()?, commands.parse()?);
        let aws_limits = limits == "limited";
        let report = history::run(Options { seed, commands, without, aws_limits, detail: Detail::Nothing })?;
        serde_json::to_writer(std::io::stdout(), &report)?;
        return Ok(ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse();
    let without: BTreeSet<_> = arguments.without.iter().copied().collect();
    let aws_limits = arguments.aws_limits;
    let options = Options { seed: 0, commands: arguments.commands, without, aws_limits, detail: Detail::Nothing };
    match arguments.seed {
        Some(seed) => replay(Options { seed, ..options }, arguments.calls),
        None => many(&arguments, &options),
    }
}

/// One history, told as it happens.
fn replay(options: Options, calls: bool) -> anyhow::Result<ExitCode> {
    let detail = if calls { Detail::Calls } else { Detail::Users };
    let report = history::run(Options { detail, ..options })?;
    println!("hash {:016x}, {} calls, {} ms of virtual time", report.hash, report.calls, report.virtual_ms);
    for violation in &report.checks.violations {
        println!("VIOLATION {violation}");
    }
    Ok(if report.checks.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn many(arguments: &Arguments, options: &Options) -> anyhow::Result<ExitCode> {
    let mut runner = Runner::new(&std::env::current_exe()?);
    runner.jobs = arguments.jobs.unwrap_or(runner.jobs).max(1);
    let last = arguments.first.saturating_add(arguments.seeds);
    let is_terminal = std::io::stderr().is_terminal();
    let every = (arguments.seeds / 20).max(1);
    let failed = AtomicUsize::new(0);
    let summary = runner.many(arguments.first..last, options, |summary| {
        // What is wrong is told at once: there may be an hour to come.
        for report in &summary.failed[failed.swap(summary.failed.len(), Ordering::Relaxed)..] {
            let first = report.checks.violations.first().map_or("", String::as_str);
            eprintln!("seed {}: {first:.600}", report.seed);
        }
        if is_terminal || summary.histories.is_multiple_of(every) {
            let ending = if is_terminal { '\r' } else { '\n' };
            eprint!("{} histories, {} failed{ending}", summary.histories, summary.failed.len());
            std::io::stderr().flush().ok();
        }
    });
    print(&summary);
    for report in summary.failed.iter().take(arguments.shorten) {
        print!("{}", runner.tell_shortest(&Options { seed: report.seed, ..options.clone() })?);
    }
    let idle = summary.idle_checks();
    if !idle.is_empty() {
        println!("these checks never decided anything: {idle:?}");
    }
    let absent = summary.absent_faults(&options.without);
    if !absent.is_empty() {
        println!("these faults never happened: {absent:?}");
    }
    let all_well = summary.failed.is_empty() && idle.is_empty() && absent.is_empty();
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(summary: &Summary) {
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = summary.histories as f64 / summary.seconds.max(0.001);
    let (hours, processor_s) = (summary.virtual_ms / 3_600_000, summary.processor_ms / 1000);
    let Summary { histories, calls, seconds, .. } = summary;
    println!(
        "{histories} histories in {seconds:.0} s ({rate:.2}/s), {processor_s} s of processor time: {calls} calls, \
         {hours} h of virtual time"
    );
    println!("checks:");
    summary.decided.iter().for_each(|(check, count)| println!("  {count:>10} {check}"));
    println!("faults:");
    summary.faults.iter().for_each(|(fault, count)| println!("  {count:>10} {fault}"));
    println!("{} histories with violations", summary.failed.len());
    for report in summary.failed.iter().take(10) {
        println!("  seed {}", report.seed);
        report.checks.violations.iter().take(3).for_each(|violation| println!("    {violation:.600}"));
    }
}
