//! The deadline of an invocation. Lambda kills a function at its timeout, and a killed function can hand nothing over.
//! So work ends in two stages before that: from some moment on no step begins, and at a later one the step that runs is
//! given up. What is left after each is handed over.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::error::Error;

/// Share of the time that is kept for handing over what is left: a fifth, within these bounds.
const RESERVE: std::ops::RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_secs(3);
/// The time of an invocation that has no timeout, as in tests.
const NO_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// Until when an invocation works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// From this moment on, no step begins.
    begin_until: Instant,
    /// At this moment, the step that runs is given up.
    work_until: Instant,
}

impl Deadline {
    /// The deadline of an invocation that is killed after so much time. Steps begin during the first half of it.
    pub fn after(left: Duration) -> Self {
        let reserve = (left / 5).clamp(*RESERVE.start(), *RESERVE.end());
        let now = Instant::now();
        Self { begin_until: now + left / 2, work_until: now + left.saturating_sub(reserve) }
    }

    /// The deadline of work that nothing kills.
    pub fn none() -> Self {
        Self::after(NO_TIMEOUT)
    }

    /// A part of the work: no step of it begins after so much time, and it is given up after twice as much.
    pub fn at_most(self, time: Duration) -> Self {
        let now = Instant::now();
        Self { begin_until: self.begin_until.min(now + time), work_until: self.work_until.min(now + 2 * time) }
    }

    /// A part of the work behind which something is written down: it has half of the time that is left.
    #[must_use]
    pub fn half(self) -> Self {
        let now = Instant::now();
        let half = |until: Instant| now + until.saturating_duration_since(now) / 2;
        Self { begin_until: half(self.begin_until), work_until: half(self.work_until) }
    }

    /// Whether it is too late to begin a step.
    pub fn is_near(&self) -> bool {
        Instant::now() >= self.begin_until
    }

    /// Does the work, or gives it up at the deadline. Giving up is like a crash: some of the work may be done.
    ///
    /// # Errors
    /// [`Error::Transient`] if the work was given up; otherwise as the work's.
    pub async fn limit<T>(self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match timeout_at(self.work_until, work).await {
            Ok(done) => done,
            Err(_) => Err(Error::transient("working on a step", "the time of the invocation is up")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn steps_begin_in_the_first_half_and_end_before_the_timeout() {
        let begun = Instant::now();
        let deadline = Deadline::after(Duration::from_secs(3));
        assert!(!deadline.is_near());
        let given_up = deadline.limit(std::future::pending::<Result<(), Error>>()).await;
        assert!(matches!(given_up, Err(Error::Transient { .. })), "{given_up:?}");
        assert_eq!(begun.elapsed(), Duration::from_millis(2400));
        assert!(deadline.is_near());
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_of_the_work_never_has_more_time_than_all_of_it() {
        let second = Duration::from_secs(1);
        let part = Deadline::after(60 * second).at_most(second);
        tokio::time::advance(second).await;
        assert!(part.is_near());
        let all = Deadline::after(second / 2);
        assert_eq!(all.at_most(second), all);
    }
}
