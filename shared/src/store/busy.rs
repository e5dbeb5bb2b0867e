//! What a process remembers of busy posts and counters. A post that very many users like at once is one item, which is
//! read at most 3000 times a second, and a shard of its counter is changed by one transaction at a time. So a process
//! does not read again what it has read a moment ago, and does not find out again how far a counter is spread.

use std::{collections::HashSet, sync::Arc, time::Duration};

use crate::{
    cache::Cache,
    model::{PostId, SHARDS_GROWTH, SHARDS_MAX, TallyShard, TallySubject, Timestamp, UserId},
};

/// Posts, authors and counters that are remembered at most.
const ENTRIES_MAX: usize = 1000;
/// How long a post counts as not deleted, and an author as blocking the same users. As long as cards are reused.
const KNOWN_FOR: Duration = Duration::from_secs(2);
/// A post that a process has read so often within that time is busy.
const BUSY_READS: u32 = 8;
/// How long a counter that nobody writes stays spread.
const SPREAD_FOR: Duration = Duration::from_secs(60);
/// Each write without a conflict takes this part of the shards back. So some 5 of 100 writes of a busy counter
/// conflict, whatever its load, until all shards are used.
const SHRINKAGE: f64 = 1.0 / 16.0;

/// Whom an author blocks. None if these are too many users.
pub(super) type Blocked = Option<Arc<HashSet<UserId>>>;

/// A post that was there when it was read last.
#[derive(Debug, Clone)]
struct Seen {
    author: UserId,
    /// When these reads began.
    since: Timestamp,
    /// How often it was read since then.
    reads: u32,
}

/// What a process remembers. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Busy {
    /// Each post that was there a moment ago.
    posts: Cache<PostId, Seen>,
    /// Whom an author blocks.
    blocked: Cache<UserId, Blocked>,
    /// Over how many shards the writes of a counter are spread.
    shards: Cache<TallySubject, f64>,
}

impl Busy {
    pub(super) fn new() -> Self {
        Self {
            posts: Cache::new(ENTRIES_MAX, KNOWN_FOR),
            blocked: Cache::new(ENTRIES_MAX, KNOWN_FOR),
            shards: Cache::new(ENTRIES_MAX, SPREAD_FOR),
        }
    }

    /// The author of the post, if it is busy, and this process has read less than two seconds ago that it was there.
    pub(crate) fn author(&self, post: PostId, now: Timestamp) -> Option<UserId> {
        let seen = self.posts.get(&post, now, None)?.value;
        (seen.reads >= BUSY_READS).then_some(seen.author)
    }

    /// Remembers that the post was there when it was read at this moment.
    pub(crate) fn know_author(&self, post: PostId, author: &UserId, at: Timestamp) {
        let before = self.posts.get(&post, at, None).map(|read| read.value);
        let (reads, since) = match before.filter(|seen| at.since(seen.since) < KNOWN_FOR) {
            Some(seen) => (seen.reads.saturating_add(1), seen.since),
            None => (1, at),
        };
        self.posts.put(post, Seen { author: author.clone(), reads, since }, at);
    }

    /// Whom the author blocks, as it was up to two seconds ago. None within it if the author blocks too many users.
    pub(super) fn blocked(&self, author: &UserId, now: Timestamp) -> Option<Blocked> {
        self.blocked.get(author, now, None).map(|read| read.value)
    }

    /// Remembers whom the author blocks.
    pub(super) fn know_blocked(&self, author: &UserId, blocked: Blocked, at: Timestamp) {
        self.blocked.put(author.clone(), blocked, at);
    }

    /// The shard of the counter for the next write. `random` is at least 0 and below 1.
    pub(crate) fn tally_shard(&self, subject: &TallySubject, now: Timestamp, random: f64) -> TallyShard {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 256")]
        let shards = self.spread(subject, now).round() as u16;
        TallyShard::among(shards, random)
    }

    /// A write of the counter has conflicted with another one.
    pub(crate) fn spread_more(&self, subject: &TallySubject, now: Timestamp) {
        let more = self.spread(subject, now) * f64::from(SHARDS_GROWTH);
        self.shards.put(subject.clone(), more.min(f64::from(SHARDS_MAX)), now);
    }

    /// A write of the counter has met no other one.
    pub(crate) fn spread_less(&self, subject: &TallySubject, now: Timestamp) {
        let shards = self.spread(subject, now);
        if shards > 1.0 {
            self.shards.put(subject.clone(), (shards * (1.0 - SHRINKAGE)).max(1.0), now);
        }
    }

    fn spread(&self, subject: &TallySubject, now: Timestamp) -> f64 {
        self.shards.get(subject, now, None).map_or(1.0, |read| read.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{NOW, post, user};

    #[test]
    fn a_counter_is_spread_by_conflicts_and_comes_together_again() {
        let busy = Busy::new();
        let (one, other) = (TallySubject::Post(post().post), TallySubject::User(user("ada")));
        let last = |subject| busy.tally_shard(subject, NOW, 0.999).get();
        assert_eq!(last(&one), 0);
        let spread = [(); 6].map(|()| {
            busy.spread_more(&one, NOW);
            last(&one)
        });
        assert_eq!((spread, last(&other)), ([3, 15, 63, 255, 255, 255], 0));
        busy.spread_less(&one, NOW);
        assert_eq!(last(&one), 239);
        for _ in 0..200 {
            busy.spread_less(&one, NOW);
        }
        assert_eq!(last(&one), 0);
        busy.spread_more(&one, NOW);
        assert_eq!(busy.tally_shard(&one, NOW.after(SPREAD_FOR), 0.999).get(), 0);
    }

    #[test]
    fn a_post_that_is_read_often_is_known_for_two_seconds() {
        let (busy, post) = (Busy::new(), post().post);
        let at = |ms| NOW.after(Duration::from_millis(ms));
        let read_each = |ms: u64, from: u64| {
            let known = |read| {
                busy.know_author(post, &user("ada"), at(from + read * ms));
                busy.author(post, at(from + read * ms)).is_some()
            };
            (0..20).map(known).filter(|known| *known).count()
        };
        assert_eq!(read_each(300, 0), 0, "seven times in two seconds");
        assert_eq!(read_each(10, 10_000), 13, "from the eighth time on");
        assert!(busy.author(post, at(12_189)).is_some() && busy.author(post, at(12_190)).is_none());
        busy.know_author(post, &user("ada"), at(12_190));
        assert!(busy.author(post, at(12_190)).is_none(), "it has to be busy again");
    }
}
