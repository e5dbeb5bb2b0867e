//! The posts of the last 30 days with a tag, newest first.

use super::{
    Feeds, ReadRequest,
    page::{Admit, PostPage, rows_for},
};
use crate::{
    error::{Error, Rejection},
    model::{PostId, Tag, Viewer, limits::FEED_AGE_MAX},
    store::{
        cards::PostCard,
        timelines::{Range, Row, Timeline},
    },
};

impl Feeds {
    /// At most `limit` posts with the tag, older than `before`.
    ///
    /// # Errors
    /// [`Rejection::TagNotFound`] if there are none at all.
    pub async fn tag(
        &self,
        reader: ReadRequest<'_>,
        tag: &Tag,
        before: Option<PostId>,
        limit: usize,
    ) -> Result<PostPage, Error> {
        let timeline = Timeline::Tag(tag.clone());
        let range = Range { before, since: self.clock.now().before(FEED_AGE_MAX) };
        let (mut view, rows) = self.view(reader, timeline, range, rows_for(limit), None).await?;
        if rows.rows.is_empty() && before.is_none() {
            return Err(Rejection::TagNotFound.into());
        }
        // A row may outlast the tag: what the post says now is in its card.
        let row = |viewer: &Viewer, row: &Row| !viewer.hides(&row.author);
        let admit = Admit { row, card: |card: &PostCard| card.tags.contains(tag) };
        self.cut_page(&mut view, range, rows, limit, admit).await
    }
}
