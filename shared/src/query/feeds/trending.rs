//! The trending feed: the posts of the last 24 h with the most heat left, best first. Each further post of an author
//! counts less.
//!
//! Scores change while somebody walks. So a position says which posts the walk has shown, and a page is the best of the
//! others.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::served::Served;
use crate::{
    cache::Read,
    error::Error,
    model::{
        PostId, Timestamp,
        limits::TRENDING_MAX,
        ranking::{Explanation, diversity, engagement, recency},
    },
    query::{
        pipeline::{FeedPost, Filter, Hydrator, Page, PageDraft, ReadRequest, ViewerState},
        services::Feeds,
    },
    store::trending::TrendingPost,
};

/// Posts that one walk shows at most: a whole trending list, and half as many posts that enter the list later. This
/// limit bounds the length of the cursor.
const SERVED_MAX: usize = TRENDING_MAX + TRENDING_MAX / 2;

/// Where a walk goes on: at its beginning, or after the posts that it has shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrendingPosition {
    served: Served,
    /// The list must have been read at this moment or later.
    pub(super) as_of: Option<Timestamp>,
}

impl Feeds {
    /// At most `limit` of the best posts that the walk has not shown.
    pub async fn trending(
        &self,
        request: ReadRequest<'_>,
        position: TrendingPosition,
        limit: usize,
    ) -> Result<Page<FeedPost, TrendingPosition>, Error> {
        let (state, list) = tokio::try_join!(
            ViewerState::read(request, &self.viewers, &self.commands),
            self.trending_list.posts(position.as_of, request.consistency())
        )?;
        trending_page(PageDraft::new(limit), list, position, &Filter::Visible, self.hydrator(), &state).await
    }
}

/// Fills the page with the posts of the list that the filter admits and the walk has not shown, best first.
pub(super) async fn trending_page(
    draft: PageDraft<FeedPost>,
    list: Read<Arc<[TrendingPost]>>,
    position: TrendingPosition,
    filter: &Filter<'_>,
    hydrator: Hydrator<'_>,
    state: &ViewerState<'_>,
) -> Result<Page<FeedPost, TrendingPosition>, Error> {
    let Read { value: list, at } = list;
    let mut served = position.served;
    let unserved: Vec<_> = list.iter().map(|it| it.post).filter(|post| !served.contains(*post)).collect();
    let mut left = unserved.as_slice();
    let mut admitted = 0;
    let read = async |count: usize| {
        let (ids, rest) = left.split_at(count.min(left.len()));
        left = rest;
        let mut posts = hydrator.posts(state, ids).await?;
        let authors: Vec<_> = posts.values().map(|post| post.card.author.clone()).collect();
        let blockers = filter.blockers(state, hydrator.commands, &authors).await?;
        let mut entries = Vec::new();
        for id in ids {
            let post = posts.remove(id);
            let admits = |post: &FeedPost| {
                let author = &post.card.author;
                // The list may be older than a take-down, or a suspension. After that, not even the author's trending
                // feed has the post.
                let is_shown = filter.admits_card(&post.card) && !post.card.is_withdrawn();
                filter.admits_author(state, author) && !blockers.contains(author) && is_shown
            };
            match post.filter(admits) {
                Some(post) => entries.push(post),
                // Later pages skip what may not be shown. Without this, a walk among hidden posts would never end.
                None => served.insert(*id),
            }
        }
        admitted += entries.len();
        Ok(Page { entries, next: (!left.is_empty()).then_some(()) })
    };
    let Page { mut entries, next } = draft.fill(|_| (), read).await?;
    // A page without room has no last entry to go on after, but there may be one that did not fit.
    let more = next.is_some() || admitted > entries.len();
    let better: HashMap<PostId, u32> = list.iter().map(|it| (it.post, it.better)).collect();
    for post in &mut entries {
        let id = post.card.post;
        let (recency, engagement) = (recency(id.created_at(), at), engagement(post.card.heat));
        let diversity = diversity(better.get(&id).copied().unwrap_or_default());
        post.explanation = Some(Explanation::new(recency, engagement, 1.0, diversity));
        served.insert(id);
    }
    let more = more && served.len() < SERVED_MAX;
    Ok(Page { entries, next: more.then_some(TrendingPosition { served, as_of: Some(at) }) })
}
