//! Cards of posts, of which a process keeps those that it has read for a moment: what many people look at is read once
//! for all of them. So what a feed shows of a post may be as old as that; whoever asks for their own writes gets them.

use std::{collections::HashMap, time::Duration};

use crate::{
    cache::Cache,
    error::Error,
    model::{Clock, PostId},
    store::cards::{Cards, PostCard},
};

/// How long cards are kept.
const CACHED_FOR: Duration = Duration::from_secs(2);
/// Cards that are kept: at most 5 kB each, as a rule much less.
const CARDS_MAX: usize = 2000;

/// Cards read lately, for all requests of a process.
#[derive(Debug, Clone)]
pub struct RecentCards {
    cards: Cards,
    clock: Clock,
    recent: Cache<PostId, PostCard>,
}

impl RecentCards {
    /// Those of this table.
    pub fn new(cards: Cards, clock: Clock) -> Self {
        Self { cards, clock, recent: Cache::new(CARDS_MAX, CACHED_FOR) }
    }

    /// The cards of the posts that have one.
    pub(super) async fn posts(&self, posts: &[PostId]) -> Result<HashMap<PostId, PostCard>, Error> {
        let now = self.clock.now();
        let kept = posts.iter().filter_map(|post| Some((*post, self.recent.get(post, now, None)?.value)));
        let mut cards: HashMap<_, _> = kept.collect();
        let unknown: Vec<_> = posts.iter().copied().filter(|post| !cards.contains_key(post)).collect();
        for (post, card) in self.cards.posts(&unknown, false).await? {
            self.recent.put(post, card.clone(), now);
            cards.insert(post, card);
        }
        Ok(cards)
    }
}
