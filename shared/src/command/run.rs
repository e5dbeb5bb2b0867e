//! How every command runs: read, decide, commit.

use rand::Rng;

use super::{
    attempts::Attempts,
    decision::{Command, Committed, Decision, Turn},
};
use crate::{
    error::{Error, Rejection},
    model::{Clock, CommandId, LogEvent, TallyShard, UserId},
    store::command_table::CommandTable,
};

/// Runs a command until it is committed, found unnecessary, or rejected.
///
/// # Errors
/// [`Error::Rejected`] if the request is at fault, or above a rate limit; [`Error::Conflict`] if the command lost races
/// too often or for too long; otherwise as the store's. After an error other than a rejection, the command may have
/// been committed.
pub async fn run<C: Command>(
    command: &C,
    caller: &UserId,
    commands: &CommandTable,
    clock: &Clock,
) -> Result<Committed<C::Output>, Error> {
    let id = CommandId::new(clock.now());
    let mut attempts = Attempts::start();
    let mut known = None;
    loop {
        let attempt = attempts.next().await?;
        let (head, state) = tokio::try_join!(commands.head(caller), command.read(caller, commands))?;
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
        // Only what changes something is charged. The event carries the charge, so a command is charged once.
        let spent = match commands.rate_limits.charge(head.spent, &event, turn.at) {
            Ok(spent) => spent,
            Err(limited) if known == Some(head.version) => return Err(Rejection::from(limited).into()),
            // The state may be older than the head. Then the last of the limit may have gone to the same request, and
            // this one is a repetition. The next attempt reads a state that is as new as this head.
            Err(_) => {
                known = Some(head.version);
                continue;
            }
        };
        let (user, version, at) = (caller.clone(), turn.version, turn.at);
        let event = LogEvent { user, version, command: id, at, totals, spent, event };
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

#[cfg(test)]
mod tests;
