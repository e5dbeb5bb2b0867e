//! Visits: homes that nobody reads get no rows (docs/decisions/0086).
//!
//! A home says until when it gets rows. Reading it moves this moment into the future. Pushes leave it out afterwards,
//! and whoever reads it then completes it first. All of this is decided by what one item says, so it does not matter
//! which process decides, nor whether the parameter has changed meanwhile.

use std::{str::FromStr, time::Duration};

use super::{CLOCK_DIFFERENCE_MAX, Timestamp};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long rows are pushed after a visit if no home becomes dormant: in effect for good. Only homes that have an item
/// about visits already say so.
const FOR_GOOD: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// A visit so shortly before the end counts as one after it. What it writes would come after the end otherwise: a page
/// takes ten seconds at most, the timeout of GetFeed, and clocks differ.
const TOO_LATE: Duration = Duration::from_secs(20);
/// A visit that says nearly the same is not written again: within this part of the time.
const ABOUT: f64 = 0.1;

/// What a home says about visits of its owner. A home that says nothing gets rows, and has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// Rows are pushed until then at least.
    pub pushed_until: Timestamp,
    /// Since when the home may lack rows, which readers read from the authors' timelines.
    pub incomplete_since: Option<Timestamp>,
    /// When a walk began last that completes the home.
    pub walk_began: Option<Timestamp>,
}

/// After what time without a visit a home gets no rows any more. None: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DormancyPolicy(pub Option<Duration>);

impl FromStr for DormancyPolicy {
    type Err = InvalidDormancy;

    /// Reads a number of days, which may have a fraction. 0: never.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let days: f64 = text.parse().map_err(|_| InvalidDormancy)?;
        let after = Duration::try_from_secs_f64(days * DAY.as_secs_f64()).map_err(|_| InvalidDormancy)?;
        match after {
            Duration::ZERO => Ok(Self(None)),
            after if after <= TOO_LATE => Err(InvalidDormancy),
            after => Ok(Self(Some(after))),
        }
    }
}

/// Not a number of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give a number of days, such as 30, or 0; 20 seconds or less are too short")]
pub struct InvalidDormancy;

impl DormancyPolicy {
    /// What a home says after a visit at this moment.
    pub fn visited(&self, now: Timestamp) -> Visit {
        let pushed_until = now.after(self.usual());
        Visit { pushed_until, incomplete_since: None, walk_began: None }
    }

    /// Whether a push leaves this home out.
    pub fn leaves_out(&self, visit: &Visit, now: Timestamp) -> bool {
        self.0.is_some() && now > visit.pushed_until.after(CLOCK_DIFFERENCE_MAX)
    }

    /// Whether rows are pushed for longer than after a visit now, because the policy was another one.
    pub fn is_too_long(&self, visit: &Visit, now: Timestamp) -> bool {
        visit.pushed_until > now.after(self.usual().mul_f64(1.0 + ABOUT))
    }

    /// What the home says after a visit at this moment, if that is something else than before. If it may have been left
    /// out, it is incomplete from now on.
    pub fn visit(&self, before: &Visit, now: Timestamp) -> Option<Visit> {
        let visited = self.visited(now);
        if now.after(TOO_LATE) > before.pushed_until {
            return Some(Visit { incomplete_since: Some(now), ..visited });
        }
        let is_old = before.pushed_until.after(self.usual().mul_f64(ABOUT)) < visited.pushed_until;
        let differs = is_old || self.is_too_long(before, now);
        differs.then_some(Visit { pushed_until: visited.pushed_until, ..*before })
    }

    fn usual(&self) -> Duration {
        self.0.unwrap_or(FOR_GOOD)
    }
}

impl Visit {
    /// Whether pages have all rows in the home, and will for this time at least.
    pub fn is_whole_for(&self, time: Duration, now: Timestamp) -> bool {
        self.incomplete_since.is_none() && now.after(time + TOO_LATE) < self.pushed_until
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    fn policy() -> impl Strategy<Value = DormancyPolicy> {
        proptest::option::of(60_000u64..100_000_000).prop_map(|ms| DormancyPolicy(ms.map(Duration::from_millis)))
    }

    proptest! {
        #[test]
        fn whoever_reads_a_home_that_was_left_out_completes_it(
            pushes in policy(), reads in policy(),
            until in 0u64..200_000_000, pushed_at in 0u64..400_000_000, read_later in 0u64..1000,
            ahead in 0u64..=500, behind in 0u64..=500,
        ) {
            let at = Timestamp::from_ms;
            let visit = Visit { pushed_until: at(until), incomplete_since: None, walk_began: None };
            // The clocks of two processes differ by up to a second.
            if pushes.leaves_out(&visit, at(pushed_at + ahead)) {
                let change = reads.visit(&visit, at((pushed_at + read_later).saturating_sub(behind)));
                prop_assert!(change.is_some_and(|after| after.incomplete_since.is_some()), "{:?}", change);
            }
        }

        #[test]
        fn a_visit_just_written_is_left_alone(policy in policy(), now in 0u64..1 << 40) {
            let now = Timestamp::from_ms(now);
            prop_assert_eq!(policy.visit(&policy.visited(now), now), None);
            prop_assert!(!policy.leaves_out(&policy.visited(now), now));
        }
    }

    #[test]
    fn days_are_read_as_a_template_writes_them() {
        let days = |text: &str| text.parse::<DormancyPolicy>().map(|policy| policy.0);
        assert_eq!((days("30"), days("0"), days("0.0")), (Ok(Some(MONTH)), Ok(None), Ok(None)));
        assert_eq!(days("0.5"), Ok(Some(MONTH / 60)));
        assert!(["", "x", "-1", "NaN", "inf", "1e99", "0.0001"].iter().all(|text| days(text).is_err()));
    }

    #[test]
    fn a_visit_is_written_again_after_a_tenth_of_the_time() {
        let (policy, then) = (DormancyPolicy(Some(MONTH)), Timestamp::from_ms(1_700_000_000_000));
        let visit = policy.visited(then);
        let after = |days: u32| policy.visit(&visit, then.after(days * MONTH / 30));
        assert_eq!(after(2), None);
        let is_renewed = |after: Option<Visit>| after.is_some_and(|after| after.incomplete_since.is_none());
        assert!(is_renewed(after(4)) && is_renewed(after(29)));
        assert!(after(31).is_some_and(|after| after.incomplete_since.is_some()));
        // Rows come all the time after the feature was turned off, and at the usual times once it is on again.
        let off = DormancyPolicy(None);
        assert!(!off.leaves_out(&visit, then.after(10 * MONTH)));
        assert!(is_renewed(off.visit(&visit, then)) && is_renewed(policy.visit(&off.visited(then), then)));
        assert!(policy.is_too_long(&off.visited(then), then) && !policy.is_too_long(&visit, then));
        assert!(!off.is_too_long(&off.visited(then), then));
    }
}
