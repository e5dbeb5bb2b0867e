//! The subcommands, one file each. This file has what they share: finding the template, logging, and when to stop.

pub(crate) mod dynamodb;
pub(crate) mod gateway;
pub(crate) mod stack;

use std::{env, io::IsTerminal, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{ArgAction, Args};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How soon a process notices that its parent is gone.
const PARENT_POLL: Duration = Duration::from_millis(200);

/// Arguments of every subcommand.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Stop when the process that started this one ends
    #[arg(long)]
    exit_with_parent: bool,
    /// Log more to standard error; -vv logs even more
    #[arg(short, action = ArgAction::Count)]
    verbose: u8,
}

/// Arguments of the subcommands that read the template.
#[derive(Debug, Args)]
pub(crate) struct Template {
    /// Sets a template parameter; can be used several times
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parse_parameter)]
    parameters: Vec<(String, String)>,
    /// Template file [default: template.yaml in this directory or the nearest one above]
    #[arg(long = "template", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Template {
    /// Finds the template as cargo finds its manifest: the named file, else the file in the current directory, else the
    /// file in the nearest directory above.
    fn find(&self) -> anyhow::Result<PathBuf> {
        const NAME: &str = "template.yaml";
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let here = env::current_dir().context("cannot find out the current directory")?;
        if here.join(NAME).is_file() {
            return Ok(NAME.into());
        }
        let above = here.ancestors().map(|directory| directory.join(NAME)).find(|path| path.is_file());
        above.context("there is no template.yaml in this directory or above; name the file with --template FILE")
    }
}

fn parse_parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Common {
    /// The embedded servers log every request that they refuse. Such a request matters to its caller only, so most
    /// levels leave these lines out.
    fn log_to_stderr(&self) {
        let level = match self.verbose {
            0 => "warn,dynoxide=off,ferrokinesis=error",
            1 => "info,dynoxide=warn,ferrokinesis=warn",
            _ => "info,tidings_local=debug",
        };
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(level))
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(self.verbose > 1)
            .init();
    }

    /// Completes when the process has to stop: at Ctrl-C, at SIGTERM, or, with `--exit-with-parent`, when the parent
    /// ends.
    fn ending(&self) -> anyhow::Result<impl Future<Output = ()> + use<>> {
        let interrupted = interrupted()?;
        let with_parent = self.exit_with_parent;
        Ok(async move {
            tokio::select! {
                () = interrupted => {}
                () = orphaned(), if with_parent => {}
            }
        })
    }
}

fn interrupted() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Completes when another process has become the parent of this one. This function polls, because a parent-death signal
/// would already come when the *thread* ends that started this process.
async fn orphaned() {
    let parent = rustix::process::getppid();
    while rustix::process::getppid() == parent {
        tokio::time::sleep(PARENT_POLL).await;
    }
}
