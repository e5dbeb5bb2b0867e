//! Measures how a post reaches a large audience: rows in each second compared with raw writes of the same rows, the
//! memory of the processes that push, the lag of the last follower, and how much later posts of small authors arrive.

use std::{process::ExitCode, sync::atomic::AtomicBool, time::Duration};

use anyhow::{Context, Result};
use bench::{
    audience::Audience,
    circle::circles,
    fairness::{Fairness, Phase, Steady, phase},
    lag::{Spread, rate, time_to_home},
    memory::Watch,
    target::{self, PATIENCE, Target, progress_bar},
};
use clap::Parser;
use harness::wait::persist;
use tokio::time::Instant;

/// How long to wait until the stack is idle.
const SETTLE: Duration = Duration::from_secs(900);
/// Numbers of concurrent raw BatchWriteItem calls. The fastest counts.
const CONCURRENCIES: [usize; 5] = [1, 2, 4, 8, 16];
/// The function whose memory is measured.
const DELIVER: &str = "Deliver";

#[derive(Debug, Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// Followers of the large author
    #[arg(long, default_value_t = 9_999, value_parser = clap::value_parser!(u32).range(1..))]
    followers: u32,
    /// Posts to the large audience; 0 measures only fairness
    #[arg(long, default_value_t = 20)]
    posts: u32,
    /// Raw writes are measured after every so many posts, because the table grows and the machine may have other work
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    raw_every: u32,
    /// Quiet and loud phases in total; 0 skips fairness
    #[arg(long, default_value_t = 8)]
    phases: u32,
    /// Length of a phase in seconds
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    phase_seconds: u32,
    /// Small authors, who post in all phases
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    small_authors: u32,
    /// Followers of each small author
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    small_followers: u32,
    /// Posts of all small authors together in each second
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    #[command(flatten)]
    target: target::Arguments,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let target = Target::start(arguments.target.clone())?;
    let large = Audience::gather(&target, usize::try_from(arguments.followers)?).await?;
    target.deployment.dev().settle(SETTLE).await?;
    println!("{} followers of one author", large.size());
    if arguments.posts > 0 {
        measure_fan_out(&target, &large, &arguments).await?;
    }
    if arguments.phases > 0 {
        measure_fairness(&target, &large, &arguments).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures rows in each second, memory, and the last follower's lag, over all posts.
async fn measure_fan_out(target: &Target, large: &Audience, arguments: &Arguments) -> Result<()> {
    let dev = target.deployment.dev();
    let watch = Watch::start(dev.clone(), DELIVER);
    let (mut firsts, mut alls, mut lags) = (Vec::new(), Vec::new(), Vec::new());
    let mut raw = CONCURRENCIES.map(|concurrency| (concurrency, Vec::new()));
    let bar = progress_bar("posts", usize::try_from(arguments.posts)?)?;
    let never = AtomicBool::new(false);
    for number in 0..arguments.posts {
        let (text, key) = (format!("post {number} to all"), format!("deliver-{number}"));
        let post = persist(PATIENCE, |_| {}, || large.author.post(&text, Some(&key))).await?.value.id;
        let accepted = Instant::now();
        let lag = async { anyhow::Ok(time_to_home(large.last()?, &post, accepted, &never).await?) };
        let (arrival, lag) = tokio::try_join!(large.wait_for_rows(&post, accepted), lag)?;
        firsts.push(arrival.first);
        alls.push(arrival.all);
        lags.push(lag.context("the last follower never saw a post")?);
        dev.settle(SETTLE).await?;
        if number % arguments.raw_every == arguments.raw_every - 1 {
            for (concurrency, times) in &mut raw {
                times.push(large.write_raw(&post, *concurrency).await?);
                dev.settle(SETTLE).await?;
            }
        }
        bar.inc(1);
    }
    bar.finish();

    let peak = watch.peak();
    let (all, first) = (Spread::of(alls).context("no posts")?, Spread::of(firsts).context("no posts")?);
    let pushed = rate(large.size(), all.p50);
    println!("all rows   {all}");
    println!("first row  {first}");
    let travelling = all.p50.saturating_sub(first.p50);
    println!("rows       {pushed:.0}/s from acceptance, {:.0}/s from the first row", rate(large.size(), travelling));
    let mut best = 0.0_f64;
    for (concurrency, times) in raw {
        let Some(times) = Spread::of(times) else { continue };
        let reached = rate(large.size(), times.p50);
        println!("raw        {reached:.0}/s by {concurrency} at once ({} rounds)", times.count);
        best = best.max(reached);
    }
    if best > 0.0 {
        println!("ratio      {:.0} % of raw", 100.0 * pushed / best);
    }
    println!("memory     {:.1} MiB at most in one process of {DELIVER}", mebibytes(peak));
    println!("lag        of the last follower: {}", Spread::of(lags).context("no posts")?);
    Ok(())
}

/// Measures quiet and loud phases in turn.
async fn measure_fairness(target: &Target, large: &Audience, arguments: &Arguments) -> Result<()> {
    let (authors, followers) = (usize::try_from(arguments.small_authors)?, usize::try_from(arguments.small_followers)?);
    let small = circles(target, authors, followers).await?;
    let steady = Steady { rate: arguments.rate, seconds: arguments.phase_seconds };
    let dev = target.deployment.dev();
    let (mut quiet, mut loud): (Vec<Phase>, Vec<Phase>) = (Vec::new(), Vec::new());
    for number in 0..usize::try_from(arguments.phases)? {
        let is_loud = number % 2 == 1;
        let phase = phase(number, &small, steady, is_loud.then_some(large), &dev).await?;
        if let Some(spread) = Spread::of(phase.lags.clone()) {
            let name = if is_loud { "loud" } else { "quiet" };
            println!("{name:<10} {spread}, {} posts to the large audience", phase.large_posts);
        }
        if is_loud { &mut loud } else { &mut quiet }.push(phase);
    }
    match Fairness::of(&quiet, &loud) {
        Some(fairness) => println!("together\n{fairness}"),
        None => println!("fairness   not measured: it needs at least two phases"),
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a size to print")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
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
