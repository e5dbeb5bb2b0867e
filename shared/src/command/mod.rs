//! Commands: one file each. A command reads what its decision rests on, decides in a pure, synchronous function, and
//! commits its event with what it changes in exactly one transaction. It never writes anywhere else: the event reaches
//! the bus from the table's stream (INV-1).
//!
//! Likes are the exception: there are too many of them for the log. Their edge is the fact, and [`react_to_post`] commits
//! it with its count.

mod attempts;
mod block_user;
mod comment_on_post;
mod create_post;
mod delete_comment;
mod delete_post;
mod edit_post;
mod follow_user;
mod mute_user;
mod once;
mod react_to_post;
mod update_profile;

use std::future::Future;

use attempts::Attempts;
pub use block_user::BlockUser;
pub use comment_on_post::CommentOnPost;
pub use create_post::CreatePost;
pub use delete_comment::DeleteComment;
pub use delete_post::DeletePost;
pub use edit_post::EditPost;
pub use follow_user::{FollowUser, UnfollowUser};
pub use mute_user::MuteUser;
use rand::Rng;
pub use react_to_post::react_to_post;
pub use update_profile::UpdateProfile;

use crate::{
    error::{Error, Rejection},
    model::{Clock, CommandId, LogEvent, TallyShard, Timestamp, Totals, UserEvent, UserId, Version},
    store::{
        command_table::{CommandTable, Head},
        transaction::Change,
    },
};

/// Something that a user wants done.
pub trait Command: Sync {
    /// What the decision rests on, apart from the head of the caller's log.
    type State: Send;
    /// What the caller is told.
    type Output: Clone + Send;

    /// Reads the state, consistently.
    fn read(&self, caller: &UserId, commands: &CommandTable)
    -> impl Future<Output = Result<Self::State, Error>> + Send;

    /// Decides. Pure: the same state and turn give the same decision.
    fn decide(&self, caller: &UserId, state: &Self::State, turn: Turn) -> Result<Decision<Self::Output>, Rejection>;
}

/// What a decision knows of the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Version that the command's event will have.
    pub version: Version,
    /// The caller's totals before it.
    pub totals: Totals,
    /// The run of the command.
    pub command: CommandId,
    /// Where to count, if the command counts something.
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
        /// The caller's totals after it.
        totals: Totals,
        /// What it changes.
        changes: Vec<Change>,
        /// What the caller is told.
        output: Output,
    },
    /// Everything is as the caller wants it.
    Unchanged(Output),
    /// The same request was answered before.
    Replay {
        /// The version that it made then.
        version: Version,
        /// What the caller was told.
        output: Output,
    },
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<Output> {
    /// Version of the caller's log that holds the command's effect.
    pub version: Version,
    /// What the caller is told.
    pub output: Output,
}

/// Runs a command until it is committed, found needless, or rejected.
///
/// # Errors
/// [`Error::Rejected`] if the request is at fault; [`Error::Conflict`] if races were lost too often or for too long;
/// otherwise as the store's. After an error other than a rejection the command may have been committed.
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
        let Head { version, totals } = head;
        let shard = TallyShard::for_attempt(attempt, rand::rng().random());
        let turn = Turn { version: version.next(), totals, command: id, shard, at: clock.now() };
        let (event, totals, changes, output) = match command.decide(caller, &state, turn)? {
            Decision::Append { event, totals, changes, output } => (event, totals, changes, output),
            Decision::Unchanged(output) => return Ok(Committed { version, output }),
            Decision::Replay { version, output } => return Ok(Committed { version, output }),
        };
        let event = LogEvent { user: caller.clone(), version: turn.version, command: id, at: turn.at, totals, event };
        let committed = Committed { version: turn.version, output };
        match commands.commit(&event, &changes).await {
            Ok(()) => return Ok(committed),
            // A try whose answer was lost may have been committed after all: the SDK's retry then finds its own event.
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
