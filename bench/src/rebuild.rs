//! Rebuilds of the read models while a benchmark runs.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::dev_client::DevClient;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The function.
const REBUILD: &str = "Rebuild";
/// How often it is asked how far a rebuild is.
const INTERVAL: Duration = Duration::from_millis(500);
/// Longest that a rebuild may take.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Starts a rebuild of all models, with so many segments and no limit that matters.
pub async fn start(dev: &DevClient, segments: u32) -> Result<()> {
    let request = json!({"action": "start", "segments": segments, "units_per_second": 1_000_000});
    dev.invoke(REBUILD, &request).await.context("starting a rebuild").map(drop)
}

/// Waits until the rebuild has ended. Prints what each phase did, and how long its work took.
pub async fn finish(dev: &DevClient) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut phases: Vec<(String, Instant, Value)> = Vec::new();
    loop {
        let status = dev.invoke(REBUILD, &json!({"action": "status"})).await?;
        let rebuild = &status["rebuild"];
        let (now, done) = (Instant::now(), rebuild["done"].clone());
        if let Some(phase) = rebuild["phase"].as_str() {
            // The clock of a phase begins with its first step.
            let works = !rebuild["last_step_at"].is_null();
            match phases.last_mut() {
                Some((last, _, latest)) if last == phase => *latest = done,
                _ if works => phases.push((phase.to_owned(), now, done)),
                _ => {}
            }
        } else {
            let done = &status["last"]["done"];
            for ((phase, began, _), ended) in
                phases.iter().zip(phases.iter().skip(1).map(|(_, began, _)| *began).chain([now]))
            {
                println!("rebuild    {phase} until {:.1} s after its first step", (ended - *began).as_secs_f64());
            }
            println!("rebuild    ended: {done}, active {}", status["active"]);
            return Ok(());
        }
        ensure!(now < deadline, "the rebuild does not end: {status}");
        sleep(INTERVAL).await;
    }
}
