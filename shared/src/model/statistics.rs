//! Daily statistics: what happened on each day in UTC, for the whole deployment and for each author.
//!
//! What is counted is a set of *facts*. A fact never changes: what somebody did, on which day, and who is credited with
//! it. So a fact that is counted again changes nothing, and the order in which facts arrive does not matter.

use std::{fmt, ops::AddAssign, str::FromStr, time::Duration};

use time::{Date, OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use super::{Day, LogEvent, PostId, Timestamp, Totals, UserEvent, UserId, Version, limits::STATISTICS_DAYS_ASKED_MAX};

/// How a day is written: `2026-11-26`.
const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
/// Characters of such a text.
const DATE_CHARS: usize = 10;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Day {
    /// The first moment of the day.
    pub fn start(self) -> Timestamp {
        Timestamp::from_ms(u64::from(self.number()) * u64::try_from(DAY.as_millis()).unwrap_or_default())
    }

    /// The day as a date: `2026-11-26`. Dates sort as days do.
    pub fn date(self) -> String {
        let moment = OffsetDateTime::from_unix_timestamp(i64::from(self.number()) * 86_400);
        moment.ok().and_then(|moment| moment.date().format(DATE).ok()).unwrap_or_else(|| self.number().to_string())
    }

    /// The day of such a date. None for a date that there is not, and for one before 1970.
    pub fn from_date(text: &str) -> Option<Self> {
        let date = Date::parse(text, DATE).ok().filter(|_| text.len() == DATE_CHARS)?;
        let seconds = date.midnight().assume_utc().unix_timestamp();
        Some(Self::of(Timestamp::from_ms(u64::try_from(seconds).ok()? * 1000)))
    }
}

/// How long statistics are kept. None: there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatisticsPolicy {
    /// The number of days, today included. 0 turns statistics off.
    pub days: u32,
}

impl StatisticsPolicy {
    /// Whether anything is counted at all.
    pub fn is_on(self) -> bool {
        self.days > 0
    }

    /// The oldest day that is kept.
    pub fn oldest(self, now: Timestamp) -> Day {
        Day::from_number((Day::of(now).number() + 1).saturating_sub(self.days))
    }

    /// Whether facts of this day are counted.
    pub fn keeps(self, day: Day, now: Timestamp) -> bool {
        self.is_on() && day >= self.oldest(now)
    }

    /// When the numbers of this day expire.
    pub fn expires_at(self, day: Day) -> Timestamp {
        day.start().after(DAY * self.days.saturating_add(1))
    }
}

/// What kind of fact it is. Each kind is a number of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKind {
    /// The credited user wrote a post.
    Post,
    /// Somebody liked a post of the credited user's for the first time.
    Like,
    /// Somebody commented on a post of the credited user's.
    Comment,
    /// Somebody followed the credited user.
    FollowerGained,
    /// Somebody no longer follows the credited user.
    FollowerLost,
    /// The credited user deleted a post or a comment.
    Deletion,
    /// The credited user created the profile.
    Joined,
    /// The credited user did something: added an event to the log, or liked a post for the first time.
    Active,
}

impl FactKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Post,
        Self::Like,
        Self::Comment,
        Self::FollowerGained,
        Self::FollowerLost,
        Self::Deletion,
        Self::Joined,
        Self::Active,
    ];

    /// The name of the kind, and of its number in items. It is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Like => "like",
            Self::Comment => "comment",
            Self::FollowerGained => "gained",
            Self::FollowerLost => "lost",
            Self::Deletion => "deletion",
            Self::Joined => "joined",
            Self::Active => "active",
        }
    }
}

/// No kind of fact has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this release knows no such kind of fact")]
pub struct UnknownFact;

impl FromStr for FactKind {
    type Err = UnknownFact;

    fn from_str(name: &str) -> Result<Self, UnknownFact> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(UnknownFact)
    }
}

/// What made a fact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// An event in the log of this user.
    Event(UserId, Version),
    /// The like of this post by this user.
    Like(UserId, PostId),
    /// Anything that the credited user did on the day.
    Anything,
}

impl Cause {
    /// Who did it. None if the fact does not say.
    pub fn actor(&self) -> Option<&UserId> {
        match self {
            Self::Event(user, _) | Self::Like(user, _) => Some(user),
            Self::Anything => None,
        }
    }
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayFact {
    /// Who is credited with it: whose numbers it belongs to.
    pub user: UserId,
    /// When it happened.
    pub day: Day,
    /// What it is.
    pub kind: FactKind,
    /// What made it.
    pub cause: Cause,
}

impl DayFact {
    /// The fact that this user liked the author's post on this day for the first time.
    pub fn like(author: &UserId, day: Day, user: &UserId, post: PostId) -> Self {
        Self { user: author.clone(), day, kind: FactKind::Like, cause: Cause::Like(user.clone(), post) }
    }

    /// The fact that the user did something on this day.
    pub fn active(user: &UserId, day: Day) -> Self {
        Self { user: user.clone(), day, kind: FactKind::Active, cause: Cause::Anything }
    }
}

/// The facts that follow from an event, beside that its user was active: their kinds, and who is credited with them.
/// `before` are the user's totals before the event: they tell whether a block ended a follow. `author` is the author of
/// the post that a comment is on, if there is the post.
pub fn facts_of(event: &LogEvent, before: Option<Totals>, author: Option<&UserId>) -> Vec<DayFact> {
    let own = &event.user;
    let fact = |user: &UserId, kind| {
        let cause = Cause::Event(own.clone(), event.version);
        DayFact { user: user.clone(), day: Day::of(event.at), kind, cause }
    };
    let mut facts = vec![DayFact::active(own, Day::of(event.at))];
    match &event.event {
        UserEvent::PostCreated { .. } => facts.push(fact(own, FactKind::Post)),
        UserEvent::PostCommented { .. } => facts.extend(author.map(|author| fact(author, FactKind::Comment))),
        UserEvent::PostDeleted { .. } | UserEvent::CommentDeleted { .. } => facts.push(fact(own, FactKind::Deletion)),
        UserEvent::UserFollowed { followee } => facts.push(fact(followee, FactKind::FollowerGained)),
        // Somebody else may have ended the follow, so it makes nobody active.
        UserEvent::UserUnfollowed { followee } => facts = vec![fact(followee, FactKind::FollowerLost)],
        UserEvent::UserBlocked { blocked } => {
            let ended = before.is_some_and(|before| before.following > event.totals.following);
            facts.extend(ended.then(|| fact(blocked, FactKind::FollowerLost)));
        }
        UserEvent::ProfileChanged(_) if event.version.get() == 1 => facts.push(fact(own, FactKind::Joined)),
        // What an administrator decides is in the user's log, but the user did not do it.
        UserEvent::PostTakenDown { .. }
        | UserEvent::PostRestored { .. }
        | UserEvent::UserSuspended
        | UserEvent::UserReinstated
        // Nothing is counted of a deleted account.
        | UserEvent::AccountDeleted => facts.clear(),
        UserEvent::ProfileChanged(_)
        | UserEvent::PostEdited { .. }
        | UserEvent::FollowerRemoved { .. }
        | UserEvent::UserMuted { .. }
        | UserEvent::UserUnmuted { .. }
        | UserEvent::UserUnblocked { .. } => {}
    }
    facts
}

/// The numbers of a day: how many facts of each kind there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DayNumbers([i64; FactKind::ALL.len()]);

impl DayNumbers {
    /// The numbers of these facts.
    pub fn of<'a>(facts: impl IntoIterator<Item = &'a DayFact>) -> Self {
        let mut numbers = Self::default();
        facts.into_iter().for_each(|fact| numbers.add(fact.kind, 1));
        numbers
    }

    /// The number of facts of this kind.
    pub fn get(self, kind: FactKind) -> i64 {
        self.0[kind as usize]
    }

    /// Adds to the number of facts of this kind.
    pub fn add(&mut self, kind: FactKind, more: i64) {
        self.0[kind as usize] += more;
    }

    /// Whether there is nothing.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for DayNumbers {
    fn add_assign(&mut self, more: Self) {
        FactKind::ALL.into_iter().for_each(|kind| self.add(kind, more.get(kind)));
    }
}

impl std::ops::Neg for DayNumbers {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.map(|number| -number))
    }
}

/// The days from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayRange {
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
}

/// Why something is no range of days.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDays {
    /// A text is no date.
    #[error("`{0}` must be a day in UTC that exists, such as 2026-11-26")]
    NotADate(&'static str),
    /// The range ends before it begins.
    #[error("`from` must not be after `to`")]
    Reversed,
    /// The range is too long.
    #[error("there may be at most {STATISTICS_DAYS_ASKED_MAX} days from `from` to `to`")]
    TooMany,
}

impl DayRange {
    /// The days that a request asks for. Without `to`, it is today. Without `from`, the range has a week, or as many of
    /// these days as are kept.
    ///
    /// # Errors
    /// [`InvalidDays`] if a text is no date, or the range is reversed or too long.
    pub fn parse(
        from: Option<&str>,
        to: Option<&str>,
        policy: StatisticsPolicy,
        now: Timestamp,
    ) -> Result<Self, InvalidDays> {
        let day = |name, text: &str| Day::from_date(text).ok_or(InvalidDays::NotADate(name));
        let to = to.map_or(Ok(Day::of(now)), |text| day("to", text))?;
        let from = match from {
            Some(text) => day("from", text)?,
            None => Day::from_number(to.number().saturating_sub(6)).max(policy.oldest(now)).min(to),
        };
        if from > to {
            return Err(InvalidDays::Reversed);
        }
        let range = Self { from, to };
        if range.days().len() > STATISTICS_DAYS_ASKED_MAX { Err(InvalidDays::TooMany) } else { Ok(range) }
    }

    /// All of its days, in order.
    pub fn days(self) -> impl ExactSizeIterator<Item = Day> + DoubleEndedIterator {
        let count = usize::try_from((self.to.number() + 1).saturating_sub(self.from.number())).unwrap_or(usize::MAX);
        (0..count).map(move |at| Day::from_number(self.from.number() + u32::try_from(at).unwrap_or(u32::MAX)))
    }
}

/// `2026-11-20 to 2026-11-26`.
impl fmt::Display for DayRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from.date(), self.to.date())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::{CommandId, Spent, Standing},
        samples::{NOW, shown, user, version},
    };

    const YEAR: StatisticsPolicy = StatisticsPolicy { days: 365 };

    fn event(number: u64, event: UserEvent, following: u64) -> LogEvent {
        LogEvent {
            user: user("ada"),
            version: version(number),
            command: CommandId::new(NOW),
            at: NOW,
            totals: Totals { following, ..Totals::default() },
            spent: Spent::default(),
            standing: Standing::Active,
            event,
        }
    }

    /// Kinds and credited users, without the active user.
    fn facts(of: &LogEvent, before: u64) -> Vec<(FactKind, String)> {
        let before = Totals { following: before, ..Totals::default() };
        let found = facts_of(of, Some(before), Some(&user("carol")));
        let others = found.into_iter().filter(|fact| fact.kind != FactKind::Active);
        others.map(|fact| (fact.kind, fact.user.to_string())).collect()
    }

    proptest! {
        #[test]
        fn parsing_a_rendered_day_is_the_identity(number in 0u32..2_000_000) {
            let day = Day::from_number(number);
            prop_assert_eq!(Day::from_date(&day.date()), Some(day));
            prop_assert_eq!(Day::of(day.start()), day);
            prop_assert_eq!(Day::of(Timestamp::from_ms(day.start().as_ms() + 86_399_999)), day);
        }

        #[test]
        fn dates_sort_as_days_do(a in 0u32..2_000_000, b in 0u32..2_000_000) {
            let date = |number| Day::from_number(number).date();
            prop_assert_eq!(a.cmp(&b), date(a).cmp(&date(b)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _ = DayRange::parse(Some(&text), Some(&text), YEAR, NOW);
        }
    }

    #[test]
    fn a_date_that_there_is_not_is_no_day() {
        for text in ["2026-02-30", "2026-13-01", "2026-1-01", "26-01-01", "", "today", "1969-12-31", "2026-01-01T00"] {
            assert_eq!(Day::from_date(text), None, "{text}");
        }
        assert_eq!(Day::from_date("2015-02-27"), Some(Day::of(NOW)));
    }

    #[test]
    fn a_range_has_every_day_once() {
        let range = DayRange::parse(Some("2026-02-27"), Some("2026-03-01"), YEAR, NOW).unwrap();
        assert_eq!(range.days().map(Day::date).collect::<Vec<_>>(), ["2026-02-27", "2026-02-28", "2026-03-01"]);
        let parse = |from, to| DayRange::parse(Some(from), Some(to), YEAR, NOW);
        assert_eq!(parse("2026-03-01", "2026-02-28"), Err(InvalidDays::Reversed));
        assert_eq!(parse("2026-02-29", "2026-03-01"), Err(InvalidDays::NotADate("from")));
        assert_eq!(parse("2026-01-01", "2026-04-10"), Err(InvalidDays::TooMany));
        assert!(parse("2026-01-01", "2026-04-02").is_ok());
    }

    #[test]
    fn without_a_beginning_a_range_is_a_week_or_what_is_kept_of_it() {
        let kept = |days, to| DayRange::parse(None, to, StatisticsPolicy { days }, NOW).unwrap();
        for (days, length) in [(400, 7), (7, 7), (6, 6), (3, 3), (1, 1), (0, 1)] {
            let range = kept(days, None);
            assert_eq!((range.days().len(), range.to), (length, Day::of(NOW)), "{days} days are kept");
        }
        assert_eq!(kept(3, Some("2015-02-26")).days().len(), 2);
        assert_eq!(kept(3, Some("2015-01-01")).days().len(), 1, "refused later: it is not kept");
    }

    #[test]
    fn each_event_credits_whom_it_concerns() {
        let post = PostId::new(NOW);
        let (bob, carol) = (|| "bob".to_owned(), || "carol".to_owned());
        let created = UserEvent::PostCreated { post, text: None, tags: Vec::new() };
        assert_eq!(facts(&event(2, created, 0), 0), [(FactKind::Post, "ada".to_owned())]);
        let comment = UserEvent::PostCommented { post, comment: crate::model::CommentId::new(NOW), text: None };
        assert_eq!(facts(&event(3, comment, 0), 0), [(FactKind::Comment, carol())]);
        let followed = UserEvent::UserFollowed { followee: user("bob") };
        assert_eq!(facts(&event(4, followed, 1), 0), [(FactKind::FollowerGained, bob())]);
        let profile = || UserEvent::ProfileChanged(shown("ada"));
        assert_eq!(facts(&event(1, profile(), 0), 0), [(FactKind::Joined, "ada".to_owned())]);
        assert_eq!(facts(&event(5, profile(), 0), 0), []);
    }

    #[test]
    fn a_block_loses_a_follower_only_if_it_ends_a_follow() {
        let blocked = || UserEvent::UserBlocked { blocked: user("bob") };
        assert_eq!(facts(&event(4, blocked(), 2), 3), [(FactKind::FollowerLost, "bob".to_owned())]);
        assert_eq!(facts(&event(4, blocked(), 2), 2), []);
    }

    #[test]
    fn what_an_administrator_decides_makes_nobody_active() {
        assert_eq!(facts_of(&event(4, UserEvent::UserSuspended, 0), None, None), []);
        let muted = UserEvent::UserMuted { muted: user("bob") };
        assert_eq!(facts_of(&event(4, muted, 0), None, None), [DayFact::active(&user("ada"), Day::of(NOW))]);
    }

    #[test]
    fn a_policy_keeps_as_many_days_as_it_says() {
        let (policy, today) = (StatisticsPolicy { days: 2 }, Day::of(NOW));
        let day = |before: u32| Day::from_number(today.number() - before);
        assert!(policy.keeps(today, NOW) && policy.keeps(day(1), NOW) && !policy.keeps(day(2), NOW));
        assert!(policy.expires_at(day(1)) > NOW && !StatisticsPolicy { days: 0 }.keeps(today, NOW));
    }
}
