//! Replays a social graph with its posts, likes and comments through the HTTP API, and with unfollows, mutes, blocks
//! and deletions. Compares every home feed, every tag and all comments with a reference model, and several times the
//! trending feed. The model also knows which commands must be refused. Exits with 1 if there is any difference.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use bench::{
    changes::{self, Shares},
    chaos::FunctionKiller,
    command::Kinds,
    graph,
    lag::{Spread, rate},
    plan::{plan, strew},
    reactions::{self, Amounts},
    rebuild,
    replay::Replay,
    target::{self, Target},
    texts,
};
use clap::Parser;
use harness::{dev_client::DevClient, model::Difference};
use rand::{SeedableRng, rngs::StdRng};
use tokio::time::Instant;

/// How long to wait until the stack is idle. If a function is killed, its queue message becomes visible only after the
/// queue's visibility timeout.
const SETTLE: Duration = Duration::from_secs(3600);
/// The number of parts of the plan. After each part the stack comes to rest, and the trending feed is compared.
const PARTS: usize = 3;
/// How many differences are printed.
const SHOWN: usize = 20;
const TIMELINES: [&str; 2] = ["tidings-Timelines", "tidings-TimelinesB"];
/// Segments of a rebuild.
const SEGMENTS: u32 = 8;

#[derive(Debug, Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// File with edges, lines of `follower<TAB>followee`, plain or .gz [default: a generated graph]
    #[arg(long)]
    follows: Option<PathBuf>,
    /// File with posts, lines of `{"author": …, "text": …}`, plain or .gz [default: generated posts]
    #[arg(long)]
    posts: Option<PathBuf>,
    /// Number of the most-followed users who take part
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..))]
    users: u32,
    /// Number of posts
    #[arg(long, default_value_t = 2000)]
    post_count: u32,
    /// Number of likes [default: ten times as many as posts]
    #[arg(long)]
    likes: Option<u32>,
    /// Number of comments [default: twice as many as posts]
    #[arg(long)]
    comments: Option<u32>,
    /// Number of edits [default: one for ten posts]
    #[arg(long)]
    edits: Option<u32>,
    /// Of 1000 follows, so many end; half of these come back
    #[arg(long, default_value_t = 50, value_name = "PER_MILLE", value_parser = per_mille())]
    unfollows: u32,
    /// Of 1000 follows, so many become mutes of the followee; half of these end
    #[arg(long, default_value_t = 20, value_name = "PER_MILLE", value_parser = per_mille())]
    mutes: u32,
    /// Of 1000 follows, so many get a block between the two users; half of these end, and the follow comes back
    #[arg(long, default_value_t = 10, value_name = "PER_MILLE", value_parser = per_mille())]
    blocks: u32,
    /// Of 1000 posts, so many are deleted
    #[arg(long, default_value_t = 50, value_name = "PER_MILLE", value_parser = per_mille())]
    deletes: u32,
    /// Seed of everything random, except for what depends on timing
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Measure the lag of every so-many-th post
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    sample_every: u32,
    /// Kill a random function process every so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    kill_functions: Option<u64>,
    /// Kill the whole stack in the middle, and start it again on its data
    #[arg(long, conflicts_with = "url")]
    kill_stack: bool,
    /// Rebuild all read models in the middle, and once more at rest
    #[arg(long)]
    rebuild: bool,
    #[command(flatten)]
    target: target::Arguments,
}

fn per_mille() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(0..=1000)
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let (users, post_count) = (usize::try_from(arguments.users)?, usize::try_from(arguments.post_count)?);
    let mut random = StdRng::seed_from_u64(arguments.seed);
    let graph = match &arguments.follows {
        Some(path) => graph::most_followed(path, users)?,
        None => graph::generate(users, &mut random)?,
    };
    let drafts = match &arguments.posts {
        Some(path) => texts::load(path, post_count, users, &mut random)?,
        None => texts::generate(post_count, users, &mut random)?,
    };
    let amounts = Amounts {
        likes: usize::try_from(arguments.likes.unwrap_or(10 * arguments.post_count))?,
        comments: usize::try_from(arguments.comments.unwrap_or(2 * arguments.post_count))?,
        edits: usize::try_from(arguments.edits.unwrap_or(arguments.post_count / 10))?,
    };
    let Arguments { unfollows, mutes, blocks, deletes, .. } = arguments;
    let shares = Shares { unfollows, mutes, blocks, deletes };
    println!("{users} users, {} follows, {post_count} posts, {amounts:?}, seed {}", graph.edges.len(), arguments.seed);
    let mut chains = reactions::generate(&drafts, users, amounts, &mut random)?;
    chains.extend(changes::generate(&graph, &drafts, shares, &mut random));
    let commands = strew(plan(graph, drafts, &mut random), chains, &mut random);
    let count = commands.len();
    println!("{count} commands: {}", Kinds::of(&commands));

    let rebuild = arguments.rebuild;
    let target = if rebuild { arguments.target.with_parameter("CelebrityListSeconds", "1") } else { arguments.target };
    let mut target = Target::start(target)?;
    let dev = target.deployment.dev();
    let rows_before = rows(&dev).await?;
    let people = target.register(users).await?;
    let mut replay = Replay::new(people, &commands, target.concurrency, usize::try_from(arguments.sample_every)?);
    let killer =
        arguments.kill_functions.map(|seconds| FunctionKiller::start(dev.clone(), Duration::from_secs(seconds)));
    let kill_stack = arguments.kill_stack;
    let mut took = Duration::ZERO;
    let mut differences = Vec::new();
    let part = count.div_ceil(PARTS).max(1);
    let mut rest = commands;
    for number in 1..=PARTS {
        let commands: Vec<_> = rest.drain(..part.min(rest.len())).collect();
        let is_middle = number == PARTS.div_ceil(2);
        let kill = kill_stack && is_middle;
        if rebuild && is_middle {
            rebuild::start(&dev, SEGMENTS).await?;
        }
        took += replay.send(commands, || if kill { target.kill_and_restart() } else { Ok(()) }).await?;
        if number < PARTS {
            dev.settle(SETTLE).await?;
            let (seen, found) = replay.compare_trending().await?;
            println!("trending   {seen} posts after part {number} of {PARTS}, {} differences", found.len());
            differences.extend(found);
        }
    }
    println!("commands   {count} in {:.1} s, {:.0}/s", took.as_secs_f64(), rate(count, took));
    println!("retries    {:?}", replay.retries());
    let (refused, found) = replay.refusals();
    println!("refused    {refused} commands as expected, {} differences", found.len());
    differences.extend(found);
    if let Some(killer) = killer {
        println!("killed     {} function processes", killer.killed());
    }
    if kill_stack {
        println!("killed     the stack, once");
    }

    let sent = Instant::now();
    dev.settle(SETTLE).await?;
    println!("at rest    {:.1} s after the last command", sent.elapsed().as_secs_f64());
    if rebuild {
        rebuild::finish(&dev).await?;
        dev.settle(SETTLE).await?;
    }
    for (queue, count) in dev.put_aside().await? {
        println!("put aside  {count} messages in {queue}");
    }
    let lags = replay.lags().await?;
    match Spread::of(lags.times) {
        Some(spread) => println!("lag        {spread}"),
        None => println!("lag        nothing measured"),
    }
    let rows = rows(&dev).await? - rows_before;
    println!(
        "rows       {rows} in timelines; the model shows {} in homes and lists of authors",
        replay.timeline_rows()
    );
    differences.extend(compare(&replay, users).await?);
    if rebuild {
        println!("rebuild    once more, at rest");
        rebuild::start(&dev, SEGMENTS).await?;
        let done = rebuild::finish(&dev).await?;
        dev.settle(SETTLE).await?;
        done.print_rates(post_count, self::rows(&dev).await?);
        differences.extend(compare(&replay, users).await?);
    }
    for difference in differences.iter().take(SHOWN) {
        println!("  {difference}");
    }
    println!("differences {}", differences.len());
    if lags.lost > 0 {
        println!("lost       {} sampled posts never reached the follower", lags.lost);
    }
    Ok(if differences.is_empty() && lags.lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compares what is shown with the model.
async fn compare(replay: &Replay, users: usize) -> Result<Vec<Difference>> {
    let mut differences = Vec::new();
    let (seen, found) = replay.compare_homes().await?;
    println!("compared   {users} homes with {seen} posts");
    differences.extend(found);
    let (tags, found) = replay.compare_tags().await?;
    println!("compared   {tags} tags");
    differences.extend(found);
    let (searches, found) = replay.compare_searches().await?;
    println!("compared   {searches} searches");
    differences.extend(found);
    let (comments, hidden, found) = replay.compare_comments().await?;
    println!("compared   {comments} comments, {hidden} posts that are deleted or cut off by a block");
    differences.extend(found);
    let (seen, found) = replay.compare_trending().await?;
    println!("compared   {seen} posts that trend");
    differences.extend(found);
    let (seen, found) = replay.compare_notifications().await?;
    println!("compared   {seen} notifications");
    differences.extend(found);
    let (seen, found) = replay.compare_statistics().await?;
    println!("compared   statistics of {seen} posts");
    differences.extend(found);
    Ok(differences)
}

/// Rows in both tables of timelines.
async fn rows(dev: &DevClient) -> Result<u64> {
    let mut rows = 0;
    for table in TIMELINES {
        rows += dev.count_items(table).await?;
    }
    Ok(rows)
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
