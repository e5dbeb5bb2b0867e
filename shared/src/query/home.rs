//! The home feed: what the viewer and those whom the viewer follows posted in the last 30 days, newest first (INV-2).
//!
//! Two round trips: the viewer and the rows at once, then the cards and the viewer's likes. Whom the viewer follows is asked
//! of the viewer's own item, not of the rows: an unfollow takes effect at once and leaves rows behind that nobody sees.

use super::{
    FeedPost, FeedReader, Page, Reader, Sight,
    page::{Admit, rows_for},
};
use crate::{
    error::Error,
    model::{PostId, Version, limits::FEED_AGE_MAX},
    store::timelines::{Range, Row, Timeline},
};

/// A page of a home feed.
#[derive(Debug, Clone, PartialEq)]
pub struct HomePage<Position> {
    /// The posts.
    pub page: Page<FeedPost, Position>,
    /// How far the viewer's own commands are in it.
    pub version: Version,
    /// Whether some of them were laid over what projections have written.
    pub overlaid: bool,
}

impl<Position> HomePage<Position> {
    pub(super) fn new(page: Page<FeedPost, Position>, sight: &Sight) -> Self {
        Self { page, version: sight.viewer.applied, overlaid: sight.overlaid() }
    }
}

impl FeedReader {
    /// At most `limit` posts of the viewer's home, older than `before`.
    pub async fn home(
        &self,
        reader: Reader<'_>,
        before: Option<PostId>,
        limit: usize,
    ) -> Result<HomePage<PostId>, Error> {
        let timeline = Timeline::Home(reader.user.clone());
        let range = Range { before, since: self.clock.now().before(FEED_AGE_MAX) };
        let (view, rows) = self.view(reader, timeline, range, rows_for(limit)).await?;
        let admit = Admit { row: |row: &Row| view.sight.viewer.sees(reader.user, &row.author), card: |_: &_| true };
        let page = self.cut_page(&view, range, rows, limit, admit).await?;
        Ok(HomePage::new(page, &view.sight))
    }
}
