//! The program that runs scenarios of much load, at a small fraction. docs/scale.md has the results of larger ones.

use std::{path::Path, process::Command};

use anyhow::Context as _;
use simulation::load::{Report, report::Kind};

/// Runs a scenario. The report, and whether the program says that all requirements are met.
fn run(scenario: &str, fraction: &str, seconds: &str, out: &Path) -> anyhow::Result<(Report, bool)> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_load"));
    let arguments = [scenario, "--fraction", fraction, "--seconds", seconds, "--out"];
    let output = program.args(arguments).arg(out).output()?;
    let file = |extension: &str| {
        let file = std::fs::read_to_string(out.join(format!("{scenario}.{extension}")));
        file.with_context(|| format!("no {extension}: {}", String::from_utf8_lossy(&output.stderr)))
    };
    anyhow::ensure!(file("svg")?.starts_with("<svg"), "the chart is no SVG");
    anyhow::ensure!(file("txt")? == String::from_utf8_lossy(&output.stdout), "the report is not what is printed");
    Ok((serde_json::from_str(&file("json")?)?, output.status.success()))
}

#[test]
fn a_scenario_is_judged_by_its_requirements() {
    let out = tempfile::tempdir().unwrap();
    let (report, succeeded) = run("ten-times", "0.001", "10", out.path()).unwrap();
    assert!(report.requests.contains_key(&Kind::Post) && report.requests.contains_key(&Kind::Read), "{report}");
    assert_eq!(succeeded, report.verdicts.iter().all(|verdict| verdict.met), "{report}");
    let differences = report.differences.unwrap();
    assert!(differences.expected_rows > 0 && differences.counted_cards > 0, "{differences:?}");
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn new_followers_of_a_rising_author_have_complete_homes() {
    let out = tempfile::tempdir().unwrap();
    let (report, _) = run("star", "0.005", "20", out.path()).unwrap();
    let differences = report.differences.unwrap();
    assert!(differences.read_homes > 0, "{differences:?}");
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn a_new_stack_does_not_take_the_peak() {
    let out = tempfile::tempdir().unwrap();
    let (report, succeeded) = run("peak", "0.005", "10", out.path()).unwrap();
    let is_throttled = report.throttled.keys().any(|limit| limit.starts_with("Timelines writes"));
    assert!(!succeeded && is_throttled, "{report}");
}
