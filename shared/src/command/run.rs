//! How every command runs: read, decide, commit.

use rand::Rng;

use super::{
    attempts::Attempts,
    decision::{Command, Committed, Decision, Turn},
};
use crate::{
    error::{Error, Rejection},
    model::{Clock, CommandId, LogEvent, TallyShard, UserId, Version},
    store::command_table::{CommandTable, Head},
};

/// Runs a command until it is committed, found unnecessary, or rejected.
///
/// # Errors
/// [`Error::Rejected`] if the request is at fault, or the caller has no profile but needs one; [`Error::Conflict`] if
/// the command lost races too often or for too long; otherwise as the store's. After an error other than a rejection,
/// the command may have been committed.
pub async fn run<C: Command>(
    command: &C,
    caller: &UserId,
    commands: &CommandTable,
    clock: &Clock,
) -> Result<Committed<C::Output>, Error> {
    let id = CommandId::new(clock.now());
    let mut attempts = Attempts::start();
    loop {
        let attempt = attempts.next().await?;
        let (head, state) = tokio::try_join!(commands.head(caller), command.read(caller, commands))?;
        if C::NEEDS_PROFILE {
            require_profile(&head)?;
        }
        let shard = TallyShard::for_attempt(attempt, rand::rng().random());
        let turn = Turn { version: head.version.next(), totals: head.totals, command: id, shard, at: clock.now() };
        let (event, totals, changes, output) = match command.decide(caller, &state, turn)? {
            Decision::Append { event, totals, changes, output } => (event, totals, changes, output),
            // What was observed may have been committed after the head was read. The version has to cover it (INV-4).
            Decision::Unchanged(output) => {
                return Ok(Committed { version: commands.head(caller).await?.version, output });
            }
            Decision::Replay { version, output } => return Ok(Committed { version, output }),
        };
        let event = LogEvent { user: caller.clone(), version: turn.version, command: id, at: turn.at, totals, event };
        let committed = Committed { version: turn.version, output };
        match commands.commit(&event, &changes).await {
            Ok(()) => return Ok(committed),
            // A try whose answer was lost may have been committed. The SDK's retry then conflicts with the event of
            // that try.
            Err(error @ (Error::Conflict | Error::Transient { .. })) => {
                if commands.appended_by(caller, turn.version).await? == Some(id) {
                    return Ok(committed);
                }
                if !matches!(error, Error::Conflict) {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Checks that the caller has a profile. The creation of the profile is the first event of a log, so the head of the
/// log tells it without another read.
///
/// # Errors
/// [`Rejection::ProfileRequired`] if the log is empty.
pub(super) fn require_profile(head: &Head) -> Result<(), Rejection> {
    if head.version == Version::ZERO { Err(Rejection::ProfileRequired) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
