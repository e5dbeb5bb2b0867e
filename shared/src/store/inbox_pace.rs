//! What a process remembers of inboxes that change all the time, so that it neither reads them for each notice nor
//! writes more notices into a partition than it takes.

use std::{hash::Hash, time::Duration};

use crate::{
    cache::Cache,
    model::{Group, PostId, Timestamp, UserId},
};

/// Groups, followed users, and posts with comments that are remembered at most, each.
const ENTRIES_MAX: usize = 1000;
/// How long notices may rely on a task that was sent before. It runs [`AWAITED_AFTER`] it was sent at the earliest.
const RELIED_ON_FOR: Duration = Duration::from_secs(1);
/// When a task brings a group up to date for all notices of the second before.
pub(crate) const AWAITED_AFTER: Duration = Duration::from_secs(2);
/// A user is crowded for a process that shows more of the user's new followers in a second.
const CROWDED_FROM_FOLLOWS: u32 = 8;
/// A post is crowded for a process that shows more of its new comments in a second. This is less than of follows: all
/// notices of comments for a user stand in one partition.
const CROWDED_FROM_COMMENTS: u32 = 4;

/// The memory of one table. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct InboxPace {
    awaited: Cache<(UserId, Group), ()>,
    follows: Cache<UserId, u32>,
    comments: Cache<PostId, u32>,
}

impl InboxPace {
    pub(super) fn new() -> Self {
        let second = Duration::from_secs(1);
        let (follows, comments) = (Cache::new(ENTRIES_MAX, second), Cache::new(ENTRIES_MAX, second));
        Self { awaited: Cache::new(ENTRIES_MAX, RELIED_ON_FOR), follows, comments }
    }

    /// Whether a task of this process will bring the group up to date, and see what is written by now.
    pub(crate) fn is_awaited(&self, recipient: &UserId, group: Group, now: Timestamp) -> bool {
        self.awaited.get(&(recipient.clone(), group), now, None).is_some()
    }

    /// A task was sent for the group. The sending began at this moment.
    pub(crate) fn awaits(&self, recipient: &UserId, group: Group, at: Timestamp) {
        self.awaited.put((recipient.clone(), group), (), at);
    }

    /// Counts a follow of the user. Returns whether there are so many in this second that it had better wait.
    pub(crate) fn count_follow(&self, followee: &UserId, now: Timestamp) -> bool {
        count(&self.follows, followee.clone(), now) >= CROWDED_FROM_FOLLOWS
    }

    /// The same of a comment on the post.
    pub(crate) fn count_comment(&self, post: PostId, now: Timestamp) -> bool {
        count(&self.comments, post, now) >= CROWDED_FROM_COMMENTS
    }
}

/// Counts one more in this second. Returns how many there were before.
fn count<K: Clone + Eq + Hash>(counted: &Cache<K, u32>, key: K, now: Timestamp) -> u32 {
    let (before, since) = counted.get(&key, now, None).map_or((0, now), |read| (read.value, read.at));
    counted.put(key, before.saturating_add(1), since);
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Day,
        samples::{NOW, user},
    };

    #[test]
    fn a_user_is_crowded_by_the_ninth_follow_of_a_second() {
        let pace = InboxPace::new();
        let at = |ms| NOW.after(Duration::from_millis(ms));
        let crowded = |ms| pace.count_follow(&user("ada"), at(ms));
        assert!((0..8).all(|number| !crowded(number * 100)));
        assert!(crowded(900) && crowded(999));
        assert!(!pace.count_follow(&user("bob"), at(999)));
        assert!(!crowded(1000), "a new second");
    }

    #[test]
    fn a_post_is_crowded_by_the_fifth_comment_of_a_second() {
        let (pace, post, other) = (InboxPace::new(), PostId::new(NOW), PostId::new(NOW.after(RELIED_ON_FOR)));
        let crowded = |post, ms| pace.count_comment(post, NOW.after(Duration::from_millis(ms)));
        assert!((0..4).all(|number| !crowded(post, number * 100)));
        assert!(crowded(post, 999));
        assert!(!crowded(other, 999));
        assert!(!crowded(post, 1000), "a new second");
    }

    #[test]
    fn a_task_is_relied_on_for_a_second() {
        let (pace, group) = (InboxPace::new(), Group::Follow(Day::of(NOW)));
        assert!(!pace.is_awaited(&user("ada"), group, NOW));
        pace.clone().awaits(&user("ada"), group, NOW);
        assert!(pace.is_awaited(&user("ada"), group, NOW.after(Duration::from_millis(999))));
        assert!(!pace.is_awaited(&user("ada"), group, NOW.after(RELIED_ON_FOR)));
        assert!(!pace.is_awaited(&user("bob"), group, NOW));
    }
}
