//! Measures what one user's load delays. A user writes many posts and then changes the profile again and again, which
//! each time is to show on all of these posts. Right after that, the user and somebody else write a post each.

use std::{process::ExitCode, sync::atomic::AtomicBool, time::Duration};

use anyhow::{Context, Result};
use bench::{
    circle::circles,
    lag::{Spread, time_to_home},
    target::{self, PATIENCE, Target, progress_bar},
};
use clap::Parser;
use harness::{
    client::{ProfileInput, User},
    deployment::unique_handle,
    wait::persist,
};
use tokio::time::Instant;

/// How long to wait until the stack is idle.
const SETTLE: Duration = Duration::from_secs(900);

#[derive(Debug, Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// Posts that the busy user writes first
    #[arg(long, default_value_t = 2000)]
    posts: usize,
    /// Changes of the busy user's profile
    #[arg(long, default_value_t = 30)]
    changes: usize,
    /// How often the changes and the posts after them are measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    #[command(flatten)]
    target: target::Arguments,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let target = Target::start(arguments.target)?;
    let dev = target.deployment.dev();
    let circles = circles(&target, 2, 1).await?;
    let [busy, other] = circles.as_slice() else { anyhow::bail!("there are two authors") };
    let bar = progress_bar("posts", arguments.posts)?;
    for number in 0..arguments.posts {
        let text = format!("post number {number}");
        persist(PATIENCE, |_| {}, || busy.author.post(&text, None)).await?;
        bar.inc(1);
    }
    bar.finish();

    let (mut own, mut others) = (Vec::new(), Vec::new());
    for round in 0..arguments.rounds {
        dev.settle(SETTLE).await?;
        for number in 0..arguments.changes {
            let display_name = format!("Busy {round}.{number}");
            let profile = ProfileInput { handle: unique_handle(), display_name, avatar_url: None };
            persist(PATIENCE, |_| {}, || busy.author.put_profile(&profile)).await?;
        }
        let (after_own, after_other) =
            tokio::try_join!(lag(&busy.author, &busy.followers), lag(&other.author, &other.followers))?;
        own.push(after_own);
        others.push(after_other);
    }
    println!("{} posts, then {} profile changes", arguments.posts, arguments.changes);
    for (name, times) in [("own next post", own), ("other's post", others)] {
        let spread = Spread::of(times).context("nothing was measured")?;
        println!("{name:<14} {spread}");
    }
    Ok(ExitCode::SUCCESS)
}

/// How long a post by this author takes to the home of the first follower.
async fn lag(author: &User, followers: &[User]) -> Result<Duration> {
    let reader = followers.first().context("nobody follows")?;
    let post = persist(PATIENCE, |_| {}, || author.post("right after that", None)).await?.value.id;
    let lag = time_to_home(reader, &post, Instant::now(), &AtomicBool::new(false)).await?;
    lag.context("the measurement was over")
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
