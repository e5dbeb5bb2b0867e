//! The circuit breaker: after some failures in a row, a process leaves the server alone for a while, and then asks
//! once.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Failures in a row after which the breaker opens.
const FAILURES_MAX: u32 = 3;
/// How long it stays open at first. Each failed attempt afterwards doubles this.
const FIRST: Duration = Duration::from_secs(1);
/// How long it stays open at most.
const LONGEST: Duration = Duration::from_secs(30);

/// The state of the breaker.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    until: Instant,
    wait: Duration,
}

impl Breaker {
    /// Whether the server may be asked now. When the breaker has been open for its time, one caller may.
    pub(super) fn admits(&self) -> bool {
        let mut state = self.lock();
        let Some(open) = &mut state.open else { return true };
        let now = Instant::now();
        let admits = now >= open.until;
        if admits {
            // The others go on waiting while this one tries.
            open.until = now + open.wait;
        }
        admits
    }

    /// The server has answered.
    pub(super) fn succeeded(&self) {
        *self.lock() = State::default();
    }

    /// The server has not answered. True if the breaker opens with this, or stays open.
    pub(super) fn failed(&self) -> bool {
        let mut state = self.lock();
        state.failures += 1;
        let wait = match state.open {
            Some(open) => (2 * open.wait).min(LONGEST),
            None if state.failures < FAILURES_MAX => return false,
            None => FIRST,
        };
        state.open = Some(Open { until: Instant::now() + wait, wait });
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn after_three_failures_in_a_row_nobody_asks_for_a_second_and_then_one_does() {
        let breaker = Breaker::default();
        assert!(!breaker.failed() && !breaker.failed() && breaker.admits());
        assert!(breaker.failed() && !breaker.admits());
        pass(FIRST).await;
        assert!(breaker.admits() && !breaker.admits(), "one of two");
        breaker.succeeded();
        assert!(breaker.admits() && breaker.admits());
    }

    #[tokio::test(start_paused = true)]
    async fn each_failed_attempt_doubles_the_wait_up_to_half_a_minute() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            breaker.failed();
        }
        for secs in [1, 2, 4, 8, 16, 30, 30] {
            pass(Duration::from_secs(secs) - Duration::from_millis(1)).await;
            assert!(!breaker.admits(), "before {secs} s");
            pass(Duration::from_millis(1)).await;
            assert!(breaker.admits(), "after {secs} s");
            breaker.failed();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_with_answers_in_between_do_not_add_up() {
        let breaker = Breaker::default();
        for _ in 0..10 {
            assert!(!breaker.failed() && !breaker.failed());
            breaker.succeeded();
        }
    }
}
