//! The stack under test: one that the benchmark starts itself, or one that already runs.

use std::{path::PathBuf, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use harness::{
    client::{ProfileInput, User},
    contract,
    deployment::{Deployment, unique},
    stack::{Options, Stack},
    wait::persist,
};
use indicatif::{ProgressBar, ProgressStyle, WeakProgressBar};
use tempfile::TempDir;

/// How long a request is repeated while the stack does not answer. This is longer than a restart takes.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// How often a line tells how far a bar came, where there is no terminal.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// The stack that a benchmark runs against.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "target")]
pub struct Arguments {
    /// URL of a running local stack [default: start one, and kill it at the end]
    #[arg(long)]
    #[arg(conflicts_with_all = ["data", "parameters", "duplicate_records", "reorder_records"])]
    #[arg(conflicts_with_all = ["function_timeout", "cache"])]
    url: Option<String>,
    /// Data directory of the started stack [default: a temporary directory]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Sets a template parameter of the started stack; can be used several times
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = name_and_value)]
    parameters: Vec<(String, String)>,
    /// Deliver some records twice
    #[arg(long)]
    duplicate_records: bool,
    /// Deliver records of different keys out of order
    #[arg(long)]
    reorder_records: bool,
    /// Milliseconds that each transaction takes; if not 0, transactions on the same item conflict as on AWS
    #[arg(long, default_value_t = 0)]
    transaction_ms: u32,
    /// Start a shared cache, if there is redis-server or valkey-server on this machine
    #[arg(long)]
    cache: bool,
    /// Timeout of every function of the started stack in seconds [default: those of the template]
    #[arg(long)]
    function_timeout: Option<u32>,
    /// Number of concurrent requests
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,
}

impl Arguments {
    /// Starts a shared cache, or none.
    pub fn with_cache(self, cache: bool) -> Self {
        Self { cache, ..self }
    }

    /// Sets this template parameter, unless the command line already sets it.
    pub fn with_parameter(mut self, name: &str, value: &str) -> Self {
        if !self.parameters.iter().any(|(given, _)| given == name) {
            self.parameters.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not Name=Value")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A running stack.
#[derive(Debug)]
pub struct Target {
    /// The API of the stack.
    pub deployment: Deployment,
    /// The number of concurrent requests.
    pub concurrency: usize,
    // Before the directory: fields are dropped in order, and the stack must stop before its data is deleted.
    stack: Option<Stack>,
    _data: Option<TempDir>,
}

impl Target {
    /// Starts a stack, unless the arguments name one.
    pub fn start(arguments: Arguments) -> Result<Self> {
        let concurrency = usize::from(arguments.concurrency);
        contract::disregard();
        if let Some(url) = arguments.url {
            return Ok(Self { deployment: Deployment::at(&url)?, concurrency, stack: None, _data: None });
        }
        let temporary = match &arguments.data {
            Some(_) => None,
            None => Some(tempfile::tempdir().context("cannot create a data directory")?),
        };
        let data = arguments.data.or_else(|| temporary.as_ref().map(|directory| directory.path().to_owned()));
        let stack = Stack::start(Options {
            data,
            parameters: arguments.parameters,
            duplicate_records: arguments.duplicate_records,
            reorder_records: arguments.reorder_records,
            check_access: false,
            transaction_ms: arguments.transaction_ms,
            function_timeout: arguments.function_timeout,
            cache: arguments.cache,
        })?;
        Ok(Self { deployment: Deployment::at(stack.url())?, concurrency, stack: Some(stack), _data: temporary })
    }

    /// Kills the whole stack with SIGKILL, and starts it again on its data.
    pub fn kill_and_restart(&mut self) -> Result<()> {
        let stack = self.stack.as_mut().context("only a stack that the benchmark started can be killed")?;
        stack.kill()?;
        stack.restart()
    }

    /// Creates `count` users with profiles. Their ids differ from those of all other runs on the same data.
    pub async fn register(&self, count: usize) -> Result<Vec<(User, ProfileInput)>> {
        let run = unique();
        let bar = progress_bar("users", count)?;
        let register = async |number: usize| {
            let user = self.deployment.user(&format!("bench-{run}-{number}")).await?;
            let handle = format!("b_{run}_{number}");
            let profile = ProfileInput { handle, display_name: format!("User {number}"), avatar_url: None };
            persist(PATIENCE, |_| {}, || user.put_profile(&profile)).await?;
            bar.inc(1);
            anyhow::Ok((user, profile))
        };
        let users: Vec<_> = stream::iter(0..count).map(register).buffered(self.concurrency).try_collect().await?;
        bar.finish();
        ensure!(users.len() == count, "some users were not created");
        Ok(users)
    }
}

/// A progress bar with the name of what it counts. Where standard error is no terminal, a line every few seconds tells
/// how far it came.
pub fn progress_bar(what: &'static str, length: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg:>10} {wide_bar} {pos}/{len} {per_sec} {eta}")?;
    let bar = ProgressBar::new(u64::try_from(length)?).with_style(style).with_message(what);
    if bar.is_hidden() {
        let weak = bar.downgrade();
        thread::spawn(move || tell(&weak, what, TOLD_EVERY, |line| eprintln!("{line}")));
    }
    Ok(bar)
}

/// Tells how far a bar came, until it is finished or dropped.
fn tell(bar: &WeakProgressBar, what: &str, every: Duration, mut told: impl FnMut(String)) {
    loop {
        thread::sleep(every);
        let Some(bar) = bar.upgrade().filter(|bar| !bar.is_finished()) else { return };
        told(format!("{what} {}/{}", bar.position(), bar.length().unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_terminal_lines_tell_how_far_a_bar_came() {
        let bar = ProgressBar::hidden();
        bar.set_length(20);
        bar.inc(5);
        let (send, told) = std::sync::mpsc::channel();
        let weak = bar.downgrade();
        let telling =
            thread::spawn(move || tell(&weak, "posts", Duration::from_millis(1), |line| drop(send.send(line))));
        assert_eq!([told.recv().unwrap(), told.recv().unwrap()], ["posts 5/20", "posts 5/20"]);
        bar.finish();
        telling.join().unwrap();
    }

    #[test]
    fn a_parameter_is_split_at_its_first_equals_sign() {
        assert_eq!(name_and_value("Key=a=b"), Ok(("Key".to_owned(), "a=b".to_owned())));
        assert!(name_and_value("Key").is_err());
    }
}
