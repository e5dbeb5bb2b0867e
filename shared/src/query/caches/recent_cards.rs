//! The cards of posts that a process has read in the last two seconds. Popular posts are read once for many viewers, so
//! a feed can show the text and counts of a post as they were two seconds ago.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    cache::Cache,
    error::Error,
    metrics,
    model::{Clock, PostId},
    store::cards::{Cards, PostCard},
};

/// How long a card is kept.
const LIFETIME: Duration = Duration::from_secs(2);
/// Cards that are kept. A card has at most 5 kB, most have much less.
const CARDS_MAX: usize = 2000;

/// The cards read lately, for all requests of a process.
#[derive(Debug, Clone)]
pub(crate) struct RecentCards {
    cards: Cards,
    clock: Clock,
    /// By the name of the table and the post. A process that has just learned of a switch read the other table last.
    recent: Cache<(Arc<str>, PostId), PostCard>,
}

impl RecentCards {
    /// An empty cache of this table's cards.
    pub(crate) fn new(cards: Cards, clock: Clock) -> Self {
        Self { cards, clock, recent: Cache::new(CARDS_MAX, LIFETIME) }
    }

    /// The cards of the posts that have one. Reads those that are not kept, from the shared cache or from the table.
    pub(crate) async fn posts(&self, posts: &[PostId]) -> Result<HashMap<PostId, PostCard>, Error> {
        let (now, table) = (self.clock.now(), self.cards.table_name());
        let key = |post: PostId| (Arc::clone(table), post);
        let kept = posts.iter().filter_map(|post| Some((*post, self.recent.get(&key(*post), now, None)?.value)));
        let mut cards: HashMap<_, _> = kept.collect();
        let missing: Vec<_> = posts.iter().copied().filter(|post| !cards.contains_key(post)).collect();
        metrics::CACHE_HITS.add(cards.len());
        metrics::CACHE_MISSES.add(missing.len());
        for (post, card) in self.cards.posts_through_cache(&missing).await? {
            self.recent.put(key(post), card.clone(), now);
            cards.insert(post, card);
        }
        Ok(cards)
    }
}
