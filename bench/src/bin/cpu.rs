//! Measures what one home page of 20 posts takes of the processor, in the process of the function GetFeed alone, and a
//! cold start. Beside it run programs that read the same items and answer with the same posts, but do nothing else: in
//! Rust with the SDK, in Rust without it, in Python and in Node.js. All of them take turns.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bench::{
    handler::{ColdStart, Handler, Program},
    home_page,
    recorded::Recorded,
    target::{self, Target},
};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

/// How long to wait until the stack is idle.
const SETTLE: Duration = Duration::from_secs(900);
/// After this time, a process of GetFeed reads cards again. It keeps two lists of the whole deployment longer.
const CACHE_EXPIRES: Duration = Duration::from_millis(2500);
/// Authors whom each viewer follows. Nobody else follows them.
const AUTHORS: usize = 5;
/// Posts of each author. Together they are more than a page, so that pages have a cursor.
const POSTS: usize = 5;
/// Posts of a page.
const PAGE: usize = 20;
/// The function that is measured.
const FUNCTION: &str = "GetFeed";
/// The name of the function's binary, and what its measurements are called.
const OURS: &str = "get-feed";
/// The workspace.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[derive(Debug, Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// Viewers whose homes are read, one after the other
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(2..=200))]
    viewers: u16,
    /// Times that every program has its turn
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Cold starts of each turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    cold_starts: u16,
    /// Also measures this binary, another build of get-feed; can be used several times
    #[arg(long = "build", value_name = "NAME=PATH", value_parser = name_and_path)]
    builds: Vec<(String, PathBuf)>,
    /// Leaves out all programs but get-feed
    #[arg(long)]
    no_peers: bool,
    /// Prints JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Shows what the programs write
    #[arg(long)]
    show_output: bool,
    #[command(flatten)]
    target: target::Arguments,
}

fn name_and_path(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("not NAME=PATH")?;
    Ok((name.to_owned(), path.into()))
}

/// What was measured of one program. Times are in microseconds, medians of all turns.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// Of a page whose posts the process has not read before.
    uncached_us: f64,
    /// Of a page that the process has just read.
    cached_us: f64,
    /// From the start of the process to its first answer.
    cold_start_us: f64,
    /// Of the process until its first answer.
    cold_cpu_us: f64,
}

/// The measurements of one program.
#[derive(Debug, Default)]
struct Measured {
    uncached: Vec<Duration>,
    cached: Vec<Duration>,
    cold: Vec<Duration>,
    cold_cpu: Vec<Duration>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    eprintln!("building");
    let peers = if arguments.no_peers { &[][..] } else { &["peer-sdk", "peer-raw"] };
    let mut programs = rust_programs(peers)?;
    programs.splice(1..1, arguments.builds.iter().map(|(name, path)| program(name, path, &[])));
    if !arguments.no_peers {
        programs.extend(python());
        programs.extend(node());
    }
    eprintln!("writing posts");
    let target = Target::start(arguments.target.clone().with_parameter("ShowCosts", "false"))?;
    let viewers = write(&target, usize::from(arguments.viewers)).await?;
    let environment = environment(&target, &viewers[0]).await?;
    let recorded = Recorded::start(&target.deployment.dev().status().await?.endpoints.dynamodb).await?;
    for program in &mut programs {
        program.environment.extend(environment.clone());
        program.environment.insert("AWS_ENDPOINT_URL_DYNAMODB".into(), (&recorded.url).into());
        eprintln!("recording what {} reads", program.name);
        let (mut handler, first) = start(program, &viewers[0].id, &arguments).await?;
        home_page::check(&first.answer, PAGE)?;
        for viewer in &viewers {
            home_page::check(&handler.invoke(&home_page::event(&viewer.id)).await?, PAGE)?;
        }
    }
    let viewers: Vec<String> = viewers.into_iter().map(|viewer| viewer.id).collect();
    recorded.seal();
    // Nothing else may run while something is measured.
    drop(target);

    let mut measured: Vec<Measured> = programs.iter().map(|_| Measured::default()).collect();
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}", arguments.rounds);
        for (program, measured) in programs.iter().zip(&mut measured) {
            turn(program, &viewers, &arguments, measured).await?;
        }
    }
    let rows: Vec<_> = programs.iter().zip(measured).map(|(program, measured)| row(program, measured)).collect();
    match arguments.json {
        true => println!("{}", serde_json::to_string_pretty(&rows)?),
        false => print(&rows),
    }
    Ok(())
}

async fn start(program: &Program, viewer: &str, arguments: &Arguments) -> Result<(Handler, ColdStart)> {
    Handler::start(program, &home_page::event(viewer), arguments.show_output).await
}

/// One turn of a program: cold starts, pages of all viewers, the same again when nothing is cached any more, and as
/// many pages of one viewer.
async fn turn(program: &Program, viewers: &[String], arguments: &Arguments, measured: &mut Measured) -> Result<()> {
    let count = u32::try_from(viewers.len())?;
    for _ in 0..arguments.cold_starts {
        let (_, ColdStart { time, cpu, .. }) = start(program, &viewers[0], arguments).await?;
        measured.cold.push(time);
        measured.cold_cpu.push(cpu);
    }
    let (mut handler, _) = start(program, &viewers[0], arguments).await?;
    let events: Vec<_> = viewers.iter().map(|viewer| home_page::event(viewer)).collect();
    // The first pass warms up: connections, and compilers that compile what is often run.
    let mut pass = Duration::ZERO;
    for _ in 0..2 {
        sleep_until(Instant::now() + CACHE_EXPIRES).await;
        let before = handler.cpu().await?;
        for event in &events {
            handler.invoke(event).await?;
        }
        pass = handler.cpu().await? - before;
    }
    measured.uncached.push(pass / count);
    let before = handler.cpu().await?;
    for _ in 0..count {
        // The last viewer's posts are those that were read last.
        handler.invoke(&events[events.len() - 1]).await?;
    }
    measured.cached.push((handler.cpu().await? - before) / count);
    Ok(())
}

/// Users whose homes are full of posts that nobody else has.
async fn write(target: &Target, count: usize) -> Result<Vec<harness::client::User>> {
    let people = target.register(count * (AUTHORS + 1)).await?;
    let people: Vec<_> = people.into_iter().map(|(user, _)| user).collect();
    let (viewers, authors) = people.split_at(count);
    let write = async |(viewer, authors): (&harness::client::User, &[harness::client::User])| {
        for author in authors {
            viewer.follow(&author.id).await?;
            for number in 0..POSTS {
                let text = format!("post {number}, as long as posts are, about #rust: {}", "word ".repeat(16));
                let post = author.post(&text, None).await?.value;
                if number == 0 {
                    viewer.like(&post.id).await?;
                }
            }
        }
        anyhow::Ok(())
    };
    let homes = stream::iter(viewers.iter().zip(authors.chunks_exact(AUTHORS)));
    homes.map(write).buffer_unordered(target.concurrency).try_collect::<()>().await?;
    target.deployment.dev().settle(SETTLE).await?;
    Ok(viewers.to_vec())
}

/// The environment that the stack gives GetFeed, which is what the template says.
async fn environment(target: &Target, viewer: &harness::client::User) -> Result<BTreeMap<OsString, OsString>> {
    use std::os::unix::ffi::OsStrExt as _;
    // Afterwards there is a process.
    viewer.home(1, None).await?;
    let status = target.deployment.dev().status().await?;
    let process = status.processes.iter().find(|process| process.function == FUNCTION);
    let file = format!("/proc/{}/environ", process.context("no process of GetFeed")?.pid);
    let text = std::fs::read(&file).with_context(|| format!("cannot read {file}: this needs Linux"))?;
    let pairs = text.split(|byte| *byte == 0).filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        Some((OsStr::from_bytes(&pair[..at]).to_owned(), OsStr::from_bytes(&pair[at + 1..]).to_owned()))
    });
    Ok(pairs.collect())
}

/// Builds get-feed and these peers as they are deployed.
fn rust_programs(peers: &[&str]) -> Result<Vec<Program>> {
    let names: Vec<_> = std::iter::once(OURS).chain(peers.iter().copied()).collect();
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--release", "--workspace"]).current_dir(WORKSPACE);
    command.args(names.iter().flat_map(|name| ["--bin", name]));
    ensure!(command.status().context("cannot run cargo")?.success(), "cannot build {}", names.join(", "));
    let release = env::current_exe()?.ancestors().nth(2).context("no target directory")?.join("release");
    Ok(names.iter().map(|name| program(name, &release.join(name), &[])).collect())
}

fn program(name: &str, command: &Path, arguments: &[&Path]) -> Program {
    let arguments = arguments.iter().map(|argument| argument.as_os_str().to_owned()).collect();
    Program { name: name.to_owned(), command: command.to_owned(), arguments, environment: BTreeMap::new() }
}

/// The handler in Python, if its packages are there.
fn python() -> Option<Program> {
    let command = Path::new(WORKSPACE).join("target/peers/python/bin/python3");
    if !command.is_file() {
        eprintln!(
            "without Python: python3 -m venv target/peers/python && target/peers/python/bin/pip install boto3 adds it"
        );
        return None;
    }
    Some(program("python-boto3", &command, &[&Path::new(WORKSPACE).join("bench/peers/python/handler.py")]))
}

/// The handler in Node.js, if its packages are there.
fn node() -> Option<Program> {
    let modules = Path::new(WORKSPACE).join("target/peers/node/node_modules");
    let path = env::var_os("PATH").unwrap_or_default();
    let node = env::split_paths(&path).map(|directory| directory.join("node")).find(|node| node.is_file());
    let Some(node) = node.filter(|_| modules.is_dir()) else {
        eprintln!("without Node.js: npm install --prefix target/peers/node @aws-sdk/client-dynamodb adds it");
        return None;
    };
    let mut program = program("node-sdk-v3", &node, &[&Path::new(WORKSPACE).join("bench/peers/node/handler.js")]);
    program.environment.insert("NODE_PATH".into(), modules.into());
    Some(program)
}

fn row(program: &Program, measured: Measured) -> Row {
    Row {
        name: program.name.clone(),
        uncached_us: median(measured.uncached),
        cached_us: median(measured.cached),
        cold_start_us: median(measured.cold),
        cold_cpu_us: median(measured.cold_cpu),
    }
}

/// The median in microseconds, or 0 of nothing.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let middle = times.len() / 2;
    let around = match (times.len() % 2, middle.checked_sub(1)) {
        (0, Some(before)) => times.get(before).zip(times.get(middle)).map(|(one, other)| (*one + *other) / 2),
        _ => times.get(middle).copied(),
    };
    around.unwrap_or_default().as_secs_f64() * 1e6
}

/// The times with their ratios to the first row, which is ours.
fn print(rows: &[Row]) {
    let Some(ours) = rows.first() else { return };
    println!("| program | CPU of a page, uncached | cached | cold start | its CPU |\n|---|--:|--:|--:|--:|");
    for Row { name, uncached_us, cached_us, cold_start_us, cold_cpu_us } in rows {
        let with_ratio = |us: f64, ours: f64| format!("{us:.0} µs ({:.2})", us / ours);
        println!(
            "| {name} | {} | {} | {} | {} |",
            with_ratio(*uncached_us, ours.uncached_us),
            with_ratio(*cached_us, ours.cached_us),
            with_ratio(*cold_start_us, ours.cold_start_us),
            with_ratio(*cold_cpu_us, ours.cold_cpu_us),
        );
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

    #[test]
    fn the_median_is_in_the_middle() {
        let of = |micros: &[u64]| median(micros.iter().copied().map(Duration::from_micros).collect());
        assert_eq!([of(&[]), of(&[7]), of(&[9, 1, 2]), of(&[1, 2, 3, 10])].map(|us| us.round()), [0.0, 7.0, 2.0, 3.0]);
    }
}
