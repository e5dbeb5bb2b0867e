//! The trending feed: of the posts of the last 24 h, those with the most heat left, best first.
//!
//! What trends is the same for everybody, so a process reads the index at most every two seconds, whoever asks. Scores
//! change while somebody walks: a page is the best of what the walk has not served.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{FeedPost, Feeds, Page, ReadRequest, Sight, served::Served};
use crate::{
    cache::{Cache, Read},
    error::Error,
    model::{
        PostId, Timestamp,
        limits::{TRENDING_AGE_MAX, TRENDING_MAX},
        ranking::{Explanation, engagement, recency},
    },
};

/// How long what was read is taken for what trends.
const CACHED_FOR: Duration = Duration::from_secs(2);
/// Posts served in one walk at most: what trended when it began, and half as many that came to it meanwhile. It bounds the
/// cursor.
const SERVED_MAX: usize = TRENDING_MAX + TRENDING_MAX / 2;
/// Reads of one page at most; deleted posts leave the index, so there is hardly ever a second one.
const ROUNDS_MAX: usize = 5;

/// What trended when it was last read, best first, for all requests of a process.
#[derive(Debug, Clone)]
pub struct TrendingCache(Cache<(), Arc<[PostId]>>);

impl Default for TrendingCache {
    fn default() -> Self {
        Self(Cache::new(1, CACHED_FOR))
    }
}

/// Where a walk is: its beginning, or after what it has served.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrendingPosition {
    served: Served,
    /// It goes on with what trended at this moment, or later.
    as_of: Option<Timestamp>,
}

impl TrendingPosition {
    pub(super) fn as_of(&self) -> Option<Timestamp> {
        self.as_of
    }
}

impl Feeds {
    /// At most `limit` of the best posts that were not served before.
    pub async fn trending(
        &self,
        reader: ReadRequest<'_>,
        position: TrendingPosition,
        limit: usize,
    ) -> Result<Page<FeedPost, TrendingPosition>, Error> {
        let sight = Sight::of(reader, &self.viewers, &self.commands);
        let (trending, sight) = tokio::try_join!(self.what_trends(position.as_of), sight)?;
        self.cut_trending(reader, &sight, trending, position, limit, |_| true).await
    }

    /// A page of what trends, of posts that the reader may see and `admit` lets through.
    pub(super) async fn cut_trending(
        &self,
        reader: ReadRequest<'_>,
        sight: &Sight,
        trending: Read<Arc<[PostId]>>,
        position: TrendingPosition,
        limit: usize,
        admit: impl Fn(&FeedPost) -> bool,
    ) -> Result<Page<FeedPost, TrendingPosition>, Error> {
        let Read { value: trending, at } = trending;
        let mut served = position.served;
        let unserved: Vec<_> = trending.iter().copied().filter(|post| !served.contains(*post)).collect();
        let mut left = unserved.as_slice();
        let mut entries = Vec::new();
        for _ in 0..ROUNDS_MAX {
            // One more than needed tells whether there is more.
            let (next, rest) = left.split_at((limit + 1 - entries.len()).min(left.len()));
            let mut read = self.posts(reader, sight, next).await?;
            for post in next {
                match read.remove(post).filter(|post| !sight.viewer.hides(&post.card.author) && admit(post)) {
                    Some(shown) => entries.push(shown),
                    // What has nothing to show need not be looked at again: or a walk among hidden posts would never end.
                    None => served.insert(*post),
                }
            }
            left = rest;
            if entries.len() > limit || left.is_empty() {
                break;
            }
        }
        let more = entries.len() > limit || !left.is_empty();
        entries.truncate(limit);
        for post in &mut entries {
            let created = post.card.post.created_at();
            let factors = (recency(created, at), engagement(post.card.heat));
            post.explanation = Some(Explanation::new(factors.0, factors.1, 1.0, 1.0));
            served.insert(post.card.post);
        }
        let more = more && served.len() < SERVED_MAX;
        Ok(Page { entries, next: more.then_some(TrendingPosition { served, as_of: Some(at) }) })
    }

    /// What trends, best first, read no earlier than `not_before`.
    pub(super) async fn what_trends(&self, not_before: Option<Timestamp>) -> Result<Read<Arc<[PostId]>>, Error> {
        let now = self.clock.now();
        if let Some(trending) = self.trending.0.get(&(), now, not_before) {
            return Ok(trending);
        }
        let posts = self.cards.trending_index().best(now.before(TRENDING_AGE_MAX), now, TRENDING_MAX).await?;
        let value: Arc<[PostId]> = posts.into();
        self.trending.0.put((), Arc::clone(&value), now);
        Ok(Read { value, at: now })
    }
}
