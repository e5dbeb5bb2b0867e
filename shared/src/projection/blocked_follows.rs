//! The follows of blocked users. The block is in the log of the blocker, and the end of the follow belongs into that of
//! the follower. A worker appends it there: a follower who sends many commands can hold up that worker, but neither the
//! block nor the projection of the blocker.

use std::time::Duration;

use crate::{
    command::end_follow,
    error::Error,
    model::{Clock, EdgeKey, EdgeKind, LogEvent, UserId},
    retry::RACES_MAX,
    store::command_table::CommandTable,
    stream::work_queue::{Task, WorkQueue},
};

/// How long after a block the follow of the blocked user is looked for again. While very many follow the blocker, a
/// follow may rest on what a process knew of the blocker's blocks some seconds before. Its command has ended long
/// before the second look.
const SECOND_LOOK: Duration = Duration::from_secs(60);

/// Ends the follows of blocked users.
#[derive(Debug, Clone)]
pub struct BlockedFollows {
    pub(super) commands: CommandTable,
    pub(super) work_queue: WorkQueue,
    pub(super) clock: Clock,
}

impl BlockedFollows {
    /// Lets a worker end the follow of the blocked user: now, if it stands, and a minute after the block, if it does
    /// then.
    pub(super) async fn begin(&self, blocker: &UserId, blocked: &UserId) -> Result<(), Error> {
        let block = EdgeKey::new(blocker, EdgeKind::Blocks, blocked);
        let keys = [block, EdgeKey::new(blocked, EdgeKind::Follows, blocker)];
        let edges = self.commands.edges(&keys).await?;
        let Some(block) = edges.get(&keys[0]).filter(|block| block.active) else { return Ok(()) };
        let task = Task::EndFollow { follower: blocked.clone(), followee: blocker.clone() };
        if edges.active(blocked, EdgeKind::Follows, blocker) {
            self.work_queue.send(vec![task.clone()]).await?;
        }
        // A rebuild comes upon blocks of long ago. This was the second look at them.
        let is_recent = |event: &LogEvent| self.clock.now().since(event.at) < SECOND_LOOK;
        match self.commands.event(blocker, block.version).await?.as_ref().is_some_and(is_recent) {
            true => self.work_queue.send_after(SECOND_LOOK, vec![task]).await,
            false => Ok(()),
        }
    }

    /// Ends the follow of a user who was blocked, or whose followed user deleted the account. Repeating this changes
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the follower's log moved on whenever this tried; otherwise as the store's.
    pub async fn end(&self, follower: &UserId, followee: &UserId) -> Result<(), Error> {
        end_follow(follower, followee, RACES_MAX, &self.commands, &self.clock).await
    }
}
