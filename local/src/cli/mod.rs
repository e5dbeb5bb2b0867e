//! One file a command, and here what they have in common: where the template is, what is logged, and when to end.

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

/// Arguments of every command.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// End when the process that started this one ends.
    #[arg(long)]
    exit_with_parent: bool,
    /// Log more on standard error: -v what happens, -vv more of it.
    #[arg(short, action = ArgAction::Count)]
    verbose: u8,
}

/// Arguments of commands that read the template.
#[derive(Debug, Args)]
pub(crate) struct Template {
    /// Value of a template parameter; may be repeated.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parse_parameter)]
    parameters: Vec<(String, String)>,
    /// The template [default: template.yaml here or in a directory above].
    #[arg(long = "template", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Template {
    /// As cargo finds its manifest: the one that was named, one here, or one in the nearest directory above.
    fn find(&self) -> anyhow::Result<PathBuf> {
        const NAME: &str = "template.yaml";
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let here = env::current_dir().context("cannot tell the current directory")?;
        if here.join(NAME).is_file() {
            return Ok(NAME.into());
        }
        let above = here.ancestors().map(|directory| directory.join(NAME)).find(|path| path.is_file());
        above.context("there is no template.yaml here or above; name one with --template FILE")
    }
}

fn parse_parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Common {
    /// The libraries that are served here log every refused request, which is the business of whoever made it.
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

    /// Completes when the command is to end: Ctrl-C, SIGTERM, or the end of the parent if that counts.
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

/// Completes when another process has become the parent of this one. Asked now and then rather than by a parent-death
/// signal, which would come when the *thread* ends that started this process.
async fn orphaned() {
    let parent = rustix::process::getppid();
    while rustix::process::getppid() == parent {
        tokio::time::sleep(PARENT_POLL).await;
    }
}
