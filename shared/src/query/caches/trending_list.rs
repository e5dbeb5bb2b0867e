//! The trending list: the posts of the last 24 h with the most heat left, where each further post of an author counts
//! less. The list is the same for every viewer, and projections keep it in one item. A process reads it once a second.

use std::{sync::Arc, time::Duration};

use crate::{
    cache::{Cache, Read},
    error::Error,
    metrics,
    model::{Clock, Timestamp, limits::TRENDING_AGE_MAX},
    store::{Consistency, cards::Cards, trending::TrendingPost},
};

/// How long a process keeps a list.
const LIFETIME: Duration = Duration::from_secs(1);

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

    /// The trending posts, best first, read no earlier than `not_before`. A strongly consistent query takes nothing
    /// that comes from the shared cache.
    pub(crate) async fn posts(
        &self,
        not_before: Option<Timestamp>,
        consistency: Consistency,
    ) -> Result<Read<Arc<[TrendingPost]>>, Error> {
        let (now, table) = (self.clock.now(), self.cards.table_name());
        let may_be_shared = consistency == Consistency::Eventual || !self.cards.is_cached();
        if let Some(posts) = self.last.get(table, now, not_before).filter(|_| may_be_shared) {
            metrics::CACHE_HITS.add(1);
            return Ok(posts);
        }
        metrics::CACHE_MISSES.add(1);
        let read = async || self.read(now).await;
        let Read { value: posts, at } = match consistency {
            Consistency::Eventual => self.cards.trending_through_cache(not_before, now, read).await?,
            Consistency::Strong => Read { value: read().await?, at: now },
        };
        let posts: Arc<[TrendingPost]> = posts.into();
        self.last.put(Arc::clone(table), Arc::clone(&posts), at);
        Ok(Read { value: posts, at })
    }

    /// The list as it is now, without the posts that have become too old since it was merged. It is empty until it is
    /// merged for the first time.
    async fn read(&self, now: Timestamp) -> Result<Vec<TrendingPost>, Error> {
        let oldest = now.before(TRENDING_AGE_MAX);
        let list = self.cards.trending_list().await?;
        Ok(list.into_iter().filter(|it| it.post.created_at() >= oldest).collect())
    }
}
