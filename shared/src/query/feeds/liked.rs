//! The posts that the viewer likes: newest post first, whenever the viewer liked it. Nobody else can read this list.

use crate::{
    error::Error,
    model::{PostId, UserId},
    query::{
        lookup::new_posts,
        pipeline::{FeedPost, Filter, Hydrated, Page, PageDraft, PostPage, ReadRequest, ViewerState},
        services::Feeds,
    },
    store::likes::LikedPage,
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
            let LikedPage { posts: likes, next } = match ahead.take() {
                Some(first) => first,
                None => source(before, count).await?,
            };
            before = next;
            // Filter and hydrate.
            let blockers = filter.blockers(&state, &self.commands, likes.iter().map(|(_, author)| author)).await?;
            let admits = |author: &UserId| filter.admits_author(&state, author) && !blockers.contains(author);
            let ids: Vec<_> = likes.iter().filter(|(_, author)| admits(author)).map(|(post, _)| *post).collect();
            let Hydrated { mut posts, without_card, .. } = self.hydrator().hydrate(&state, &ids).await?;
            if state.consistency().is_strong() && !without_card.is_empty() {
                // The viewer may just have liked a post that no projection has reached (INV-4).
                let new = new_posts(&self.commands, request.viewer, without_card.into_iter().collect()).await?;
                posts.extend(new.into_iter().map(|card| (card.post, FeedPost::new(card, true))));
            }
            Ok(Page { entries: ids.iter().filter_map(|id| posts.remove(id)).collect(), next })
        };
        // Page.
        draft.fill(|post: &FeedPost| post.card.post, read).await
    }
}
