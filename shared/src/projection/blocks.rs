//! What a block changes for the blocked user: their viewer item lists who blocks them, and their follow of the blocker
//! ends. The block itself is in the log of the blocker alone. So the blocker's projection does this, as the truth says.

use crate::{
    error::Error,
    model::{EdgeKey, EdgeKind, UserId},
    projection::blocked_follows::BlockedFollows,
    retry::until_no_conflict,
    store::{Consistency, command_table::CommandTable, viewers::Viewers},
};

/// Effects of blocks.
#[derive(Debug, Clone)]
pub(super) struct BlockEffects {
    pub(super) commands: CommandTable,
    pub(super) viewers: Viewers,
    pub(super) follows: BlockedFollows,
}

impl BlockEffects {
    /// Shows in the viewer item of `blocked` whether `blocker` blocks them, and ends their follow of `blocker` if so.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other workers kept changing the item; otherwise as those of the stores and the queue.
    pub(super) async fn show(&self, blocker: &UserId, blocked: &UserId) -> Result<(), Error> {
        self.show_blocker(blocker, blocked).await?;
        self.follows.begin(blocker, blocked).await
    }

    /// Shows in the viewer item of `blocked` whether `blocker` blocks them.
    ///
    /// The item is read before the edge, and written even if it stays the same. So a worker that read an older edge
    /// conflicts with this write.
    async fn show_blocker(&self, blocker: &UserId, blocked: &UserId) -> Result<(), Error> {
        let key = EdgeKey::new(blocker, EdgeKind::Blocks, blocked);
        if self.commands.profile(blocked).await?.is_none() {
            // The account is deleted, and nothing may be written for it any more.
            return Ok(());
        }
        until_no_conflict(async || {
            let before = self.viewers.get(blocked, Consistency::Strong).await?;
            let Some(edge) = self.commands.edges(std::slice::from_ref(&key)).await?.get(&key) else { return Ok(()) };
            let mut viewer = before.viewer.clone();
            viewer.blocked_by.set(blocker, edge.state());
            self.viewers.put(blocked, &before, viewer).await.map(drop)
        })
        .await
    }
}
