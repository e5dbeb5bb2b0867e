//! What a benchmark runs against: a stack that it starts itself, or one that runs already.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use harness::{
    client::{ProfileInput, User},
    contract,
    deployment::{Deployment, unique},
    stack::{Options, Stack},
    wait::persist,
};
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::TempDir;

/// How long a request is tried again while nobody answers: longer than a stack takes to restart.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Where to send everything.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "target")]
pub struct Arguments {
    /// A local stack that runs already; by default one is started, and killed at the end.
    #[arg(long, conflicts_with_all = ["data", "parameters", "duplicate_records", "reorder_records"])]
    url: Option<String>,
    /// Data directory of the stack that is started; by default a temporary one.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Overrides a template parameter, as Name=Value.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = name_and_value)]
    parameters: Vec<(String, String)>,
    /// Event sources deliver records twice now and then.
    #[arg(long)]
    duplicate_records: bool,
    /// Event sources deliver records of different keys out of order.
    #[arg(long)]
    reorder_records: bool,
    /// Transactions take so many milliseconds, and conflict with each other as on AWS; 0 for neither.
    #[arg(long, default_value_t = 0)]
    transaction_ms: u32,
    /// Requests at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,
}

impl Arguments {
    /// The same with this template parameter, unless the command line sets it.
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

/// A stack that serves.
#[derive(Debug)]
pub struct Target {
    /// Its API.
    pub deployment: Deployment,
    /// Requests at once.
    pub concurrency: usize,
    // Before the directory: fields are dropped in order, and the stack must be gone when its data goes.
    stack: Option<Stack>,
    _data: Option<TempDir>,
}

impl Target {
    /// Starts the stack, if none is named.
    pub fn start(arguments: Arguments) -> Result<Self> {
        let concurrency = usize::from(arguments.concurrency);
        contract::disregard();
        if let Some(url) = arguments.url {
            return Ok(Self { deployment: Deployment::at(&url)?, concurrency, stack: None, _data: None });
        }
        let temporary = match &arguments.data {
            Some(_) => None,
            None => Some(tempfile::tempdir().context("making a data directory")?),
        };
        let data = arguments.data.or_else(|| temporary.as_ref().map(|directory| directory.path().to_owned()));
        let stack = Stack::start(Options {
            data,
            parameters: arguments.parameters,
            duplicate_records: arguments.duplicate_records,
            reorder_records: arguments.reorder_records,
            transaction_ms: arguments.transaction_ms,
        })?;
        Ok(Self { deployment: Deployment::at(stack.url())?, concurrency, stack: Some(stack), _data: temporary })
    }

    /// Kills the whole stack with SIGKILL and starts it again on its data.
    pub fn kill_and_restart(&mut self) -> Result<()> {
        let stack = self.stack.as_mut().context("only a stack started here can be killed")?;
        stack.kill()?;
        stack.restart()
    }

    /// `count` new users with profiles; their ids have nothing to do with those of other runs on the same data.
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
        ensure!(users.len() == count, "not every user was made");
        Ok(users)
    }
}

/// A bar that names what it counts.
pub fn progress_bar(what: &'static str, length: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg:>10} {wide_bar} {pos}/{len} {per_sec} {eta}")?;
    Ok(ProgressBar::new(u64::try_from(length)?).with_style(style).with_message(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_split_at_its_first_equals_sign() {
        assert_eq!(name_and_value("Key=a=b"), Ok(("Key".to_owned(), "a=b".to_owned())));
        assert!(name_and_value("Key").is_err());
    }
}
