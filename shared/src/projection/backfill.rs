//! Backfill: an author's posts of the last 30 days are copied into one home.

use crate::{
    error::Error,
    model::{Clock, UserId, limits::FEED_AGE_MAX},
    store::{
        Consistency,
        timelines::{Range, Timeline, Timelines},
    },
};

/// Rows copied at a time.
const PAGE: usize = 500;

/// Copies posts into homes.
#[derive(Debug, Clone)]
pub(super) struct Backfill {
    pub(super) timelines: Timelines,
    pub(super) clock: Clock,
}

impl Backfill {
    /// Copies the author's posts into the viewer's home.
    ///
    /// The author's rows are read consistently, and after the edge was committed. That is this side of the handshake
    /// with a new post, whose author row is written before the followers are read.
    pub(super) async fn backfill_home(&self, viewer: &UserId, author: &UserId) -> Result<(), Error> {
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
