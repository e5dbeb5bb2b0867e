//! Measures how long posts take to reach their followers at a steady rate. Posts are sent when they are due, whether or
//! not earlier ones were answered, so a slow stack cannot slow the measurement down and look better for it.

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
    lag::{Spread, time_to_home},
    target::{self, PATIENCE, Target, progress_bar},
};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use harness::{client::User, wait::persist};
use rand::Rng;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// How long to wait for rest, before and after.
const SETTLE: Duration = Duration::from_secs(900);

#[derive(Debug, Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// Posts a second.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Followers of each author.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    followers: u32,
    /// How long to post.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Authors, each with followers of their own; by default as many as posts a second.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    authors: Option<u32>,
    #[command(flatten)]
    target: target::Arguments,
}

/// An author and those who follow.
#[derive(Debug, Clone)]
struct Circle {
    author: User,
    followers: Vec<User>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let target = Target::start(arguments.target)?;
    let control = target.deployment.control();
    let authors = usize::try_from(arguments.authors.unwrap_or(arguments.rate))?;
    let circles = circles(&target, authors, usize::try_from(arguments.followers)?).await?;
    control.settle(SETTLE).await?;

    let count = arguments.rate * arguments.seconds;
    let bar = progress_bar("posts", usize::try_from(count)?)?;
    let over = Arc::new(AtomicBool::new(false));
    let mut measuring = JoinSet::new();
    let start = Instant::now();
    for (number, circle) in (0..count).zip(circles.iter().cycle()) {
        sleep_until(start + Duration::from_secs(1) * number / arguments.rate).await;
        let (circle, over) = (circle.clone(), Arc::clone(&over));
        measuring.spawn(async move { measure(&circle, number, &over).await });
        bar.inc(1);
    }
    bar.finish();
    control.settle(SETTLE).await?;
    over.store(true, Ordering::Relaxed);

    let (mut answers, mut lags) = (Vec::new(), Vec::new());
    while let Some(measured) = measuring.join_next().await {
        let (answer, lag) = measured??;
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

/// Makes the authors with their followers.
async fn circles(target: &Target, authors: usize, followers: usize) -> Result<Vec<Circle>> {
    let people: Vec<User> =
        target.register(authors * (followers + 1)).await?.into_iter().map(|(user, _)| user).collect();
    let bar = progress_bar("follows", authors * followers)?;
    let circles: Vec<Circle> = people
        .chunks_exact(followers + 1)
        .filter_map(|people| people.split_first())
        .map(|(author, followers)| Circle { author: author.clone(), followers: followers.to_vec() })
        .collect();
    let edges = circles.iter().flat_map(|circle| circle.followers.iter().map(|follower| (follower, &circle.author)));
    let follow = async |(follower, author): (&User, &User)| {
        persist(PATIENCE, |_| {}, || follower.follow(&author.id)).await?;
        bar.inc(1);
        anyhow::Ok(())
    };
    stream::iter(edges).map(follow).buffer_unordered(target.concurrency).try_collect::<()>().await?;
    bar.finish();
    Ok(circles)
}

/// Sends one post; how long its answer took, and how long after that a random follower saw it.
async fn measure(circle: &Circle, number: u32, over: &AtomicBool) -> Result<(Duration, Option<Duration>)> {
    let reader = &circle.followers[rand::rng().random_range(..circle.followers.len())];
    let (text, key) = (format!("post {number} of a measurement"), format!("lag-{number}"));
    let sent = Instant::now();
    let post = persist(PATIENCE, |_| {}, || circle.author.post(&text, Some(&key))).await?.value;
    let accepted = Instant::now();
    Ok((accepted - sent, time_to_home(reader, &post.id, accepted, over).await?))
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
