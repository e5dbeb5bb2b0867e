//! Scenarios of much load in virtual time, within AWS's limits: what was reached, what was throttled, how far behind
//! projections were, and what it costs. Scenarios are data ([`scenario`], `scenarios.json`).
//!
//! A scenario that is too large for one machine runs at a fraction of its rates, within the same fraction of the limits
//! (`Limits::scaled`). Reports are in the units of the whole.
//!
//! [`population`] makes users, follows and posts; [`driver`] sends requests, whether earlier ones were answered or not;
//! [`record`] takes note; [`verify`] compares the tables at rest; [`report`], [`bill`] and [`chart`] tell.

mod bill;
mod chart;
mod driver;
mod population;
mod record;
pub mod report;
pub mod scenario;
mod verify;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use aws_memory::Aws;
use harness::stack::{RATE_LIMITS, UNLIMITED};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tidings::store::trending::CONTENDERS;
use tidings_local::sources::Chaos;
use tokio::{task::LocalSet, time::sleep};

pub use self::{chart::svg, report::Report};
use crate::{
    determinism,
    limits::Setup as LimitsSetup,
    trace::Trace,
    world::{Setup, World},
};
use population::Population;
use record::Recorder;
use scenario::Scenario;

/// How often usage is looked at.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// How often counts are compared after the last request.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);
/// Where a file is as fast as memory.
const MEMORY_DIRECTORY: &str = "/dev/shm";

/// Runs a scenario. The process has to be new: it can do this once.
///
/// # Errors
/// If the world cannot be made.
pub fn run(scenario: Scenario, seed: u64) -> anyhow::Result<Report> {
    let directory = match std::path::Path::new(MEMORY_DIRECTORY).is_dir() {
        true => tempfile::tempdir_in(MEMORY_DIRECTORY),
        false => tempfile::tempdir(),
    }?;
    let aws = Aws::in_directory(directory.path()).map_err(|error| anyhow::anyhow!("no AWS in memory: {error}"))?;
    determinism::enter(seed);
    let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        LocalSet::new().block_on(&runtime, async {
            determinism::start_clock();
            load(scenario, seed, aws).await
        })
    })?;
    thread.join().map_err(|_| anyhow::anyhow!("the scenario panicked"))?
}

async fn load(scenario: Scenario, seed: u64, aws: Aws) -> anyhow::Result<Report> {
    let mut random = StdRng::seed_from_u64(seed);
    let recorder = Arc::new(Recorder::default());
    let mut parameters: Vec<(&str, String)> = RATE_LIMITS.iter().map(|name| (*name, UNLIMITED.to_owned())).collect();
    // Nothing that was lost may come back because the audit found it.
    parameters.push(("AuditUnitsPerHour", "100".to_owned()));
    parameters.extend(scenario.parameters.iter().map(|(name, value)| (name.as_str(), value.clone())));
    if let Some(followers) = scenario.celebrity_followers {
        let followers = (followers * scenario.fraction).round().max(1.0);
        parameters.push(("CelebrityFollowers", followers.to_string()));
    }
    let limits = LimitsSetup {
        limits: scenario.limits.clone(),
        fraction: scenario.fraction,
        stretch_transactions: scenario.stretch_transactions,
        contenders: Some(scenario.part(CONTENDERS as f64).max(1)),
        watch: Arc::clone(&recorder) as _,
    };
    let setup = Setup {
        has_cache: false,
        max_receives: None,
        is_quarantine_watched: false,
        seed: random.random(),
        parameters: &parameters,
        chaos: Chaos::default(),
        trace: Trace::off(),
        limits: Some(limits),
        aws,
    };
    let world = World::start(setup).await?;
    let population = Population::make(&world, &scenario, &mut random).await.context("making the population")?;
    eprintln!("{population}");
    let rising = scenario.special.as_ref().filter(|special| special.follows_of_one > 0.0);
    recorder.begin(rising.and_then(|_| population.authors.first().cloned()));
    let sampler = tokio::task::spawn_local(sample(Arc::clone(&world), Arc::clone(&recorder)));
    let accepted = driver::drive(&world, &scenario, &population, &recorder, &mut random).await;
    let ended = determinism::elapsed();
    let limits = world.network.limits.as_ref().context("the world has no limits")?;
    recorder.load_ends(limits.used());
    let rest_within = Duration::from_secs(scenario.rest_within_seconds);
    let counts_are_right = async {
        while verify::compare(&world, &population, &accepted).wrong_counts > 0 {
            sleep(COUNT_INTERVAL).await;
        }
        determinism::elapsed().saturating_sub(ended)
    };
    let counts_right = match scenario.requires.count_behind_s {
        Some(_) => tokio::time::timeout(rest_within, counts_are_right).await.ok(),
        None => None,
    };
    let rested = tokio::time::timeout(rest_within, world.settle()).await;
    let caught_up = determinism::elapsed().saturating_sub(ended);
    sampler.abort();
    let is_at_rest = matches!(rested, Ok(Ok(())));
    let mut differences = is_at_rest.then(|| verify::compare(&world, &population, &accepted));
    if let Some(differences) = &mut differences {
        [differences.read_homes, differences.wrong_homes] = verify::read_homes(&world, &population, &accepted).await;
    }
    Ok(Report::new(report::Facts {
        scenario: &scenario,
        population: &population,
        recorder: &recorder,
        limits: &limits.limits,
        ready_gb: limits.ready_gb,
        counts_right,
        caught_up: is_at_rest.then_some(caught_up),
        differences,
        quarantined: world.messages("Quarantine"),
        processor_ms: determinism::processor_ms(),
    }))
}

/// Takes note of what is used, second by second.
async fn sample(world: Arc<World>, recorder: Arc<Recorder>) {
    loop {
        sleep(SAMPLE_INTERVAL).await;
        let Some(limits) = &world.network.limits else { return };
        recorder.sample(limits.used(), world.messages("Deliveries"));
    }
}
