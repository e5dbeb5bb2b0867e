//! What a command is, and what it decides.

use std::future::{self, Future};

use crate::{
    error::{Error, Rejection},
    model::{
        CommandId, Hidden, IdempotencyKey, Post, Standing, TallyShard, TallySubject, Timestamp, Totals, UserEvent,
        UserId, Version,
    },
    store::{command_table::CommandTable, transaction::Change},
};

/// Something that a user wants done.
pub trait Command: Sync {
    /// What the decision rests on, apart from the end of the caller's log.
    type State: Send;
    /// What the caller is told.
    type Output: Clone + Send;

    /// Whether the caller must have a profile. Only the command that creates the profile needs none.
    const NEEDS_PROFILE: bool = true;

    /// Checks that a user of this standing may give the command.
    ///
    /// # Errors
    /// [`Rejection::AccountSuspended`], [`Rejection::AccountDeleted`].
    fn admit(&self, standing: Standing) -> Result<(), Rejection> {
        require_active(standing)
    }

    /// The idempotency key of the request, if it has one.
    fn key(&self) -> Option<&IdempotencyKey> {
        None
    }

    /// The counter that the command changes, if it is one that many users change at once.
    fn counter(&self) -> Option<TallySubject> {
        None
    }

    /// Reads the state, consistently.
    fn read(&self, caller: &UserId, commands: &CommandTable)
    -> impl Future<Output = Result<Self::State, Error>> + Send;

    /// The state, if what this process remembers of the counter's subject suffices. Asked for while very many write the
    /// counter, so that not all commands about the subject read it.
    fn recall(
        &self,
        _caller: &UserId,
        _commands: &CommandTable,
        _at: Timestamp,
    ) -> impl Future<Output = Result<Option<Self::State>, Error>> + Send {
        future::ready(Ok(None))
    }

    /// Decides. This is pure: the same state and turn give the same decision.
    fn decide(&self, caller: &UserId, state: &Self::State, turn: Turn) -> Result<Decision<Self::Output>, Rejection>;
}

/// Checks that the user may act.
///
/// # Errors
/// [`Rejection::AccountSuspended`], [`Rejection::AccountDeleted`].
pub(super) fn require_active(standing: Standing) -> Result<(), Rejection> {
    match standing {
        Standing::Active => Ok(()),
        Standing::Suspended => Err(Rejection::AccountSuspended),
        Standing::Deleted => Err(Rejection::AccountDeleted),
    }
}

/// The post, if the caller may react to it or change it.
///
/// # Errors
/// [`Rejection::PostNotFound`] if there is no such post, or none that others can see; [`Rejection::PostTakenDown`] if
/// it is the caller's own.
pub(super) fn require_open<'a>(post: Option<&'a Post>, caller: &UserId) -> Result<&'a Post, Rejection> {
    let post = post.ok_or(Rejection::PostNotFound)?;
    require_shown(post.hidden(), &post.author, caller)?;
    Ok(post)
}

/// Checks that the caller may react to a post by this author, which may be hidden.
///
/// # Errors
/// As [`require_open`].
pub(super) fn require_shown(hidden: Option<Hidden>, author: &UserId, caller: &UserId) -> Result<(), Rejection> {
    match hidden {
        None => Ok(()),
        Some(Hidden::TakenDown) if author == caller => Err(Rejection::PostTakenDown),
        Some(Hidden::TakenDown | Hidden::Deleted) => Err(Rejection::PostNotFound),
    }
}

/// The circumstances of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Version that the command's event will have.
    pub version: Version,
    /// The caller's standing before the event.
    pub standing: Standing,
    /// The caller's totals before the event.
    pub totals: Totals,
    /// The run of the command.
    pub command: CommandId,
    /// The shard to add to, if the command changes a counter.
    pub shard: TallyShard,
    /// The present moment.
    pub at: Timestamp,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<Output> {
    /// Append the event and make the changes.
    Append {
        /// What happened.
        event: UserEvent,
        /// The caller's totals after the event.
        totals: Totals,
        /// The changes of the event.
        changes: Vec<Change>,
        /// What the caller is told.
        output: Output,
    },
    /// Everything is as the caller wants it already.
    Unchanged(Output),
    /// The same request was answered before.
    Replay {
        /// Version of the event of that request.
        version: Version,
        /// What the caller was told.
        output: Output,
    },
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<Output> {
    /// Version of the caller's log that holds the command's effect.
    pub version: Version,
    /// What the caller is told.
    pub output: Output,
}
