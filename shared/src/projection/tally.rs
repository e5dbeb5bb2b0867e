//! Counters: the numbers on cards. An event of a counter carries the image of one shard, absolute and versioned. The
//! card keeps the newest image of each shard and shows their sum. So images may arrive in any order and any number of
//! times (INV-3). If a counter has no card, either the card is still to be made, or the subject is erased. The command
//! table tells which.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    cache::Cache,
    error::Error,
    model::{TallyChange, TallyShard, TallySubject, Timestamp},
    retry::until_no_conflict,
    store::cards::Cards,
};

/// How many shards of early counters a process remembers, and for how long.
const WAITING_MAX: usize = 10_000;
const WAITING_FOR: Duration = Duration::from_secs(30);

/// Shards of early counters that a process has left to the work queue. Their task reads the truth once there is a card.
/// So as long as there is none, whatever else comes of the same shard needs no task of its own. After an outage, likes
/// of a post may wait by the thousand for its card. Clones share what is known.
#[derive(Debug, Clone)]
pub struct Waiting(Cache<(TallySubject, TallyShard), ()>);

impl Waiting {
    /// Nothing is left to the queue.
    pub(crate) fn new() -> Self {
        Self(Cache::new(WAITING_MAX, WAITING_FOR))
    }

    /// Whether a task for this shard waits for the subject's card.
    pub fn has(&self, subject: &TallySubject, shard: TallyShard, now: Timestamp) -> bool {
        self.0.get(&(subject.clone(), shard), now, None).is_some()
    }

    /// A task for these shards waits for the subject's card.
    pub fn add(&self, subject: &TallySubject, shards: &[TallyShard], now: Timestamp) {
        shards.iter().for_each(|shard| self.0.put((subject.clone(), *shard), (), now));
    }
}

/// Groups the images of one batch by counter. Each counter then costs one read and at most one write.
pub fn by_counter(changes: Vec<TallyChange>) -> BTreeMap<TallySubject, Vec<TallyChange>> {
    let mut counters = BTreeMap::<_, Vec<_>>::new();
    for change in changes {
        counters.entry(change.subject.clone()).or_default().push(change);
    }
    counters
}

/// What became of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterShown {
    /// There is no card.
    NoCard,
    /// The card shows it.
    OnCard {
        /// Whether the trending list may have changed, now or when the same images came before.
        may_trend: bool,
    },
}

/// Adds these images of a subject's counter to the subject's card.
///
/// # Errors
/// [`Error::Conflict`] if other workers kept changing the card; otherwise as the store's.
pub async fn show(cards: &Cards, subject: &TallySubject, changes: &[TallyChange]) -> Result<CounterShown, Error> {
    until_no_conflict(async || {
        let before = cards.tally(subject).await?;
        if !before.has_card {
            return Ok(CounterShown::NoCard);
        }
        let mut tally = before.tally.clone();
        let news = changes.iter().filter(|change| tally.take(change.shard, change.image)).count();
        match news {
            0 => cards.cache_is_in_doubt(subject).await,
            _ => cards.put_tally(subject, &before, &tally).await?,
        }
        Ok(CounterShown::OnCard { may_trend: cards.may_trend(subject, &before, &tally) })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Counts, TallyImage},
        samples::user,
        store::Consistency,
        test_world::{Calls, World},
    };

    /// The write of a card.
    const WRITE_CARD: Calls = Calls("UpdateItem", "\"cards\"");

    #[test]
    fn a_counter_waits_for_its_card_for_half_a_minute() {
        let (waiting, ada, now) = (Waiting::new(), TallySubject::User(user("ada")), crate::samples::NOW);
        let [first, second] = [0, 1].map(TallyShard::new);
        assert!(!waiting.has(&ada, first, now));
        waiting.clone().add(&ada, &[first], now);
        assert!(waiting.has(&ada, first, now.after(WAITING_FOR - Duration::from_millis(1))));
        assert!(!waiting.has(&ada, second, now));
        assert!(!waiting.has(&TallySubject::User(user("bob")), first, now));
        assert!(!waiting.has(&ada, first, now.after(WAITING_FOR)));
    }

    /// The image after this many writes of one shard: so many followers in it.
    fn change(subject: &str, shard: u8, version: u64, followers: i64) -> TallyChange {
        let image = TallyImage { version, counts: Counts { followers, ..Counts::default() } };
        TallyChange { subject: counter(subject), shard: TallyShard::new(shard), image }
    }

    fn counter(id: &str) -> TallySubject {
        TallySubject::User(user(id))
    }

    /// The number of followers on ada's card.
    async fn followers(world: &World) -> u64 {
        world.other.cards.users(&[user("ada")], Consistency::Strong).await.unwrap()[&user("ada")].followers
    }

    /// Ada has a card.
    async fn ada_has_joined() -> World {
        let world = World::new();
        world.other.join(&["ada"]).await;
        world.other.catch_up(&["ada"]).await;
        world
    }

    #[test]
    fn all_images_of_a_counter_are_one_write() {
        let changes =
            vec![change("ada", 0, 1, 0), change("bob", 0, 1, 0), change("ada", 7, 1, 0), change("ada", 0, 2, 0)];
        let sizes: Vec<_> = by_counter(changes).into_values().map(|changes| changes.len()).collect();
        assert_eq!(sizes, [3, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_card_shows_the_sum_of_the_newest_images_in_whatever_order_they_come() {
        let world = ada_has_joined().await;
        for batch in [vec![change("ada", 0, 2, 5)], vec![change("ada", 0, 1, 9), change("ada", 7, 1, 3)]] {
            show(&world.tested.cards, &counter("ada"), &batch).await.unwrap();
        }
        assert_eq!(followers(&world).await, 8);
    }

    #[tokio::test(start_paused = true)]
    async fn images_that_the_card_knows_are_not_written_again() {
        let world = ada_has_joined().await;
        let changes = [change("ada", 0, 2, 5), change("ada", 7, 1, 3)];
        for _ in 0..2 {
            show(&world.tested.cards, &counter("ada"), &changes).await.unwrap();
        }
        assert_eq!((world.network.count(WRITE_CARD), followers(&world).await), (1, 8));
    }

    #[tokio::test(start_paused = true)]
    async fn images_make_no_card() {
        let world = World::new();
        let shown = show(&world.tested.cards, &counter("ada"), &[change("ada", 0, 1, 5)]).await.unwrap();
        assert_eq!(shown, CounterShown::NoCard);
        assert!(!world.other.cards.tally(&counter("ada")).await.unwrap().has_card);
    }

    #[tokio::test(start_paused = true)]
    async fn images_do_not_bring_a_card_back_that_is_removed_meanwhile() {
        let world = ada_has_joined().await;
        let other = world.other.clone();
        world.network.before(WRITE_CARD, async move || other.cards.remove(&counter("ada")).await.unwrap());
        let shown = show(&world.tested.cards, &counter("ada"), &[change("ada", 0, 1, 5)]).await.unwrap();
        assert_eq!(shown, CounterShown::NoCard);
        assert!(!world.other.cards.tally(&counter("ada")).await.unwrap().has_card);
    }

    #[tokio::test(start_paused = true)]
    async fn two_workers_at_once_lose_no_image() {
        let world = ada_has_joined().await;
        let other = world.other.clone();
        world.network.before(WRITE_CARD, async move || {
            show(&other.cards, &counter("ada"), &[change("ada", 7, 1, 3)]).await.unwrap();
        });
        show(&world.tested.cards, &counter("ada"), &[change("ada", 0, 2, 5)]).await.unwrap();
        assert_eq!(followers(&world).await, 8);
    }
}
