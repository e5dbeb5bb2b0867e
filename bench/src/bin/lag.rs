//! Measures how long posts take to reach their followers at a steady rate. Each post is sent when it is due, whether or
//! not earlier posts were answered. So a slow stack cannot slow the measurement down and get a better result.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use bench::{
    circle::{Times, circles, post_steadily},
    lag::Spread,
    target::{self, Target},
};
use clap::Parser;

/// How long to wait until the stack is idle, before and after.
const SETTLE: Duration = Duration::from_secs(900);

#[derive(Debug, Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// Posts in each second
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Followers of each author
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    followers: u32,
    /// How long to post, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Authors, each with their own followers [default: as many as posts in each second]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    authors: Option<u32>,
    #[command(flatten)]
    target: target::Arguments,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let target = Target::start(arguments.target)?;
    let dev = target.deployment.dev();
    let authors = usize::try_from(arguments.authors.unwrap_or(arguments.rate))?;
    let circles = circles(&target, authors, usize::try_from(arguments.followers)?).await?;
    dev.settle(SETTLE).await?;

    let over = Arc::new(AtomicBool::new(false));
    let count = arguments.rate * arguments.seconds;
    let mut measuring = post_steadily(&circles, "lag", arguments.rate, count, &over).await?;
    dev.settle(SETTLE).await?;
    over.store(true, Ordering::Relaxed);

    let (mut answers, mut lags) = (Vec::new(), Vec::new());
    while let Some(measured) = measuring.join_next().await {
        let Times { answer, lag } = measured??;
        answers.push(answer);
        lags.extend(lag);
    }
    let lost = answers.len() - lags.len();
    println!("{} posts/s for {} s, {} followers each", arguments.rate, arguments.seconds, arguments.followers);
    for (name, times) in [("answer", answers), ("lag", lags)] {
        if let Some(spread) = Spread::of(times) {
            println!("{name:<6} {spread}");
        }
    }
    println!("lost   {lost}");
    Ok(if lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
