//! What a process remembers of busy posts and counters. A post that very many users like at once is one item, which is
//! read at most 3000 times a second, and a shard of its counter is changed by one transaction at a time. So a process
//! does not read again what it has read a moment ago, and does not find out again how far a counter is spread.

use std::{collections::HashSet, sync::Arc, time::Duration};

use crate::{
    cache::Cache,
    model::{PostId, SHARDS_GROWTH, SHARDS_MAX, Standing, TallyShard, TallySubject, Timestamp, UserId},
};

/// Posts, authors and counters that are remembered at most.
const ENTRIES_MAX: usize = 1000;
/// How long posts and users count as not deleted, and an author as blocking the same users. As long as cards are
/// reused.
const KNOWN_FOR: Duration = Duration::from_secs(2);
/// How long a counter that nobody writes stays spread.
const SPREAD_FOR: Duration = Duration::from_secs(60);
/// How long a user or post counts as crowded after a refused read. Whatever the reason was, commands about it read less
/// for so long. It spreads nothing.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// A counter that is spread over more shards is crowded: some 70 writes a second, or three conflicts in a row.
const CROWDED_FROM: u8 = 16;
/// Each write without a conflict takes this part of the shards back. So some 5 of 100 writes of a busy counter
/// conflict, whatever its load, until all shards are used.
const SHRINKAGE: f64 = 1.0 / 16.0;

/// Whom an author blocks. None if these are too many users.
pub(super) type Blocked = Option<Arc<HashSet<UserId>>>;

/// What a process remembers. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Busy {
    /// The author of each post that was there a moment ago.
    posts: Cache<PostId, UserId>,
    /// Whom an author blocks.
    blocked: Cache<UserId, Blocked>,
    /// The standing of each user who was there a moment ago.
    standings: Cache<UserId, Standing>,
    /// Users and posts that are marked because their followers or comments are spread.
    marked: Cache<TallySubject, ()>,
    /// Over how many shards the writes of a counter are spread.
    shards: Cache<TallySubject, f64>,
    /// Users and posts of which a read was refused.
    refused: Cache<TallySubject, ()>,
}

impl Busy {
    pub(super) fn new() -> Self {
        Self {
            posts: Cache::new(ENTRIES_MAX, KNOWN_FOR),
            blocked: Cache::new(ENTRIES_MAX, KNOWN_FOR),
            standings: Cache::new(ENTRIES_MAX, KNOWN_FOR),
            marked: Cache::new(ENTRIES_MAX, SPREAD_FOR),
            shards: Cache::new(ENTRIES_MAX, SPREAD_FOR),
            refused: Cache::new(ENTRIES_MAX, REFUSED_FOR),
        }
    }

    /// The author of the post, if it is busy or crowded, and this process has read less than two seconds ago that it
    /// was there. A post is busy while its counter is spread: two writes of it have met.
    pub(crate) fn author(&self, post: PostId, now: Timestamp) -> Option<UserId> {
        let counter = TallySubject::Post(post);
        let is_known = self.is_busy(&counter, now) || self.is_crowded(&counter, now);
        is_known.then(|| self.posts.get(&post, now, None))?.map(|read| read.value)
    }

    /// Remembers that the post was there when it was read at this moment.
    pub(crate) fn know_author(&self, post: PostId, author: &UserId, at: Timestamp) {
        self.posts.put(post, author.clone(), at);
    }

    /// Whom the author blocks, as this process has read it up to two seconds ago. None if it has not; `Some(None)` if
    /// the author blocks too many users to remember them.
    pub(super) fn blocked(&self, author: &UserId, now: Timestamp) -> Option<Blocked> {
        self.blocked.get(author, now, None).map(|read| read.value)
    }

    /// Remembers whom the author blocks.
    pub(super) fn know_blocked(&self, author: &UserId, blocked: Blocked, at: Timestamp) {
        self.blocked.put(author.clone(), blocked, at);
    }

    /// The standing of the user, if this process has read less than two seconds ago that the user is there.
    pub(super) fn standing(&self, user: &UserId, now: Timestamp) -> Option<Standing> {
        self.standings.get(user, now, None).map(|read| read.value)
    }

    /// Remembers the standing of a user who was there at this moment.
    pub(super) fn know_standing(&self, user: &UserId, standing: Standing, at: Timestamp) {
        self.standings.put(user.clone(), standing, at);
    }

    /// Whether this process has marked the user or post, or seen the mark, within the last minute ([`super::spread`]).
    pub(super) fn is_marked(&self, subject: &TallySubject, now: Timestamp) -> bool {
        self.marked.get(subject, now, None).is_some()
    }

    /// Remembers that the user or post is marked.
    pub(super) fn know_marked(&self, subject: &TallySubject, at: Timestamp) {
        self.marked.put(subject.clone(), (), at);
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

    /// A read of what all commands about the user or post read was refused.
    pub(crate) fn know_refused(&self, subject: &TallySubject, now: Timestamp) {
        self.refused.put(subject.clone(), (), now);
    }

    /// A write of the counter has met no other one.
    pub(crate) fn spread_less(&self, subject: &TallySubject, now: Timestamp) {
        let shards = self.spread(subject, now);
        if shards > 1.0 {
            self.shards.put(subject.clone(), (shards * (1.0 - SHRINKAGE)).max(1.0), now);
        }
    }

    /// Whether a write of the counter has met another one lately.
    pub(crate) fn is_busy(&self, subject: &TallySubject, now: Timestamp) -> bool {
        self.spread(subject, now) > 1.0
    }

    /// Whether so many write the counter at this moment that what they all read or require becomes hot, too.
    pub(crate) fn is_crowded(&self, subject: &TallySubject, now: Timestamp) -> bool {
        self.spread(subject, now) > f64::from(CROWDED_FROM) || self.refused.get(subject, now, None).is_some()
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
    fn a_post_is_known_for_two_seconds_while_its_counter_is_spread() {
        let (busy, post) = (Busy::new(), post().post);
        let at = |ms| NOW.after(Duration::from_millis(ms));
        busy.know_author(post, &user("ada"), NOW);
        assert_eq!(busy.author(post, NOW), None, "a quiet post is read each time");
        busy.spread_more(&TallySubject::Post(post), NOW);
        assert_eq!(busy.author(post, at(1_999)), Some(user("ada")));
        assert_eq!(busy.author(post, at(2_000)), None);
        busy.know_author(post, &user("ada"), at(2_000));
        for _ in 0..200 {
            busy.spread_less(&TallySubject::Post(post), at(2_000));
        }
        assert_eq!(busy.author(post, at(2_001)), None, "it is quiet again");
    }
}
