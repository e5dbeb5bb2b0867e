//! Notifications: what others did that concerns a user, in groups. A *notice* is one thing that somebody did, such as
//! one like. A *group* holds the notices of one kind about one subject, and is shown as one notification. The *inbox*
//! of a user lists the newest groups.

use std::{fmt, str::FromStr};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::{
    PartitionShard, PostId, Timestamp, UserId,
    limits::{NOTIFICATION_GROUPS_MAX, NOTIFICATIONS_KEPT},
};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// A notice that is later than this was not delayed by a projection, but comes from a rebuild or a repair. Its group
/// does not count as new.
const LATE_MS: u64 = 10 * 60 * 1000;

/// Kinds of notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// Somebody liked a post of the user's.
    Like,
    /// Somebody commented on a post of the user's.
    Comment,
    /// Somebody mentioned the user in a post, or in a comment.
    Mention,
    /// Somebody followed the user.
    Follow,
}

/// The text names no kind of notifications.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a kind of notifications is one of: like, comment, mention, follow")]
pub struct UnknownKind;

impl NotificationKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Like, Self::Comment, Self::Mention, Self::Follow];

    /// The name of the kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Like => "like",
            Self::Comment => "comment",
            Self::Mention => "mention",
            Self::Follow => "follow",
        }
    }
}

impl FromStr for NotificationKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownKind)
    }
}

/// What notices are grouped by: their kind, and the post that they are about. New followers are grouped by the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Likes of this post.
    Like(PostId),
    /// Comments on this post.
    Comment(PostId),
    /// Mentions in this post, and in comments on it.
    Mention(PostId),
    /// Follows of this day.
    Follow(Day),
}

/// A day in UTC, counted from the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(u32);

impl Day {
    /// The day of this moment.
    pub fn of(at: Timestamp) -> Self {
        Self(u32::try_from(at.as_ms() / DAY_MS).unwrap_or(u32::MAX))
    }

    /// The day with this number.
    pub(super) fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The first moment behind it.
    pub(crate) fn end(self) -> Timestamp {
        Timestamp::from_ms((u64::from(self.0) + 1) * DAY_MS)
    }

    /// Days from the Unix epoch to this one.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Its number.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Group {
    /// The kind of its notices.
    pub fn kind(&self) -> NotificationKind {
        match self {
            Self::Like(_) => NotificationKind::Like,
            Self::Comment(_) => NotificationKind::Comment,
            Self::Mention(_) => NotificationKind::Mention,
            Self::Follow(_) => NotificationKind::Follow,
        }
    }

    /// The post that it is about, if it is about one.
    pub fn post(&self) -> Option<PostId> {
        match self {
            Self::Like(post) | Self::Comment(post) | Self::Mention(post) => Some(*post),
            Self::Follow(_) => None,
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; 17] {
        let mut bytes = [0; 17];
        let (kind, subject) = bytes.split_at_mut(1);
        kind[0] = self.kind() as u8;
        match self {
            Self::Like(post) | Self::Comment(post) | Self::Mention(post) => subject.copy_from_slice(&post.to_bytes()),
            Self::Follow(Day(day)) => subject[..4].copy_from_slice(&day.to_be_bytes()),
        }
        bytes
    }

    fn from_bytes(bytes: [u8; 17]) -> Option<Self> {
        let [kind, subject @ ..] = bytes;
        let kind = NotificationKind::ALL.into_iter().find(|known| *known as u8 == kind)?;
        Some(match kind {
            NotificationKind::Like => Self::Like(PostId::from_bytes(subject)?),
            NotificationKind::Comment => Self::Comment(PostId::from_bytes(subject)?),
            NotificationKind::Mention => Self::Mention(PostId::from_bytes(subject)?),
            NotificationKind::Follow => {
                let [a, b, c, d, ..] = subject;
                Self::Follow(Day(u32::from_be_bytes([a, b, c, d])))
            }
        })
    }
}

/// One thing that somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// When it was first done.
    pub at: Timestamp,
    /// Distinguishes it from others in its group at that moment: a user, or a comment. It has no `#`.
    pub id: String,
    /// Who did it.
    pub actor: UserId,
    /// Whether it still stands. A notice that has ended is kept, so that an older state which comes later does not
    /// bring it back.
    pub active: bool,
    /// Of two states of a notice, that with the higher version is the newer one.
    pub version: u64,
    /// The partition in which it stands. Only likes of a crowded post stand in others than the first one.
    pub shard: PartitionShard,
}

impl Notice {
    /// Whether it counts for this recipient: nobody is notified of what they do themselves, or of what is too old.
    pub fn counts_for(&self, recipient: &UserId, now: Timestamp) -> bool {
        self.actor != *recipient && self.at.after(NOTIFICATIONS_KEPT) > now
    }
}

/// A user who was mentioned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mentioned {
    /// The user who had the handle in the text.
    pub user: UserId,
    /// When the user was first mentioned there.
    pub at: Timestamp,
}

/// A group in an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grouped {
    /// The group.
    pub group: Group,
    /// When it last grew, as the inbox saw it: later than every moment in the inbox before. So a user who has seen the
    /// inbox up to some moment has not seen what comes later.
    pub at: Timestamp,
    /// Stands for the newest notices of the group. A worker changes it if there is another one among them, and an
    /// erasure if there is one less.
    window: [u8; 8],
}

/// What another notice of a group is to the reader of an inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// News: it counts from now on. If all notices of the group are old, they were late, and count as restored.
    News,
    /// It may have been seen before: it counts from the moment of the notice.
    Restored,
}

/// The newest groups of a user, those that grew last first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inbox {
    groups: Vec<Grouped>,
}

impl Inbox {
    /// Bytes of a group.
    const GROUP_BYTES: usize = 17 + 6 + 8;

    /// The groups that are not too old at this moment.
    pub fn groups(&self, now: Timestamp) -> impl Iterator<Item = &Grouped> {
        self.groups.iter().filter(move |grouped| grouped.at.after(NOTIFICATIONS_KEPT) > now)
    }

    /// Whether the group should be listed, because it has a notice of this moment, but is not.
    pub fn lacks(&self, group: Group, at: Timestamp) -> bool {
        let is_full = self.groups.len() >= NOTIFICATION_GROUPS_MAX;
        let is_old = is_full && self.groups.last().is_some_and(|last| at <= last.at);
        !is_old && !self.lists(group)
    }

    /// Whether the group is listed.
    pub fn lists(&self, group: Group) -> bool {
        self.groups.iter().any(|grouped| grouped.group == group)
    }

    /// A notice of the group goes. If the inbox knows these newest notices, it knows those that are left from now on:
    /// that there is one less is nothing new. Otherwise there are news, of which the inbox will hear.
    pub fn shrink(&mut self, group: Group, newest: &[Notice], left: &[Notice]) {
        let known = window(newest);
        if let Some(grouped) = self.groups.iter_mut().find(|it| it.group == group && it.window == known) {
            grouped.window = window(left);
        }
    }

    /// Takes over what the newest notices of a group are. Returns whether that changed the inbox. If there is another
    /// notice than was known, the group is the newest one of the inbox, and has not been seen, unless all of this is
    /// restored. Notices that have ended count like all others: what ends and begins again is nothing new. A full inbox
    /// does not list a group that grew before all of its own.
    pub fn grow(&mut self, group: Group, newest: &[Notice], now: Timestamp, growth: Growth) -> bool {
        let moments = newest.iter().map(|notice| notice.at);
        let stands = newest.iter().filter(|notice| notice.active).map(|notice| notice.at).max();
        let ended = match growth {
            Growth::News => moments.max(),
            // Nobody may ever have been told of these. If one of them begins again, the group stands where that one
            // does.
            Growth::Restored => moments.min(),
        };
        // What ended before anybody was told of it does not make the group newer.
        let Some(last) = stands.or(ended) else { return false };
        let window = window(newest);
        let before = self.groups.iter().position(|grouped| grouped.group == group).map(|at| self.groups.remove(at));
        if let Some(before) = before.filter(|before| before.window == window) {
            // One of which only the end was restored may have begun again.
            let at = stands.map_or(before.at, |stands| before.at.max(stands));
            self.insert(Grouped { at, ..before });
            return at > before.at;
        }
        let is_late = now.as_ms().saturating_sub(last.as_ms()) > LATE_MS;
        let newest_ms = self.groups.first().map_or(0, |first| first.at.as_ms());
        let later = |at: Timestamp| before.map_or(at, |before| at.max(before.at));
        let at = match growth {
            // Notices are restored in any order. One that has ended may have come first, and does not count any more.
            Growth::Restored => last,
            Growth::News if is_late => later(last),
            // Whoever did it may have a clock that is ahead.
            Growth::News => Timestamp::from_ms(later(now.max(last)).as_ms().max(newest_ms) + 1),
        };
        self.insert(Grouped { group, at, window });
        self.groups.retain(|grouped| grouped.at.after(NOTIFICATIONS_KEPT) > now || grouped.group == group);
        self.groups.truncate(NOTIFICATION_GROUPS_MAX);
        self.groups.iter().any(|grouped| grouped.group == group)
    }

    fn insert(&mut self, grouped: Grouped) {
        let place = |other: &Grouped| (other.at, other.group) > (grouped.at, grouped.group);
        let at = self.groups.partition_point(place);
        self.groups.insert(at, grouped);
    }

    /// The inbox as it is stored: [`Inbox::GROUP_BYTES`] for each group.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.groups.len() * Self::GROUP_BYTES);
        for Grouped { group, at, window } in &self.groups {
            bytes.extend(group.to_bytes());
            bytes.extend(&at.as_ms().to_be_bytes()[2..]);
            bytes.extend(window);
        }
        bytes
    }

    /// An inbox as it was stored. A group of a kind that this release does not know is left out.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (groups, []) = bytes.as_chunks::<{ Self::GROUP_BYTES }>() else { return None };
        let grouped = |bytes: &[u8; Self::GROUP_BYTES]| {
            let (group, rest) = bytes.split_first_chunk::<17>()?;
            let (&[a, b, c, d, e, f], rest) = rest.split_first_chunk::<6>()?;
            let window = rest.try_into().ok()?;
            let at = Timestamp::from_ms(u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
            Some(Grouped { group: Group::from_bytes(*group)?, at, window })
        };
        Some(Self { groups: groups.iter().filter_map(grouped).collect() })
    }
}

/// What stands for these notices.
fn window(notices: &[Notice]) -> [u8; 8] {
    let mut hash = Context::new(&SHA256);
    for notice in notices {
        hash.update(&notice.at.as_ms().to_be_bytes());
        hash.update(notice.id.as_bytes());
        hash.update(b"#");
    }
    let mut short = [0; 8];
    short.copy_from_slice(&hash.finish().as_ref()[..8]);
    short
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::samples::{NOW, user};

    fn secs(secs: u64) -> Timestamp {
        NOW.after(Duration::from_secs(secs))
    }

    fn notice(at: Timestamp, id: &str, active: bool) -> Notice {
        Notice { at, id: id.to_owned(), actor: user("bob"), active, version: 1, shard: PartitionShard::default() }
    }

    fn post(at: u64) -> PostId {
        PostId::lowest(secs(at))
    }

    fn order(inbox: &Inbox, now: Timestamp) -> Vec<Group> {
        inbox.groups(now).map(|grouped| grouped.group).collect()
    }

    #[test]
    fn a_group_that_grows_is_the_newest_and_one_that_stays_is_not_touched() {
        let (a, b) = (Group::Like(post(1)), Group::Comment(post(1)));
        let mut inbox = Inbox::default();
        assert!(inbox.grow(a, &[notice(secs(1), "bob", true)], secs(1), Growth::News));
        assert!(inbox.grow(b, &[notice(secs(2), "x", true)], secs(2), Growth::News));
        assert!(!inbox.grow(a, &[notice(secs(1), "bob", false)], secs(3), Growth::News), "it has ended");
        assert!(!inbox.grow(a, &[notice(secs(1), "bob", true)], secs(4), Growth::News), "and begun again");
        assert_eq!(order(&inbox, secs(4)), [b, a]);
        assert!(inbox.grow(a, &[notice(secs(5), "eve", true), notice(secs(1), "bob", true)], secs(5), Growth::News));
        assert_eq!(order(&inbox, secs(5)), [a, b]);
        assert!(!inbox.grow(b, &[], secs(6), Growth::News), "nothing is known any more, which is nothing new");
    }

    #[test]
    fn a_group_that_shrinks_is_not_news_unless_it_had_some() {
        let group = Group::Follow(Day(1));
        let [eve, bob, new] = [(2, "eve"), (1, "bob"), (3, "new")].map(|(at, id)| notice(secs(at), id, true));
        let mut inbox = Inbox::default();
        inbox.grow(group, &[eve.clone(), bob.clone()], secs(2), Growth::News);
        inbox.shrink(group, &[eve.clone(), bob], std::slice::from_ref(&eve));
        assert!(!inbox.grow(group, std::slice::from_ref(&eve), secs(3), Growth::News));
        // The inbox has not heard of the new notice yet.
        inbox.shrink(group, &[new.clone(), eve], std::slice::from_ref(&new));
        assert!(inbox.grow(group, &[new], secs(4), Growth::News));
    }

    #[test]
    fn what_arrives_late_behind_newer_notices_is_new_whatever_the_clocks_say() {
        let group = Group::Like(post(1));
        let mut inbox = Inbox::default();
        inbox.grow(group, &[notice(secs(9), "eve", true)], secs(9), Growth::News);
        let seen = inbox.groups(secs(9)).next().unwrap().at;
        // A worker whose clock is behind reads a notice of a clock that is behind, too.
        let both = [notice(secs(9), "eve", true), notice(secs(2), "bob", true)];
        assert!(inbox.grow(group, &both, secs(3), Growth::News));
        assert!(inbox.groups(secs(9)).next().unwrap().at > seen);
    }

    #[test]
    fn a_rebuilt_group_stands_where_its_newest_notice_does() {
        let (a, b) = (Group::Like(post(1)), Group::Like(post(2)));
        let mut inbox = Inbox::default();
        let now = secs(24 * 3600);
        for (group, at) in [(a, 500), (b, 100)] {
            assert!(inbox.grow(group, &[notice(secs(at), "bob", true)], now, Growth::News));
        }
        let at: Vec<_> = inbox.groups(now).map(|grouped| (grouped.group, grouped.at)).collect();
        assert_eq!(at, [(a, secs(500)), (b, secs(100))]);
    }

    #[test]
    fn a_restored_group_stands_where_its_newest_notice_does_that_has_not_ended_in_whatever_order_they_come() {
        let group = Group::Follow(Day(1));
        let (ended, stands) = (notice(secs(9), "eve", false), notice(secs(5), "bob", true));
        for first in [&ended, &stands] {
            let mut inbox = Inbox::default();
            assert!(inbox.grow(group, std::slice::from_ref(first), secs(60), Growth::Restored));
            assert!(inbox.grow(group, &[ended.clone(), stands.clone()], secs(60), Growth::Restored));
            assert_eq!(inbox.groups(secs(60)).next().unwrap().at, secs(5));
        }
    }

    #[test]
    fn a_restored_notice_that_begins_again_is_where_the_next_rebuild_would_put_it() {
        let group = Group::Follow(Day(1));
        let [ended, begun] = [false, true].map(|active| notice(secs(9), "eve", active));
        let [gone, stands] = [false, true].map(|active| notice(secs(5), "bob", active));
        let at = |inbox: &Inbox| inbox.groups(secs(80)).next().unwrap().at;
        let mut inbox = Inbox::default();
        inbox.grow(group, &[ended.clone(), stands.clone()], secs(60), Growth::Restored);
        assert!(inbox.grow(group, &[begun.clone(), stands.clone()], secs(70), Growth::News));
        assert_eq!(at(&inbox), secs(9));
        assert!(!inbox.grow(group, &[begun, stands.clone()], secs(71), Growth::News));

        let mut inbox = Inbox::default();
        inbox.grow(group, &[ended.clone(), gone], secs(60), Growth::Restored);
        assert!(!inbox.grow(group, &[ended, stands], secs(70), Growth::News), "it was there before");
        assert_eq!(at(&inbox), secs(5));
    }

    #[test]
    fn what_is_restored_while_it_is_new_may_have_been_seen() {
        let group = Group::Like(post(1));
        let mut inbox = Inbox::default();
        assert!(inbox.grow(group, &[notice(secs(5), "bob", true)], secs(60), Growth::Restored));
        assert_eq!(inbox.groups(secs(60)).next().unwrap().at, secs(5));
    }

    #[test]
    fn a_full_inbox_does_not_grow_by_what_is_older_than_all_of_its_groups() {
        let mut inbox = Inbox::default();
        for at in 1..=NOTIFICATION_GROUPS_MAX as u64 {
            inbox.grow(Group::Like(post(at)), &[notice(secs(at + 10), "bob", true)], secs(9999), Growth::Restored);
        }
        let older = Group::Like(post(0));
        assert!(!inbox.grow(older, &[notice(secs(10), "bob", true)], secs(9999), Growth::Restored));
        assert!(inbox.grow(older, &[notice(secs(12), "bob", true)], secs(9999), Growth::Restored));
    }

    #[test]
    fn an_inbox_has_the_newest_groups_and_forgets_old_ones() {
        let mut inbox = Inbox::default();
        for at in 0..200 {
            inbox.grow(Group::Like(post(at)), &[notice(secs(at), "bob", true)], secs(at), Growth::News);
        }
        assert_eq!(order(&inbox, secs(200)).len(), NOTIFICATION_GROUPS_MAX);
        assert_eq!(order(&inbox, secs(200))[0], Group::Like(post(199)));
        assert!(inbox.to_bytes().len() < 4000, "one read unit, and four write units");
        assert_eq!(order(&inbox, secs(200).after(NOTIFICATIONS_KEPT)).len(), 0);
    }

    #[test]
    fn kinds_have_names() {
        for kind in NotificationKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        for other in ["", "Like", "reblog", "like,comment"] {
            assert_eq!(other.parse::<NotificationKind>(), Err(UnknownKind));
        }
    }

    proptest! {
        #[test]
        fn reading_a_written_inbox_is_the_identity(
            notices in proptest::collection::vec((0u8..4, 0u64..5, 0u64..90), 0..40),
        ) {
            let mut inbox = Inbox::default();
            for (now, (kind, subject, at)) in notices.into_iter().enumerate() {
                let group = [
                    Group::Like(post(subject)),
                    Group::Comment(post(subject)),
                    Group::Mention(post(subject)),
                    Group::Follow(Day::of(secs(subject * 24 * 3600))),
                ][usize::from(kind)];
                inbox.grow(group, &[notice(secs(at), "bob", true)], secs(now as u64), Growth::News);
            }
            prop_assert_eq!(Inbox::from_bytes(&inbox.to_bytes()), Some(inbox));
        }
    }
}
