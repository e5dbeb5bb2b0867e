//! Rate limits: how much of each kind one user may do in a time.
//!
//! The algorithm is the generic cell rate algorithm (GCRA; ITU-T Recommendation I.371), a leaky bucket whose state is
//! one moment. That moment is when the bucket will be empty: the user has used up the time until then. A command adds
//! its share of the limit's period to it, and is refused if the result lies more than a period ahead. So a user can do
//! as much at once as the limit allows for a period, and then again as much in each period.

use std::{num::NonZeroU64, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Timestamp, UserEvent};

/// Bursts of a limited kind are at least this many charges, see [`RateLimit::portion`].
const CHARGES_MIN: u64 = 100;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// New posts and edits.
    Posts,
    /// Comments.
    Comments,
    /// Follows.
    Follows,
    /// Changes of the profile.
    ProfileChanges,
    /// Blocks and mutes.
    Blocks,
    /// Likes.
    Likes,
}

/// At most so much in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    count: NonZeroU64,
    period: Duration,
}

/// The limits of all kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// New posts and edits together.
    pub posts: RateLimit,
    /// Comments.
    pub comments: RateLimit,
    /// Follows.
    pub follows: RateLimit,
    /// Changes of the profile.
    pub profile_changes: RateLimit,
    /// Blocks and mutes together.
    pub blocks: RateLimit,
    /// Likes.
    pub likes: RateLimit,
}

/// The state of one limit of one user: the moment until which the user has used up the time, in microseconds since the
/// Unix epoch. A moment in the past means the same as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpentUntil(u64);

/// The state of the limits of commands that are in the log. Every event carries it, so the newest event alone holds the
/// present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Spent {
    #[serde(skip_serializing_if = "SpentUntil::is_nothing")]
    posts: SpentUntil,
    #[serde(skip_serializing_if = "SpentUntil::is_nothing")]
    comments: SpentUntil,
    #[serde(skip_serializing_if = "SpentUntil::is_nothing")]
    follows: SpentUntil,
    #[serde(skip_serializing_if = "SpentUntil::is_nothing")]
    profile_changes: SpentUntil,
    #[serde(skip_serializing_if = "SpentUntil::is_nothing")]
    blocks: SpentUntil,
}

/// A user has done too much of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimited {
    /// What there was too much of.
    pub kind: Limited,
    /// The time after which one more is allowed.
    pub retry_after: Duration,
}

impl RateLimited {
    /// The time after which one more is allowed, in whole seconds, at least 1.
    pub fn retry_after_secs(&self) -> u64 {
        self.retry_after.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)
    }
}

impl Limited {
    /// What the event counts as. None if the limits do not count it: what ends something was counted when it began.
    pub fn of(event: &UserEvent) -> Option<Self> {
        match event {
            UserEvent::PostCreated { .. } | UserEvent::PostEdited { .. } => Some(Self::Posts),
            UserEvent::PostCommented { .. } => Some(Self::Comments),
            UserEvent::UserFollowed { .. } => Some(Self::Follows),
            UserEvent::ProfileChanged(_) => Some(Self::ProfileChanges),
            UserEvent::UserBlocked { .. } | UserEvent::UserMuted { .. } => Some(Self::Blocks),
            UserEvent::PostDeleted { .. }
            | UserEvent::CommentDeleted { .. }
            | UserEvent::UserUnfollowed { .. }
            | UserEvent::UserUnmuted { .. }
            | UserEvent::FollowerRemoved { .. }
            | UserEvent::UserUnblocked { .. }
            | UserEvent::PostTakenDown { .. }
            | UserEvent::PostRestored { .. }
            | UserEvent::UserSuspended
            | UserEvent::UserReinstated
            | UserEvent::AccountDeleted => None,
        }
    }

    /// What the caller is told that there was too much of.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Posts => "posts and edits",
            Self::Comments => "comments",
            Self::Follows => "follows",
            Self::ProfileChanges => "profile changes",
            Self::Blocks => "blocks and mutes",
            Self::Likes => "likes",
        }
    }
}

impl RateLimit {
    /// At most `count` in each period.
    pub fn new(count: NonZeroU64, period: Duration) -> Self {
        Self { count, period }
    }

    /// The state after `units` more at this moment.
    ///
    /// # Errors
    /// The time after which one more is allowed, if it is not allowed now. How many are added does not matter for this:
    /// see [`RateLimit::portion`].
    pub fn charge(&self, spent: SpentUntil, at: Timestamp, units: u64) -> Result<SpentUntil, Duration> {
        let (now, period) = (micros(at), self.period_us());
        let share = period / self.count;
        let begin = spent.0.max(now);
        let ahead = begin.saturating_add(share) - now;
        if ahead > period {
            return Err(Duration::from_micros(ahead - period));
        }
        Ok(SpentUntil(begin.saturating_add(share.saturating_mul(units))))
    }

    /// How many units to charge at once, in a random one of so many cases. A write for each unit would cost too much
    /// where the state has an item of its own. A small limit is charged unit by unit, and so is exact.
    pub fn portion(&self) -> NonZeroU64 {
        NonZeroU64::new(self.count.get() / CHARGES_MIN).unwrap_or(NonZeroU64::MIN)
    }

    fn period_us(&self) -> u64 {
        u64::try_from(self.period.as_micros()).unwrap_or(u64::MAX)
    }
}

impl RateLimits {
    /// The state after one more event of a user at this moment.
    ///
    /// # Errors
    /// [`RateLimited`] if there were too many events of the kind.
    pub fn charge(&self, spent: Spent, event: &UserEvent, at: Timestamp) -> Result<Spent, RateLimited> {
        let mut spent = spent.left_at(at);
        let Some(kind) = Limited::of(event) else { return Ok(spent) };
        let (limit, state) = match kind {
            Limited::Posts => (self.posts, &mut spent.posts),
            Limited::Comments => (self.comments, &mut spent.comments),
            Limited::Follows => (self.follows, &mut spent.follows),
            Limited::ProfileChanges => (self.profile_changes, &mut spent.profile_changes),
            Limited::Blocks => (self.blocks, &mut spent.blocks),
            // Likes are in no log.
            Limited::Likes => return Ok(spent),
        };
        *state = limit.charge(*state, at, 1).map_err(|retry_after| RateLimited { kind, retry_after })?;
        Ok(spent)
    }
}

impl SpentUntil {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde requires this signature")]
    fn is_nothing(&self) -> bool {
        self.0 == 0
    }

    /// The same without a moment in the past.
    fn left_at(self, at: Timestamp) -> Self {
        if self.0 > micros(at) { self } else { Self::default() }
    }
}

impl Spent {
    /// The same without moments in the past, so that events stay small.
    fn left_at(self, at: Timestamp) -> Self {
        Self {
            posts: self.posts.left_at(at),
            comments: self.comments.left_at(at),
            follows: self.follows.left_at(at),
            profile_changes: self.profile_changes.left_at(at),
            blocks: self.blocks.left_at(at),
        }
    }
}

fn micros(at: Timestamp) -> u64 {
    at.as_ms().saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::PostId,
        samples::{NOW, shown, user},
    };

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn an_hour(count: u64) -> RateLimit {
        RateLimit::new(NonZeroU64::new(count).unwrap(), HOUR)
    }

    fn limits(posts: u64) -> RateLimits {
        let (limit, many) = (an_hour(posts), an_hour(1_000_000));
        RateLimits { posts: limit, comments: many, follows: many, profile_changes: many, blocks: many, likes: many }
    }

    fn edited() -> UserEvent {
        UserEvent::PostEdited { post: PostId::new(NOW) }
    }

    proptest! {
        /// Whatever the user tries, no period has more than the limit for a burst and the limit for the period.
        #[test]
        fn a_user_does_at_most_the_limit_at_once_and_then_the_limit_in_each_period(
            count in 1u64..200, waits_ms in proptest::collection::vec(0u64..200_000, 1..600),
        ) {
            let (limit, mut spent, mut at) = (an_hour(count), SpentUntil::default(), NOW);
            let mut done: Vec<Timestamp> = Vec::new();
            for wait in waits_ms {
                at = at.after(Duration::from_millis(wait));
                match limit.charge(spent, at, 1) {
                    Ok(more) => {
                        spent = more;
                        done.push(at);
                    }
                    Err(retry_after) => {
                        prop_assert!(retry_after <= HOUR);
                        let wait = retry_after + Duration::from_millis(1);
                        prop_assert!(limit.charge(spent, at.after(wait), 1).is_ok(), "Retry-After is long enough");
                    }
                }
            }
            for (first, from) in done.iter().enumerate() {
                for (last, to) in done.iter().enumerate().skip(first) {
                    let refilled = to.since(*from).as_secs_f64() / HOUR.as_secs_f64() * count as f64;
                    prop_assert!((last - first + 1) as f64 <= count as f64 + refilled + 1e-3);
                }
            }
        }

        #[test]
        fn a_user_who_stays_below_the_limit_is_never_refused(count in 1u64..1000, tries in 1u64..2000) {
            let (limit, mut spent) = (an_hour(count), SpentUntil::default());
            let step = HOUR.as_millis() as u64 / count + 1;
            for number in 0..tries {
                spent = limit.charge(spent, NOW.after(Duration::from_millis(number * step)), 1).unwrap();
            }
        }

        #[test]
        fn charging_in_portions_charges_as_much_as_unit_by_unit(count in 1u64..100_000) {
            let limit = an_hour(count);
            let portion = limit.portion().get();
            let at_once = limit.charge(SpentUntil::default(), NOW, portion).unwrap();
            let one = limit.charge(SpentUntil::default(), NOW, 1).unwrap();
            prop_assert_eq!(at_once.0 - micros(NOW), (one.0 - micros(NOW)) * portion);
            prop_assert!(portion == 1 || count / portion >= CHARGES_MIN);
        }
    }

    #[test]
    fn a_burst_has_exactly_the_limit_and_a_further_one_waits_for_its_share() {
        for count in [1, 3, 7, 100, 1000] {
            let (limit, mut spent) = (an_hour(count), SpentUntil::default());
            for _ in 0..count {
                spent = limit.charge(spent, NOW, 1).unwrap();
            }
            let retry_after = limit.charge(spent, NOW, 1).unwrap_err();
            assert!(retry_after.abs_diff(HOUR / u32::try_from(count).unwrap()) < Duration::from_millis(1), "{count}");
            assert!(limit.charge(spent, NOW.after(retry_after + Duration::from_millis(1)), 1).is_ok(), "{count}");
        }
    }

    #[test]
    fn each_kind_has_a_limit_of_its_own_and_ends_are_free() {
        let limits = limits(1);
        let full = limits.charge(Spent::default(), &edited(), NOW).unwrap();
        let created = UserEvent::PostCreated { post: PostId::new(NOW), text: None, tags: Vec::new() };
        let refused = limits.charge(full, &created, NOW).unwrap_err();
        assert_eq!((refused.kind, refused.retry_after), (Limited::Posts, HOUR), "posts and edits share a limit");
        let free = [
            UserEvent::ProfileChanged(shown("ada")),
            UserEvent::UserFollowed { followee: user("bob") },
            UserEvent::PostDeleted { post: PostId::new(NOW) },
            UserEvent::UserUnfollowed { followee: user("bob") },
        ];
        assert!(free.iter().all(|event| limits.charge(full, event, NOW).is_ok()));
    }

    #[test]
    fn the_state_is_small_and_reads_as_it_was_written() {
        let spent = limits(2).charge(Spent::default(), &edited(), NOW).unwrap();
        let json = serde_json::to_value(spent).unwrap();
        assert_eq!(json, serde_json::json!({"posts": 1_425_001_800_000_000_u64}));
        assert_eq!(serde_json::from_value::<Spent>(json).unwrap(), spent);
        let unfollowed = UserEvent::UserUnfollowed { followee: user("bob") };
        let later = limits(2).charge(spent, &unfollowed, NOW.after(HOUR)).unwrap();
        assert_eq!(later, Spent::default(), "what is over is not carried on");
    }
}
