//! The posts that the viewer likes: newest post first, whenever the viewer liked it. Nobody else can read this list.

use crate::{
    error::Error,
    model::PostId,
    query::{
        pipeline::{FeedPost, Filter, Page, PageDraft, PostPage, ReadRequest, ViewerState},
        services::Feeds,
    },
    store::timelines::{Row, RowPage},
};

impl Feeds {
    /// At most `limit` posts that the viewer likes, older than `before`. Posts of authors with a block between them and
    /// the viewer are left out, and so are deleted ones.
    ///
    /// # Errors
    /// As [`ViewerState::read`] and the stores'.
    pub async fn liked(
        &self,
        request: ReadRequest<'_>,
        mut before: Option<PostId>,
        limit: usize,
    ) -> Result<PostPage, Error> {
        // Viewer state and source.
        let draft = PageDraft::new(limit);
        let source = async |before, count| {
            let count = i32::try_from(count).unwrap_or(i32::MAX);
            self.commands.liked_before(request.viewer, before, count, request.consistency()).await
        };
        let (state, first) = tokio::try_join!(
            ViewerState::read(request, &self.viewers, &self.commands),
            source(before, draft.wanted())
        )?;
        let (mut ahead, filter) = (Some(first), Filter::LookedUp);
        let read = async |count| {
            let (RowPage { rows, more }, end) = match ahead.take() {
                Some(first) => first,
                None => source(before, count).await?,
            };
            before = end.or(before);
            // Filter and hydrate.
            let blockers = filter.blockers(&state, &self.commands, rows.iter().map(|row| &row.author)).await?;
            let admits = |row: &&Row| filter.admits_author(&state, &row.author) && !blockers.contains(&row.author);
            let ids: Vec<_> = rows.iter().filter(admits).map(|row| row.post).collect();
            let mut posts = self.hydrator().posts(&state, &ids).await?;
            let entries = ids.iter().filter_map(|id| posts.remove(id)).collect();
            Ok(Page { entries, next: before.filter(|_| more) })
        };
        // Page.
        draft.fill(|post: &FeedPost| post.card.post, read).await
    }
}
