//! The trending list: the posts of the last 24 h with the most heat left, where each further post of an author counts
//! less. The list is the same for every viewer, so a process reads the index at most every two seconds.

use std::{sync::Arc, time::Duration};

use crate::{
    cache::{Cache, Read},
    error::Error,
    metrics,
    model::{
        Clock, Timestamp,
        limits::{TRENDING_AGE_MAX, TRENDING_MAX},
    },
    store::{cards::Cards, trending::TrendingPost},
};

/// How long a list is kept.
const LIFETIME: Duration = Duration::from_secs(2);

/// The last list that was read, for all requests of a process.
#[derive(Debug, Clone)]
pub(crate) struct TrendingList {
    cards: Cards,
    clock: Clock,
    /// By the name of the table. A process that has just learned of a switch read the other one last.
    last: Cache<Arc<str>, Arc<[TrendingPost]>>,
}

impl TrendingList {
    /// An empty cache of the list in this table.
    pub(crate) fn new(cards: Cards, clock: Clock) -> Self {
        Self { cards, clock, last: Cache::new(1, LIFETIME) }
    }

    /// The trending posts, best first, read no earlier than `not_before`.
    pub(crate) async fn posts(&self, not_before: Option<Timestamp>) -> Result<Read<Arc<[TrendingPost]>>, Error> {
        let (now, table) = (self.clock.now(), self.cards.table_name());
        if let Some(posts) = self.last.get(table, now, not_before) {
            metrics::CACHE_HITS.add(1);
            return Ok(posts);
        }
        metrics::CACHE_MISSES.add(1);
        let posts = self.cards.trending_index().best(now.before(TRENDING_AGE_MAX), now, TRENDING_MAX).await?;
        let posts: Arc<[TrendingPost]> = posts.into();
        self.last.put(Arc::clone(table), Arc::clone(&posts), now);
        Ok(Read { value: posts, at: now })
    }
}
