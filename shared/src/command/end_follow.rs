//! The end of a follow by a user who was blocked, or whose followed user deleted the account. The block, or the
//! deletion, is in the log of the followed user. The end of the follow belongs into the log of the follower, whose home
//! is filtered by it. No caller waits for it, so no caller can be kept waiting by a follower whose log never stands
//! still.

use rand::Rng;

use super::{decision::Turn, follow_user::end_follow_of};
use crate::{
    error::Error,
    model::{Clock, CommandId, EdgeKey, EdgeKind, TallyShard, UserId},
    store::command_table::CommandTable,
};

/// Ends the follow of `follower` in that user's log, if `followee` blocks the follower or has deleted the account.
/// Repeating this changes nothing.
///
/// A follow that began after the end of the block stays: the end of a block ends the follow that stood before.
///
/// # Errors
/// [`Error::Conflict`] if the follower's log moved on in each of `races`; otherwise as the store's.
pub(crate) async fn end_follow(
    follower: &UserId,
    followee: &UserId,
    races: u32,
    commands: &CommandTable,
    clock: &Clock,
) -> Result<(), Error> {
    let keys =
        [EdgeKey::new(follower, EdgeKind::Follows, followee), EdgeKey::new(followee, EdgeKind::Blocks, follower)];
    for race in 0..races {
        let edges = commands.edges(&keys).await?;
        let blocks = edges.active(followee, EdgeKind::Blocks, follower);
        if !blocks && !commands.head(followee).await?.standing.is_deleted() {
            return Ok(());
        }
        let head = commands.head(follower).await?;
        let (at, shard) = (clock.now(), TallyShard::for_attempt(race, rand::rng().random()));
        let (version, standing, totals) = (head.version.next(), head.standing, head.totals);
        let turn = Turn { version, standing, totals, command: CommandId::new(at), shard, at };
        let Some((end, changes)) = end_follow_of(&edges, follower, &head, followee, turn) else { return Ok(()) };
        match commands.commit(&end, &changes).await {
            Err(Error::Conflict) => {}
            committed => return committed,
        }
    }
    Err(Error::Conflict)
}
