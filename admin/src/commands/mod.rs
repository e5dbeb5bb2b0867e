//! The subcommands.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod moderation;
pub(crate) mod plan;
pub(crate) mod quarantine;
pub(crate) mod rebuild;
pub(crate) mod recover;
pub(crate) mod stats;
pub(crate) mod status;

use anyhow::{Context, ensure};
use tidings::model::PostId;

/// The id of a post that an operator named.
///
/// # Errors
/// If it cannot be one.
fn post_id(named: &str) -> anyhow::Result<PostId> {
    named.parse().with_context(|| format!("{named} is not the id of a post"))
}

/// Refuses what cannot be undone unless the operator has said yes.
///
/// # Errors
/// If the operator has not.
fn require_yes(yes: bool, what: &str) -> anyhow::Result<()> {
    ensure!(yes, "{what} cannot be undone; add --yes if you mean it");
    Ok(())
}
