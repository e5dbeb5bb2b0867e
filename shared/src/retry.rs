//! How often to try again, and how long to wait in between. The longest possible wait doubles with each try. The wait
//! itself is a random share of it ("full jitter", AWS Architecture Blog, "Exponential Backoff And Jitter"), so that
//! callers which failed together do not come back together.
//!
//! All waits go through [`tokio::time`]: where tokio's time is paused, no test waits.

use std::time::Duration;

use aws_config::{retry::RetryConfig, timeout::TimeoutConfig};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use rand::Rng;

use crate::error::Error;

/// How long the SDKs try a call, all attempts together. What they send after this has failed.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(8);
/// How long the SDKs wait for the answer to one attempt. The first attempts of reads are shorter, see
/// `store/read_timeouts.rs`.
pub(crate) const ATTEMPT_MAX: Duration = Duration::from_secs(3);
/// How often a read-decide-write is repeated from fresh reads after another worker changed the item in between.
pub(crate) const RACES_MAX: u32 = 20;

/// How often the SDKs try again by themselves, after waits of up to so long. The waits of the SDKs' default, one second
/// and two, would be longer than what most calls wait for.
pub fn retry_config() -> RetryConfig {
    let retries = RetryConfig::standard().with_max_attempts(3);
    retries.with_initial_backoff(Duration::from_millis(50)).with_max_backoff(Duration::from_secs(1))
}

/// How long the SDKs wait: for a connection, for the answer to one attempt, and for all attempts together.
pub fn timeout_config() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(ATTEMPT_MAX)
        .operation_timeout(CALL_MAX)
        .build()
}

/// How often to try again, and the bounds of the waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// Tries after the first.
    pub(crate) retries_max: usize,
    /// Upper bound of the first wait. It doubles with each further wait.
    pub(crate) first: Duration,
    /// Upper bound of every wait.
    pub(crate) longest: Duration,
}

/// The tries that are left.
#[derive(Debug)]
pub(crate) struct Retries {
    bounds: ExponentialBackoff,
}

impl RetryPolicy {
    /// All retries of one piece of work.
    pub(crate) fn start(self) -> Retries {
        let builder = ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_max_times(self.retries_max);
        // backon's own jitter adds to the delay, and so exceeds the longest one.
        Retries { bounds: builder.build() }
    }
}

impl Retries {
    /// Waits for the next try. False, at once, if there is none left.
    pub(crate) async fn wait(&mut self) -> bool {
        let Some(bound) = self.bounds.next() else { return false };
        let wait = rand::rng().random_range(Duration::ZERO..=bound);
        tokio::time::sleep(wait).await;
        true
    }
}

/// Repeats a read-decide-write until no other worker changes the item in between, [`RACES_MAX`] times at most.
///
/// # Errors
/// [`Error::Conflict`] if every race was lost; any other error of `attempt`, at once.
pub(crate) async fn until_no_conflict<T>(mut attempt: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..RACES_MAX {
        match attempt().await {
            Err(Error::Conflict) => {}
            result => return result,
        }
    }
    Err(Error::Conflict)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy =
        RetryPolicy { retries_max: 6, first: Duration::from_millis(10), longest: Duration::from_millis(50) };

    #[test]
    fn bounds_double_up_to_the_longest_and_end() {
        let bounds: Vec<_> = POLICY.start().bounds.map(|bound| bound.as_secs_f64() * 1000.0).collect();
        assert_eq!(bounds.iter().map(|ms| ms.round()).collect::<Vec<_>>(), [10.0, 20.0, 40.0, 50.0, 50.0, 50.0]);
    }

    #[tokio::test]
    async fn waits_end_with_the_retries() {
        let mut retries = RetryPolicy { retries_max: 2, first: Duration::ZERO, longest: Duration::ZERO }.start();
        assert!(retries.wait().await && retries.wait().await);
        assert!(!retries.wait().await);
    }

    #[tokio::test]
    async fn lost_races_are_repeated_and_other_errors_are_not() {
        let mut attempts = 0;
        let won = until_no_conflict(async || {
            attempts += 1;
            if attempts < 3 { Err(Error::Conflict) } else { Ok(()) }
        });
        assert!(won.await.is_ok());
        let mut attempts = 0;
        let lost = until_no_conflict(async || {
            attempts += 1;
            Err::<(), _>(Error::Conflict)
        });
        assert!(matches!(lost.await, Err(Error::Conflict)));
        assert_eq!(attempts, RACES_MAX);
        let mut attempts = 0;
        let failed = until_no_conflict(async || {
            attempts += 1;
            Err::<(), _>(Error::transient("reading", "no answer"))
        });
        assert!(matches!(failed.await, Err(Error::Transient { .. })));
        assert_eq!(attempts, 1);
    }
}
