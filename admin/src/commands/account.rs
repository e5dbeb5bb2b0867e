//! `export` and `erase`: what is stored about a user, and its removal.

use std::{io::Write, time::Duration};

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::require_yes;
use crate::{
    deployment::Deployment,
    output::{Output, progress},
};

/// Pages of one export at most: 100 million entries.
const PAGES_MAX: usize = 1_000_000;
/// How often the progress of an erasure is asked for.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Whose data is exported.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// The id of the user, or @handle
    user: String,
}

/// Whose account is erased.
#[derive(Debug, Args)]
pub(crate) struct EraseArguments {
    /// The id of the user, or @handle
    user: String,
    /// Do it, although it cannot be undone
    #[arg(long)]
    yes: bool,
    /// Wait until nothing is left but the end of the log
    #[arg(long)]
    wait: bool,
}

/// Writes what the command table holds about a user, and the number of entries so far to standard error.
pub(crate) async fn export(deployment: &Deployment, ExportArguments { user }: &ExportArguments) -> anyhow::Result<()> {
    let (mut user, mut at, mut count) = (user.clone(), Value::Null, 0);
    for _ in 0..PAGES_MAX {
        let mut page = deployment.ask("Moderate", &json!({ "export": { "user": user, "at": at } })).await?;
        let mut out = std::io::stdout().lock();
        for entry in page["entries"].as_array().context("the answer has no entries")? {
            writeln!(out, "{entry}")?;
            count += 1;
        }
        out.flush()?;
        at = page["next"].take();
        if at.is_null() {
            progress("");
            eprintln!("{count} entries");
            return Ok(());
        }
        progress(&format!("{count} entries so far"));
        // The handle may change meanwhile.
        user = page["user"].as_str().context("the answer has no user")?.to_owned();
    }
    anyhow::bail!("the export has more than {PAGES_MAX} pages")
}

/// Deletes an account, and waits for its erasure if that is wanted.
pub(crate) async fn erase(
    deployment: &Deployment,
    output: Output,
    EraseArguments { user, yes, wait }: &EraseArguments,
) -> anyhow::Result<()> {
    require_yes(*yes, &format!("the erasure of {user}"))?;
    let answer = deployment.invoke("Moderate", &json!({ "erase": { "user": user } })).await?;
    let id = answer["user"].as_str().context("the answer has no user")?.to_owned();
    if *wait {
        until_erased(deployment, &id).await?;
    }
    output.object(&answer);
    Ok(())
}

/// Waits until only the end of the log is left, and shows the progress.
async fn until_erased(deployment: &Deployment, id: &str) -> anyhow::Result<()> {
    loop {
        let page = deployment.ask("Moderate", &json!({ "export": { "user": id } })).await?;
        let entries = page["entries"].as_array().context("the answer has no entries")?;
        let more = if page["next"]["items"].is_null() { "" } else { " or more" };
        let is_end = |entry: &Value| entry["data"]["type"] == "AccountDeleted";
        ensure!(
            !entries.is_empty(),
            "nothing is left of {id}, not even the end of the log; look at the log of Deliver"
        );
        if entries.len() == 1 && more.is_empty() && entries.iter().all(is_end) {
            progress("");
            eprintln!("the items of {id} are removed");
            return Ok(());
        }
        progress(&format!("{}{more} items are left of {id}", entries.len()));
        tokio::time::sleep(PROGRESS_INTERVAL).await;
    }
}
