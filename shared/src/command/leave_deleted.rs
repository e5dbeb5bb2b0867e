//! The end of a follow whose followed user deleted the account. The end belongs into the log of the follower, whose
//! home is filtered by it.

use rand::Rng;

use super::{decision::Turn, follow_user::end_follow_of};
use crate::{
    error::Error,
    model::{Clock, CommandId, EdgeKey, EdgeKind, TallyShard, UserId},
    retry::until_no_conflict,
    store::command_table::CommandTable,
};

/// Ends the follow of `follower`, in that user's log, if `followee` has deleted the account. Repeating this changes
/// nothing.
///
/// # Errors
/// [`Error::Conflict`] if the follower's log kept moving on; otherwise as the store's.
pub(crate) async fn leave_deleted(
    follower: &UserId,
    followee: &UserId,
    commands: &CommandTable,
    clock: &Clock,
) -> Result<(), Error> {
    until_no_conflict(async || {
        let key = [EdgeKey::new(follower, EdgeKind::Follows, followee)];
        let (gone, edges, head) =
            tokio::try_join!(commands.head(followee), commands.edges(&key), commands.head(follower))?;
        if !gone.standing.is_deleted() {
            return Ok(());
        }
        let (at, shard) = (clock.now(), TallyShard::for_attempt(0, rand::rng().random()));
        let (version, standing, totals) = (head.version.next(), head.standing, head.totals);
        let turn = Turn { version, standing, totals, command: CommandId::new(at), shard, at };
        match end_follow_of(&edges, follower, &head, followee, turn) {
            Some(changes) => commands.commit_unlogged(&changes).await,
            None => Ok(()),
        }
    })
    .await
}
