//! The feed of an author: all posts of one user, newest first, however old.

use crate::{
    error::Error,
    model::{PostId, Timestamp, UserId},
    query::{
        pipeline::{Filter, Page, PageDraft, PostPage, ReadRequest, Sources, ViewerState, posts_page},
        services::Feeds,
        users::require_user,
    },
    store::timelines::{Range, Timeline},
};

impl Feeds {
    /// At most `limit` posts of the author, older than `before`. The page is empty if the viewer or the author blocks
    /// the other.
    ///
    /// # Errors
    /// [`crate::error::Rejection::UserNotFound`] if the author does not exist.
    pub async fn author(
        &self,
        request: ReadRequest<'_>,
        author: &UserId,
        before: Option<PostId>,
        limit: usize,
    ) -> Result<PostPage, Error> {
        // Viewer state and sources.
        let draft = PageDraft::new(limit);
        let range = Range { before, since: Timestamp::from_ms(0) };
        let timeline = Timeline::Author(author.clone());
        let mut sources = Sources::new(&self.timelines, timeline, range, request.consistency());
        let (state, ()) = tokio::try_join!(
            ViewerState::read(request, &self.viewers, &self.commands),
            sources.read_ahead(draft.wanted())
        )?;
        if state.is_cut_off_from(&self.commands, author).await? {
            return Ok(Page::empty());
        }
        if author == request.viewer {
            sources.add_unprojected_posts(&state);
        }
        // Filter, hydrate, page.
        let page = posts_page(draft, &mut sources, &Filter::LookedUp, self.hydrator(), &state).await?;
        if page.entries.is_empty() && before.is_none() {
            require_user(&self.commands, request.viewer, author).await?;
        }
        Ok(page)
    }
}
