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

/// What a rebuild did until the switch: users, rows, units and milliseconds of work. Emptying the old tables is not
/// included.
#[derive(Debug)]
pub struct Done(Value);

impl Done {
    /// Prints how much of it a worker does in a second, and how many units a post costs. `posts` were rebuilt to `rows`
    /// in timelines.
    #[expect(clippy::cast_precision_loss, reason = "rates to print")]
    pub fn print_rates(&self, posts: usize, rows: u64) {
        let number = |name: &str| self.0[name].as_f64().unwrap_or_default();
        let (busy_s, posts) = (number("busy_ms") / 1000.0, posts as f64);
        println!("rebuild    {posts} posts and {rows} rows in {busy_s:.1} s of work");
        println!("           {:.0} posts/s and {:.0} rows/s for each worker", posts / busy_s, rows as f64 / busy_s);
        let (written, read) = (number("write_units") / posts, number("read_units") / posts);
        println!("           {written:.1} write units and {read:.1} read units for each post, with its rows");
    }
}

/// Waits until the rebuild has ended. Prints how long the work of each phase took.
pub async fn finish(dev: &DevClient) -> Result<Done> {
    let deadline = Instant::now() + PATIENCE;
    let mut phases: Vec<(String, Instant)> = Vec::new();
    let mut filled = Value::Null;
    loop {
        let status = dev.invoke(REBUILD, &json!({"action": "status"})).await?;
        let rebuild = &status["rebuild"];
        let now = Instant::now();
        if let Some(phase) = rebuild["phase"].as_str() {
            // The clock of a phase begins with its first step.
            if phase == "retire" && filled.is_null() {
                filled = rebuild["done"].clone();
            }
            let works = !rebuild["last_step_at"].is_null();
            if works && phases.last().is_none_or(|(last, _)| last != phase) {
                phases.push((phase.to_owned(), now));
            }
        } else {
            let done = &status["last"]["done"];
            let ends = phases.iter().skip(1).map(|(_, began)| *began).chain([now]);
            for ((phase, began), ended) in phases.iter().zip(ends) {
                println!("rebuild    {phase} until {:.1} s after its first step", (ended - *began).as_secs_f64());
            }
            println!("rebuild    ended: {done}, active {}", status["active"]);
            return Ok(Done(filled));
        }
        ensure!(now < deadline, "the rebuild does not end: {status}");
        sleep(INTERVAL).await;
    }
}
