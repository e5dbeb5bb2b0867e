//! The feed of a tag: the posts of the last 30 days that have the tag, newest first.

use crate::{
    error::{Error, Rejection},
    model::{PostId, Tag, limits::FEED_AGE_MAX},
    query::{
        pipeline::{Filter, PageDraft, PostPage, ReadRequest, Sources, ViewerState, posts_page},
        services::Feeds,
    },
    store::timelines::{Range, Timeline},
};

impl Feeds {
    /// At most `limit` posts with the tag, older than `before`.
    ///
    /// # Errors
    /// [`Rejection::TagNotFound`] if no post of the last 30 days has the tag.
    pub async fn tag(
        &self,
        request: ReadRequest<'_>,
        tag: &Tag,
        before: Option<PostId>,
        limit: usize,
    ) -> Result<PostPage, Error> {
        // Viewer state and sources.
        let draft = PageDraft::new(limit);
        let range = Range { before, since: self.clock.now().before(FEED_AGE_MAX) };
        let timeline = Timeline::Tag(tag.clone());
        let mut sources = Sources::new(&self.timelines, timeline, range, request.consistency());
        let (state, ()) = tokio::try_join!(
            ViewerState::read(request, &self.viewers, &self.commands),
            sources.read_ahead(draft.wanted())
        )?;
        // Whether these posts have the tag is for the filter to decide.
        sources.add_unprojected_posts(&state);
        // Filter, hydrate, page.
        let page = posts_page(draft, &mut sources, &Filter::Tagged(tag), self.hydrator(), &state).await?;
        if page.entries.is_empty() && !sources.found_stored() && before.is_none() {
            return Err(Rejection::TagNotFound.into());
        }
        Ok(page)
    }
}
