//! Measures what one user's load delays. A user writes many posts. Then newcomers follow this user, who changes the
//! profile, and they unfollow again, over and over: each follow copies all of the posts, each unfollow removes the
//! copies, and each profile is to show on all of the posts. Meanwhile, others post at a steady rate. In the end,
//! everything has to have arrived.

use std::{
    collections::BTreeSet,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use bench::{
    circle::{Circle, circles, post_steadily},
    lag::Spread,
    target::{self, PATIENCE, Target, progress_bar},
};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use harness::{
    client::{ProfileInput, User},
    deployment::unique_handle,
    wait::persist,
};

/// How long to wait until the stack is idle.
const SETTLE: Duration = Duration::from_secs(1800);
/// Posts that the busy user writes at once.
const WRITES_AT_ONCE: usize = 4;
/// The busy author, and those whose posts are measured.
const AUTHORS: usize = 6;
/// Followers of each author.
const FOLLOWERS: usize = 3;
/// A post that has not arrived so long after the last one was written fails the measurement.
const ARRIVAL: Duration = Duration::from_secs(30);
/// Posts on a page when everything is read again.
const PAGE: u32 = 100;

#[derive(Debug, Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// Posts that the busy user writes first
    #[arg(long, default_value_t = 2000)]
    posts: usize,
    /// Newcomers who follow the busy user
    #[arg(long, default_value_t = 5)]
    newcomers: usize,
    /// Posts of the others in each second
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// How long the others post, in seconds: alone, and again beside the load
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    #[command(flatten)]
    target: target::Arguments,
}

/// The user whose load is to delay nobody else.
struct Busy {
    author: User,
    newcomers: Vec<User>,
    /// Profiles so far.
    changes: usize,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let target = Target::start(arguments.target)?;
    let dev = target.deployment.dev();
    let circles = circles(&target, AUTHORS, FOLLOWERS).await?;
    let Some((Circle { author, .. }, others)) = circles.split_first() else { bail!("there are authors") };
    let newcomers = target.register(arguments.newcomers).await?.into_iter().map(|(user, _)| user).collect();
    let mut busy = Busy { author: author.clone(), newcomers, changes: 0 };
    let posts = busy.write(arguments.posts).await?;

    let count = arguments.rate * arguments.seconds;
    let measure = async |name: &str| {
        let over = Arc::new(AtomicBool::new(false));
        let measuring = post_steadily(others, name, arguments.rate, count, &over).await?;
        tokio::time::sleep(ARRIVAL).await;
        over.store(true, Ordering::Relaxed);
        let times = measuring.join_all().await;
        times.into_iter().map(|times| times?.lag.context("a post of others did not arrive")).collect()
    };
    dev.settle(SETTLE).await?;
    let alone: Vec<Duration> = measure("alone").await?;
    let is_over = AtomicBool::new(false);
    let load = async {
        let mut rounds = 0;
        while !is_over.load(Ordering::Relaxed) {
            busy.round().await?;
            rounds += 1;
        }
        anyhow::Ok(rounds)
    };
    let measured = async {
        let times: Result<Vec<Duration>> = measure("beside").await;
        is_over.store(true, Ordering::Relaxed);
        times
    };
    let (rounds, beside) = tokio::try_join!(load, measured)?;

    let name = busy.follow_and_rename().await?;
    dev.settle(SETTLE).await?;
    busy.judge(&posts, &name).await?;
    println!(
        "{} posts, {} newcomers, {rounds} rounds of follows, profiles and unfollows",
        posts.len(),
        arguments.newcomers
    );
    let spread = |times| Spread::of(times).context("nothing was measured");
    let (alone, beside) = (spread(alone)?, spread(beside)?);
    println!("others alone      {alone}");
    println!("others beside it  {beside}");
    println!("ratio of the p99  {:.2}", beside.p99.as_secs_f64() / alone.p99.as_secs_f64());
    println!("every post is in every newcomer's home, with the newest profile");
    Ok(ExitCode::SUCCESS)
}

impl Busy {
    /// Writes so many posts. Returns their ids.
    async fn write(&self, count: usize) -> Result<BTreeSet<String>> {
        let bar = progress_bar("posts", count)?;
        let write = async |number: usize| {
            let (text, key) = (format!("post number {number}"), format!("busy-{number}"));
            let post = persist(PATIENCE, |_| {}, || self.author.post(&text, Some(&key))).await?.value;
            bar.inc(1);
            anyhow::Ok(post.id)
        };
        let posts = stream::iter(0..count).map(write).buffer_unordered(WRITES_AT_ONCE).try_collect().await?;
        bar.finish();
        Ok(posts)
    }

    /// Everybody follows, the profile changes, and everybody unfollows.
    async fn round(&mut self) -> Result<()> {
        self.follow_and_rename().await?;
        for newcomer in &self.newcomers {
            persist(PATIENCE, |_| {}, || newcomer.unfollow(&self.author.id)).await?;
        }
        Ok(())
    }

    /// Everybody follows, and the profile changes. Returns the new name.
    async fn follow_and_rename(&mut self) -> Result<String> {
        for newcomer in &self.newcomers {
            persist(PATIENCE, |_| {}, || newcomer.follow(&self.author.id)).await?;
        }
        self.changes += 1;
        let display_name = format!("Busy {}", self.changes);
        let profile = ProfileInput { handle: unique_handle(), display_name: display_name.clone(), avatar_url: None };
        persist(PATIENCE, |_| {}, || self.author.put_profile(&profile)).await?;
        Ok(display_name)
    }

    /// Whether each newcomer has all of these posts, by an author of this name, and nothing else.
    async fn judge(&self, posts: &BTreeSet<String>, name: &str) -> Result<()> {
        for newcomer in &self.newcomers {
            let home = newcomer.walk_home(PAGE).await?;
            let shown: BTreeSet<_> = home.iter().map(|post| post.id.clone()).collect();
            ensure!(shown.len() == home.len(), "a home shows a post twice");
            ensure!(&shown == posts, "a home shows {} of {} posts", shown.len(), posts.len());
            let old = home.iter().find(|post| post.author.display_name != name);
            ensure!(old.is_none(), "a post shows an old profile: {old:?}");
        }
        Ok(())
    }
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
