//! What one author wrote, newest first, without end of age.

use super::{
    Feeds, ReadRequest,
    page::{Admit, PostPage, rows_for},
    require_user,
};
use crate::{
    error::Error,
    model::{PostId, Timestamp, UserId},
    store::timelines::{Range, Timeline},
};

impl Feeds {
    /// At most `limit` posts of the author, older than `before`; none if the viewer mutes or blocks the author.
    ///
    /// # Errors
    /// [`crate::error::Rejection::UserNotFound`] if there is no such user.
    pub async fn author(
        &self,
        reader: ReadRequest<'_>,
        author: &UserId,
        before: Option<PostId>,
        limit: usize,
    ) -> Result<PostPage, Error> {
        let timeline = Timeline::Author(author.clone());
        let range = Range { before, since: Timestamp::from_ms(0) };
        let (mut view, rows) = self.view(reader, timeline, range, rows_for(limit), None).await?;
        if view.sight.viewer.hides(author) {
            return Ok(PostPage { entries: Vec::new(), next: None });
        }
        if rows.rows.is_empty() {
            require_user(&self.commands, author).await?;
        }
        let admit = Admit { row: |_: &_, _: &_| true, card: |_: &_| true };
        self.cut_page(&mut view, range, rows, limit, admit).await
    }
}
