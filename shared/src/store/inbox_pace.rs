//! What a process remembers of inboxes that change all the time, so that it neither reads them for each notice nor
//! writes more notices into a partition than it takes.

use std::time::Duration;

use crate::{
    cache::Cache,
    model::{Group, Timestamp, UserId},
};

/// Groups that are remembered at most.
const GROUPS_MAX: usize = 1000;
/// How long notices may rely on a task that was sent before. It runs [`AWAITED_AFTER`] it was sent at the earliest.
const RELIED_ON_FOR: Duration = Duration::from_secs(1);
/// When a task brings a group up to date for all notices of the second before.
pub(crate) const AWAITED_AFTER: Duration = Duration::from_secs(2);
/// A process that writes more notices of a group in a second counts it as crowded.
const CROWDED_FROM: u32 = 8;

/// The memory of one table. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct InboxPace {
    awaited: Cache<(UserId, Group), ()>,
    notices: Cache<(UserId, Group), u32>,
}

impl InboxPace {
    pub(super) fn new() -> Self {
        let second = Duration::from_secs(1);
        Self { awaited: Cache::new(GROUPS_MAX, RELIED_ON_FOR), notices: Cache::new(GROUPS_MAX, second) }
    }

    /// Whether a task of this process will bring the group up to date, and see what is written by now.
    pub(crate) fn is_awaited(&self, recipient: &UserId, group: Group, now: Timestamp) -> bool {
        self.awaited.get(&(recipient.clone(), group), now, None).is_some()
    }

    /// A task was sent for the group. The sending began at this moment.
    pub(crate) fn awaits(&self, recipient: &UserId, group: Group, at: Timestamp) {
        self.awaited.put((recipient.clone(), group), (), at);
    }

    /// Counts a notice of the group. Returns whether there are so many in this second that it had better wait.
    pub(crate) fn is_crowded_by(&self, recipient: &UserId, group: Group, now: Timestamp) -> bool {
        let key = (recipient.clone(), group);
        let (before, since) = self.notices.get(&key, now, None).map_or((0, now), |read| (read.value, read.at));
        self.notices.put(key, before.saturating_add(1), since);
        before >= CROWDED_FROM
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Day,
        samples::{NOW, user},
    };

    #[test]
    fn a_group_is_crowded_by_the_ninth_notice_of_a_second() {
        let (pace, group) = (InboxPace::new(), Group::Follow(Day::of(NOW)));
        let at = |ms| NOW.after(Duration::from_millis(ms));
        let crowded = |ms| pace.is_crowded_by(&user("ada"), group, at(ms));
        assert!((0..8).all(|number| !crowded(number * 100)));
        assert!(crowded(900) && crowded(999));
        assert!(!pace.is_crowded_by(&user("bob"), group, at(999)));
        assert!(!crowded(1000), "a new second");
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
