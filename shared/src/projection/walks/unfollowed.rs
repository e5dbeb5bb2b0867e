//! Rows of unfollowed authors. Readers filter by whom they follow, so an unfollow takes effect at once. The rows are
//! removed later, because they take space, and readers have to skip them.
//!
//! Each removal is one transaction with a check that the viewer does not follow the author. So a viewer who follows the
//! author again loses no row: the transaction comes before the new follow, whose backfill then copies all rows, or it
//! fails. A post that is pushed or copied at the same moment may leave a row behind, which expires.

use super::{Step, Walks};
use crate::{
    error::Error,
    model::{EdgeKey, EdgeKind, PostId, UserId, limits::FEED_AGE_MAX},
    store::{
        Consistency,
        timelines::{Range, Timeline},
    },
    stream::walk::Walk,
};

impl Walks {
    /// Lets a worker remove the author's rows from the home of the viewer, if the viewer once followed the author. The
    /// erasure of a deleted account does it for all former followers.
    pub(in crate::projection) async fn begin_unfollowed(&self, viewer: &UserId, author: &UserId) -> Result<(), Error> {
        if !self.fills_homes()
            || self.follow(viewer, author).await?.is_none_or(|follow| follow.active)
            || self.commands.profile(author).await?.is_none()
        {
            return Ok(());
        }
        self.send(vec![Walk::Unfollowed { viewer: viewer.clone(), author: author.clone(), before: None }]).await
    }

    /// One step: removes the rows of the author's next posts. Posts that the author deleted have rows that are found by
    /// nobody; these expire.
    pub(super) async fn unfollowed_step(
        &self,
        viewer: UserId,
        author: UserId,
        before: Option<PostId>,
        rows: usize,
    ) -> Result<Step, Error> {
        let range = Range { before, since: self.clock.now().before(FEED_AGE_MAX) };
        let posts = Timeline::Author(author.clone());
        let page = self.timelines.newest(&posts, range, rows, Consistency::Eventual).await?;
        let follow = EdgeKey::new(&viewer, EdgeKind::Follows, &author);
        let removed = self.timelines.remove_unfollowed(&self.commands, &follow, &page.rows).await?;
        Ok(match page.rows.last() {
            Some(last) if removed && page.more => {
                Step::Next(vec![Walk::Unfollowed { viewer, author, before: Some(last.post) }])
            }
            _ => Step::Done,
        })
    }
}

#[cfg(test)]
mod tests;
