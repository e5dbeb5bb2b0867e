//! Many histories, each in a process of its own, as many at once as there are processors; and the shortest one that
//! still fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::Context as _;

use crate::{
    checks::{ALL, Check},
    faults::{self, Fault},
    history::{Options, Report},
};

/// Runs histories with a program that runs one: see `main.rs`.
#[derive(Debug, Clone)]
pub struct Runner {
    program: PathBuf,
    /// Histories at once.
    pub jobs: usize,
}

/// What many histories came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// How many there were.
    pub histories: u64,
    /// Those in which something is wrong.
    pub failed: Vec<Report>,
    /// How often each check decided something.
    pub decided: BTreeMap<Check, u64>,
    /// How often each fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// Calls of AWS services.
    pub calls: u64,
    /// Virtual time that passed in all of them.
    pub virtual_ms: u64,
    /// Processor time that they took together.
    pub processor_ms: u64,
    /// Time that it took.
    pub seconds: f64,
}

impl Runner {
    /// With this program, on all processors.
    pub fn new(program: &Path) -> Self {
        let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self { program: program.to_owned(), jobs }
    }

    /// Runs one history in a process of its own.
    ///
    /// # Errors
    /// If there is no report.
    pub fn one(&self, options: &Options) -> anyhow::Result<Report> {
        let mut command = Command::new(&self.program);
        command.arg("history").arg(options.seed.to_string()).arg(options.commands.to_string());
        command.arg(if options.aws_limits { "limited" } else { "unlimited" });
        command.args(options.without.iter().map(ToString::to_string));
        // Errors are part of a history, and a backtrace of each would take longer than the history.
        command.env("RUST_BACKTRACE", "0");
        // Memory goes back to the system when a history ends, and not before.
        command.env("MIMALLOC_PURGE_DELAY", "-1");
        let output = command.stderr(Stdio::piped()).output().context("cannot start a history")?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            let last: Vec<_> =
                String::from_utf8_lossy(&output.stderr).lines().rev().take(5).map(str::to_owned).collect();
            format!("the history of seed {} gave no report ({}): {last:?}", options.seed, output.status)
        })
    }

    /// Runs the histories of `seeds`; `progress` is told of each.
    pub fn many(&self, seeds: std::ops::Range<u64>, options: &Options, progress: impl Fn(&Summary) + Sync) -> Summary {
        let started = Instant::now();
        let (next, summary) = (AtomicU64::new(seeds.start), Mutex::new(Summary::default()));
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds.end {
                            return;
                        }
                        let report = self.one(&Options { seed, ..options.clone() }).unwrap_or_else(|error| {
                            let mut report = Report { seed, ..Report::default() };
                            report.checks.violations.push(format!("{error:#}"));
                            report
                        });
                        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
                        summary.seconds = started.elapsed().as_secs_f64();
                        summary.add(report);
                        progress(&summary);
                    }
                });
            }
        });
        summary.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shortest history of this seed that still fails, with as few kinds of faults as it needs.
    pub fn shorten(&self, options: &Options) -> Options {
        let mut shortest = options.clone();
        let fails = |options: &Options| self.one(options).is_ok_and(|report| !report.checks.violations.is_empty());
        for fault in faults::ALL {
            let mut without = shortest.without.clone();
            without.insert(fault);
            let calmer = Options { without, ..shortest.clone() };
            if fails(&calmer) {
                shortest = calmer;
            }
        }
        // Fewer commands are another history, so the shortest one is looked for from below.
        let mut commands = 4;
        while commands < shortest.commands {
            let shorter = Options { commands, ..shortest.clone() };
            if fails(&shorter) {
                return shorter;
            }
            commands += 1 + commands / 4;
        }
        shortest
    }
}

impl Runner {
    /// The shortest history of this seed that still fails, as it is told, and the command that replays it.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn tell_shortest(&self, options: &Options) -> anyhow::Result<String> {
        let shortest = self.shorten(options);
        let arguments = arguments(&shortest);
        let output = Command::new(&self.program).args(&arguments).output().context("cannot start a history")?;
        let command = format!("cargo run --release -p simulation -- {}", arguments.join(" "));
        let (errors, told) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        let seed = shortest.seed;
        Ok(format!("shortest failing history of seed {seed}; to replay it:\n  {command}\n{errors}{told}"))
    }
}

/// The arguments that replay a history.
fn arguments(options: &Options) -> Vec<String> {
    let Options { seed, commands, without, aws_limits, .. } = options;
    let mut arguments = vec!["--seed".to_owned(), seed.to_string(), "--commands".to_owned(), commands.to_string()];
    arguments.extend(aws_limits.then(|| "--aws-limits".to_owned()));
    if !without.is_empty() {
        let without: Vec<_> = without.iter().map(ToString::to_string).collect();
        arguments.extend(["--without".to_owned(), without.join(",")]);
    }
    arguments
}

impl Summary {
    fn add(&mut self, report: Report) {
        self.histories += 1;
        self.calls += report.calls;
        self.virtual_ms += report.virtual_ms;
        self.processor_ms += report.processor_ms;
        for (check, count) in &report.checks.decided {
            *self.decided.entry(*check).or_default() += count;
        }
        for (fault, count) in &report.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
        if !report.checks.violations.is_empty() {
            self.failed.push(report);
        }
    }

    /// Checks that never decided anything: they prove nothing.
    pub fn idle_checks(&self) -> Vec<Check> {
        ALL.into_iter().filter(|check| !self.decided.contains_key(check)).collect()
    }

    /// Faults that never happened.
    pub fn absent_faults(&self, without: &BTreeSet<Fault>) -> Vec<Fault> {
        faults::ALL.into_iter().filter(|fault| !without.contains(fault) && !self.faults.contains_key(fault)).collect()
    }
}
