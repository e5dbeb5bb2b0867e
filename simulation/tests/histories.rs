//! Histories of the simulated world, as `cargo test` runs them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use simulation::{
    history::Options,
    runner::{Runner, Summary},
    trace::Detail,
};

/// How many histories there are, and how many commands in each.
const HISTORIES: u64 = 200;
const COMMANDS: usize = 100;
/// How many of them are repeated within AWS's limits.
const LIMITED_HISTORIES: u64 = 20;

fn runner() -> Runner {
    Runner::new(Path::new(env!("CARGO_BIN_EXE_simulation")))
}

fn options(seed: u64) -> Options {
    Options { seed, commands: COMMANDS, without: BTreeSet::new(), aws_limits: false, detail: Detail::Nothing }
}

#[test]
fn every_invariant_holds_in_every_history() {
    let summary = runner().many(0..HISTORIES, &options(0), |_| {});
    assert_no_violation(&summary, &options(0));
    assert_all_took_part(&summary);
}

/// Otherwise tells what is wrong, and the shortest history of the first seed that fails.
fn assert_no_violation(summary: &Summary, options: &Options) {
    let Some(first) = summary.failed.first() else { return };
    let violations = summary.failed.iter().map(|report| (report.seed, &report.checks.violations)).collect::<Vec<_>>();
    let shortest = runner().tell_shortest(&Options { seed: first.seed, ..options.clone() });
    let shortest = shortest.unwrap_or_else(|error| format!("{error:#}"));
    panic!("violations by seed: {violations:#?}\n{shortest}");
}

/// A check that never decided anything proves nothing, and neither does a fault that never happened.
fn assert_all_took_part(summary: &Summary) {
    assert_eq!(summary.histories, HISTORIES);
    assert_eq!(summary.idle_checks(), [], "checks that never decided anything");
    assert_eq!(summary.absent_faults(&BTreeSet::new()), [], "faults that never happened");
}

/// Few users are throttled only by a small fraction of AWS's limits.
#[test]
fn every_invariant_holds_within_aws_limits() {
    let limited = Options { aws_limits: true, ..options(0) };
    let summary = runner().many(0..LIMITED_HISTORIES, &limited, |_| {});
    assert_no_violation(&summary, &limited);
}

/// Metrics that every history moves: everybody posts, follows and reads.
#[test]
fn functions_count_what_they_do() {
    // In some histories, nothing of a kind happens, or only an audit finds it.
    let mut metrics = BTreeMap::<String, u64>::new();
    for seed in [7, 8, 9] {
        for (name, sum) in runner().one(&options(seed)).unwrap().metrics {
            *metrics.entry(name).or_default() += sum;
        }
    }
    for metric in ["ColdStarts", "Published", "PublishLag", "FeedLag", "CountLag", "Pages", "PageRounds", "RowsRead"] {
        assert!(metrics.get(metric).is_some_and(|sum| *sum > 0), "{metric}: {metrics:?}");
    }
    assert!(metrics["PageRounds"] >= metrics["Pages"], "{metrics:?}");
    let cards = ["CacheHits", "CacheMisses"].map(|name| metrics.get(name).copied().unwrap_or_default());
    assert!(cards.iter().sum::<u64>() > 0, "{metrics:?}");
}

#[test]
fn the_same_seed_is_the_same_history_and_another_seed_another() {
    let hash = |seed| runner().one(&options(seed)).unwrap().hash;
    for seed in [7, 8, 9] {
        assert_eq!(hash(seed), hash(seed), "seed {seed}");
    }
    assert_ne!(hash(7), hash(8));
}
