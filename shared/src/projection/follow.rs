//! What follows from a follow: the followee's posts of the last 30 days enter the follower's home, unless they are pulled.

use super::Projector;
use crate::{
    error::Error,
    model::{UserId, limits::FEED_AGE_MAX},
    store::{
        Consistency,
        timelines::{Range, Timeline},
    },
};

/// Rows copied at a time.
const PAGE: usize = 500;

impl Projector {
    /// Brings an author's posts into the home of somebody who has begun to follow.
    pub(super) async fn backfill(&self, viewer: &UserId, author: &UserId) -> Result<(), Error> {
        match self.celebrities.are_pushed(author).await? {
            true => self.fill(viewer, author).await,
            false => Ok(()),
        }
    }

    /// Copies the author's newest rows. The read is consistent and comes after the edge was committed: that is this side
    /// of the handshake.
    pub(super) async fn fill(&self, viewer: &UserId, author: &UserId) -> Result<(), Error> {
        let (from, to) = (Timeline::Author(author.clone()), Timeline::Home(viewer.clone()));
        let mut range = Range { before: None, since: self.clock.now().before(FEED_AGE_MAX) };
        loop {
            let page = self.timelines.newest(&from, range, PAGE, Consistency::Strong).await?;
            self.timelines.put_rows(&to, &page.rows).await?;
            match page.rows.last() {
                Some(last) if page.more => range.before = Some(last.post),
                _ => return Ok(()),
            }
        }
    }
}
