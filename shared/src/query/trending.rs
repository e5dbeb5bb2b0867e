//! The trending feed: of the posts of the last 24 h, those with the most heat left, best first.
//!
//! What trends is the same for everybody, so a process reads the index at most every two seconds, whoever asks. Scores
//! change while somebody walks: a page is the best of what the walk has not served.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{FeedPost, FeedReader, Page, Reader, Served, Sight, posts};
use crate::{
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

/// What trended when it was last read, for all requests of a process.
#[derive(Debug, Clone, Default)]
pub struct TrendingCache(Arc<Mutex<Option<Trending>>>);

/// What trends, best first.
#[derive(Debug, Clone)]
struct Trending {
    at: Timestamp,
    posts: Arc<[PostId]>,
}

impl FeedReader {
    /// At most `limit` of the best posts that were not served before.
    pub async fn trending(
        &self,
        reader: Reader<'_>,
        mut served: Served,
        limit: usize,
    ) -> Result<Page<FeedPost, Served>, Error> {
        let sight = Sight::of(reader, &self.viewers, &self.commands);
        let (trending, sight) = tokio::try_join!(self.what_trends(), sight)?;
        let unserved: Vec<_> = trending.posts.iter().copied().filter(|post| !served.contains(*post)).collect();
        let mut left = unserved.as_slice();
        let mut entries = Vec::new();
        for _ in 0..ROUNDS_MAX {
            // One more than needed tells whether there is more.
            let (next, rest) = left.split_at((limit + 1 - entries.len()).min(left.len()));
            let mut read = posts::read(&self.commands, &self.cards, reader, &sight, next).await?;
            for post in next {
                match read.remove(post).filter(|post| !sight.viewer.hides(&post.card.author)) {
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
            let factors = (recency(created, trending.at), engagement(post.card.heat));
            post.explanation = Some(Explanation::new(factors.0, factors.1, 1.0, 1.0));
            served.insert(post.card.post);
        }
        Ok(Page { entries, next: (more && served.len() < SERVED_MAX).then_some(served) })
    }

    async fn what_trends(&self) -> Result<Trending, Error> {
        let now = self.clock.now();
        let cached = self.trending.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(trending) = cached.filter(|trending| now.since(trending.at) < CACHED_FOR) {
            return Ok(trending);
        }
        let posts = self.cards.trending(now.before(TRENDING_AGE_MAX), now, TRENDING_MAX).await?;
        let trending = Trending { at: now, posts: posts.into() };
        *self.trending.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(trending.clone());
        Ok(trending)
    }
}
