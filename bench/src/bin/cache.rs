//! Compares pages of home feeds with and without a shared cache, side by side: what they cost in read units, and how
//! long they take. Several readers ask at once, so that each meets another process of GetFeed. All of them follow the
//! same authors, so they read the same posts.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use bench::{
    lag::Spread,
    target::{self, Target},
};
use clap::Parser;
use futures::future::try_join_all;
use harness::{
    client::{Answer, User},
    costs::Cost,
    process::kill_now,
};
use reqwest::Method;
use tokio::time::{Instant, sleep};

/// How long to wait until the stack is idle.
const SETTLE: Duration = Duration::from_secs(900);
/// A process uses cards again for two seconds. After this pause, it has none.
const PAUSE: Duration = Duration::from_millis(2500);
/// Times that all processes are killed.
const COLD_ROUNDS: usize = 5;
/// Pages of each reader, one right after the other.
const BUSY_PAGES: usize = 50;
/// Pages of each reader, with pauses.
const PACED_PAGES: usize = 10;
/// The function that reads pages.
const FUNCTION: &str = "GetFeed";

#[derive(Debug, Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// Readers who ask at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=16))]
    readers: u16,
    /// Authors whom all readers follow
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    authors: u16,
    /// Followers from which posts are pulled: with as many as there are readers, those of all authors are
    #[arg(long, default_value_t = 1_000_000)]
    celebrity_followers: u64,
    #[command(flatten)]
    target: target::Arguments,
}

/// Pages that were read under the same circumstances.
struct Pages {
    name: &'static str,
    units: Vec<f64>,
    times: Vec<Duration>,
}

impl Pages {
    fn of(name: &'static str, read: Vec<(f64, Duration)>) -> Self {
        let (units, times) = read.into_iter().unzip();
        Self { name, units, times }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!("| | shared cache | read units, mean | read units, most | time |\n|---|---|--:|--:|---|");
    let without = measure(&arguments, false).await?;
    let with = measure(&arguments, true).await?;
    for (one, other) in without.into_iter().zip(with) {
        for (Pages { name, units, times }, cache) in [(one, "no"), (other, "yes")] {
            let most = units.iter().copied().fold(0.0, f64::max);
            #[expect(clippy::cast_precision_loss, reason = "a mean to print")]
            let mean = units.iter().sum::<f64>() / units.len().max(1) as f64;
            let spread = Spread::of(times).context("no pages")?;
            println!("| {name} | {cache} | {mean:.2} | {most} | {spread} |");
        }
    }
    Ok(())
}

async fn measure(arguments: &Arguments, has_cache: bool) -> Result<Vec<Pages>> {
    let target = arguments.target.clone().with_parameter("ShowCosts", "true");
    let target = target.with_parameter("CelebrityFollowers", &arguments.celebrity_followers.to_string());
    let target = Target::start(target.with_parameter("CelebrityListSeconds", "1").with_cache(has_cache))?;
    let (readers, authors) = (usize::from(arguments.readers), usize::from(arguments.authors));
    let people: Vec<User> = target.register(readers + authors).await?.into_iter().map(|(user, _)| user).collect();
    let (readers, authors) = people.split_at(readers);
    for author in authors {
        try_join_all(readers.iter().map(|reader| reader.follow(&author.id))).await?;
        author.post(&format!("as long as posts are: {}", "word ".repeat(18)), None).await?;
    }
    target.deployment.dev().settle(SETTLE).await?;
    for author in authors {
        author.post(&format!("as long as posts are: {}", "more ".repeat(18)), None).await?;
    }
    target.deployment.dev().settle(SETTLE).await?;

    // The first reader of these posts.
    page(&readers[0]).await?;
    let mut alone = Vec::new();
    for reader in readers {
        kill_processes(&target).await?;
        alone.push(page(reader).await?);
    }
    let mut cold = Vec::new();
    for _ in 0..COLD_ROUNDS {
        // The first reader of these posts.
        page(&readers[0]).await?;
        kill_processes(&target).await?;
        cold.extend(try_join_all(readers.iter().map(page)).await?);
    }
    let mut paced = Vec::new();
    for _ in 0..PACED_PAGES {
        sleep(PAUSE).await;
        paced.extend(try_join_all(readers.iter().map(page)).await?);
    }
    let busy = try_join_all(readers.iter().map(async |reader| {
        let mut pages = Vec::new();
        for _ in 0..BUSY_PAGES {
            pages.push(page(reader).await?);
        }
        anyhow::Ok(pages)
    }));
    let busy = busy.await?.concat();
    let processes: BTreeSet<_> = processes(&target).await?;
    eprintln!("{} processes of {FUNCTION}", processes.len());
    Ok(vec![
        Pages::of("a new process for each reader, one after the other", alone),
        Pages::of("as many new processes at once", cold),
        Pages::of("a page of each process every 2.5 s", paced),
        Pages::of("one page after the other", busy),
    ])
}

/// Reads the first page of a home. Returns its read units and the time that it took.
async fn page(reader: &User) -> Result<(f64, Duration)> {
    let began = Instant::now();
    let answer = Answer::to(reader.request(Method::GET, "/v1/feeds/home")).await?;
    let took = began.elapsed();
    ensure!(answer.status.is_success(), "{}: {} {}", answer.request, answer.status, answer.body);
    let cost = Cost::of(&answer)?.context("no Tidings-Cost: deploy with ShowCosts=true")?;
    Ok((cost.read_units, took))
}

async fn processes(target: &Target) -> Result<BTreeSet<u32>> {
    let status = target.deployment.dev().status().await?;
    Ok(status.processes.iter().filter(|process| process.function == FUNCTION).map(|process| process.pid).collect())
}

/// Ends all processes that read pages, so that the next ones are cold.
async fn kill_processes(target: &Target) -> Result<()> {
    let killed = processes(target).await?;
    for pid in &killed {
        kill_now(*pid)?;
    }
    while !processes(target).await?.is_disjoint(&killed) {
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
