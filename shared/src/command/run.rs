//! How every command runs: read, decide, commit.

use rand::Rng;

use super::{
    attempts::Attempts,
    decision::{Command, Committed, Decision, Turn},
};
use crate::{
    error::{Error, Rejection},
    model::{Clock, CommandId, LogEvent, TallyShard, TallySubject, UserId, Version},
    store::command_table::{CommandTable, Head},
};

/// Runs a command until it is committed, found unnecessary, or rejected.
///
/// # Errors
/// [`Error::Rejected`] if the request is at fault or above a rate limit, or the caller has no profile but needs one;
/// [`Error::Conflict`] if the command lost races, or was refused in a crowd, too often or for too long; otherwise as
/// the store's. After an error other than a rejection, the command may have been committed.
pub async fn run<C: Command>(
    command: &C,
    caller: &UserId,
    commands: &CommandTable,
    clock: &Clock,
) -> Result<Committed<C::Output>, Error> {
    let id = CommandId::new(clock.now());
    let mut attempts = Attempts::start();
    let mut open = OpenCommits { id, commits: Vec::new() };
    let (mut is_rejected, mut known) = (false, None);
    let counter = command.counter();
    loop {
        let attempt = attempts.next().await?;
        let Some((head, state)) = read(command, caller, commands, counter.as_ref(), clock).await? else { continue };
        if C::NEEDS_PROFILE {
            require_profile(&head)?;
        }
        let (at, random) = (clock.now(), rand::rng().random());
        let shard = match &counter {
            Some(counter) => commands.busy.tally_shard(counter, at, random),
            None => TallyShard::for_attempt(attempt, random),
        };
        let (version, totals, standing) = (head.version.next(), head.totals, head.standing);
        let turn = Turn { version, standing, totals, command: id, shard, at };
        let decided = command.admit(standing).and_then(|()| command.decide(caller, &state, turn));
        let (event, totals, changes, output) = match decided {
            Ok(Decision::Append { event, totals, changes, output }) => (event, totals, changes, output),
            // What was observed may have been committed after the head was read. The version has to cover it (INV-4).
            Ok(Decision::Unchanged(output)) => {
                return Ok(Committed { version: commands.head(caller).await?.version, output });
            }
            Ok(Decision::Replay { version, output }) => return Ok(Committed { version, output }),
            Err(rejection) => match open.settle(caller, commands, &mut attempts).await? {
                Some(committed) => return Ok(committed),
                // The same request may have been accepted after what it depends on was read: its key (INV-6), or the
                // edge whose number is at its limit by now. A log without a profile means that the account was deleted
                // after its head was read. So all of it is read again.
                None if !is_rejected && (command.key().is_some() || may_be_outdated(&rejection)) => {
                    is_rejected = true;
                    continue;
                }
                None => return Err(rejection.into()),
            },
        };
        // Only what changes something is charged. The event carries the charge, so a command is charged once.
        let spent = match commands.rate_limits.charge(head.spent, &event, turn.at) {
            Ok(spent) => spent,
            Err(limited) => match open.settle(caller, commands, &mut attempts).await? {
                Some(committed) => return Ok(committed),
                // The state may be older than the head. Then the last of the limit may have gone to the same request,
                // and this one is a repetition. The next attempt reads a state that is as new as this head.
                None if known != Some(head.version) => {
                    known = Some(head.version);
                    continue;
                }
                None => return Err(Rejection::from(limited).into()),
            },
        };
        let (user, version, at) = (caller.clone(), turn.version, turn.at);
        let standing = event.standing_after(standing);
        let event = LogEvent { user, version, command: id, at, totals, spent, standing, event };
        let commit = async || match &counter {
            Some(counter) => commands.commit_counted(&event, &changes, counter).await,
            None => commands.commit(&event, &changes).await,
        };
        match commit().await {
            Ok(()) => return Ok(Committed { version: turn.version, output }),
            Err(error @ (Error::Conflict | Error::Transient { .. } | Error::Throttled { .. })) => {
                open.commits.push(Committed { version: turn.version, output });
                if let Some(committed) = open.settle(caller, commands, &mut attempts).await? {
                    return Ok(committed);
                }
                match error {
                    Error::Conflict => {}
                    Error::Throttled { .. } if counter.is_some() => {}
                    error => return Err(error),
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// The end of the caller's log, and what the decision rests on. None if DynamoDB refuses to read it because of a crowd.
/// Then the next attempt reads less.
async fn read<C: Command>(
    command: &C,
    caller: &UserId,
    commands: &CommandTable,
    counter: Option<&TallySubject>,
    clock: &Clock,
) -> Result<Option<(Head, C::State)>, Error> {
    let state = async {
        let is_crowded = counter.is_some_and(|counter| commands.busy.is_crowded(counter, clock.now()));
        let recalled = if is_crowded { command.recall(caller, commands, clock.now()).await? } else { None };
        match recalled {
            Some(state) => Ok(state),
            None => command.read(caller, commands).await,
        }
    };
    let (head, state) = tokio::join!(commands.head(caller), state);
    if let Some(counter) = counter {
        if is_throttled(&state) {
            commands.busy.know_refused(counter, clock.now());
        }
        // The caller's log may stand next to what a crowd reads.
        let is_crowded = commands.busy.is_crowded(counter, clock.now());
        if is_throttled(&state) || (is_throttled(&head) && is_crowded) {
            return Ok(None);
        }
    }
    Ok(Some((head?, state?)))
}

/// Whether this follows from the head of the log, which may be newer than what else was read.
fn may_be_outdated(rejection: &Rejection) -> bool {
    matches!(
        rejection,
        Rejection::ProfileRequired
            | Rejection::FollowingLimitReached
            | Rejection::MuteLimitReached
            | Rejection::BlockLimitReached
    )
}

fn is_throttled<T>(read: &Result<T, Error>) -> bool {
    matches!(read, Err(Error::Throttled { .. }))
}

/// The commits that failed but may have happened, or may happen yet: an answer was lost, and the next attempt, or the
/// SDK's retry, then conflicts with the command's own event.
struct OpenCommits<Output> {
    id: CommandId,
    commits: Vec<Committed<Output>>,
}

impl<Output> OpenCommits<Output> {
    /// The commit that happened, if one did. A read that is refused is tried again: until it is known whether the
    /// command was committed, it cannot be answered.
    async fn settle(
        &mut self,
        caller: &UserId,
        commands: &CommandTable,
        attempts: &mut Attempts,
    ) -> Result<Option<Committed<Output>>, Error> {
        loop {
            match self.find_committed(caller, commands).await {
                Err(Error::Throttled { .. }) => attempts.next().await?,
                found => return found,
            };
        }
    }

    /// The commit that happened, if one did. A commit is closed when another command's event has its version.
    async fn find_committed(
        &mut self,
        caller: &UserId,
        commands: &CommandTable,
    ) -> Result<Option<Committed<Output>>, Error> {
        let mut asked = std::mem::take(&mut self.commits).into_iter();
        while let Some(commit) = asked.next() {
            match commands.appended_by(caller, commit.version).await {
                Ok(Some(id)) if id == self.id => return Ok(Some(commit)),
                Ok(Some(_)) => {}
                Ok(None) => self.commits.push(commit),
                Err(error) => {
                    self.commits.push(commit);
                    self.commits.extend(asked);
                    return Err(error);
                }
            }
        }
        Ok(None)
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
