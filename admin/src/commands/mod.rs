//! The subcommands.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod moderation;
pub(crate) mod quarantine;
pub(crate) mod recover;
pub(crate) mod status;

use anyhow::ensure;

/// Refuses what cannot be undone unless the operator has said yes.
///
/// # Errors
/// If the operator has not.
fn require_yes(yes: bool, what: &str) -> anyhow::Result<()> {
    ensure!(yes, "{what} cannot be undone; add --yes if you mean it");
    Ok(())
}
