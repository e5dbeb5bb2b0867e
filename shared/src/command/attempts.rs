//! How often, and for how long, a command is decided again after it lost a race.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    error::Error,
    retry::{Retries, RetryPolicy},
};

/// Two concurrent commands of one user are rare. Dozens are rarer still.
pub(super) const ATTEMPTS_MAX: usize = 24;
/// No further attempt begins after this time. It is half of the functions' timeout (template.yaml), so that the last
/// attempt can end and its result can be sent. A function that is killed at its timeout sends nothing, and the caller
/// gets an error from the gateway, which does not know what happened.
const PATIENCE: Duration = Duration::from_secs(5);
/// Waits between attempts.
const RETRY: RetryPolicy = RetryPolicy {
    retries_max: ATTEMPTS_MAX - 1,
    first: Duration::from_millis(10),
    longest: Duration::from_millis(250),
};

/// The attempts of one command.
#[derive(Debug)]
pub(super) struct Attempts {
    made: u32,
    retries: Retries,
    until: Instant,
}

impl Attempts {
    /// The attempts of a command that begins now.
    pub(super) fn start() -> Self {
        Self { made: 0, retries: RETRY.start(), until: Instant::now() + PATIENCE }
    }

    /// Waits, except before the first attempt, and returns the number of the attempt, counted from 0.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the attempts or the time are used up.
    pub(super) async fn next(&mut self) -> Result<u32, Error> {
        let attempt = self.made;
        if attempt > 0 && (Instant::now() >= self.until || !self.retries.wait().await) {
            return Err(Error::Conflict);
        }
        self.made += 1;
        Ok(attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn attempts_are_numbered_and_end() {
        let none = RetryPolicy { first: Duration::ZERO, longest: Duration::ZERO, ..RETRY };
        let until = Instant::now() + Duration::from_secs(3600);
        let mut attempts = Attempts { made: 0, retries: none.start(), until };
        for number in 0..ATTEMPTS_MAX {
            assert_eq!(attempts.next().await.unwrap() as usize, number);
        }
        assert!(matches!(attempts.next().await, Err(Error::Conflict)));
    }

    #[tokio::test]
    async fn only_the_first_attempt_begins_after_the_time_is_up() {
        let mut attempts = Attempts { made: 0, retries: RETRY.start(), until: Instant::now() };
        assert_eq!(attempts.next().await.unwrap(), 0);
        assert!(matches!(attempts.next().await, Err(Error::Conflict)));
    }
}
