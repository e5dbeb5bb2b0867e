//! How often and how long a command is decided anew after it lost a race.

use std::time::{Duration, Instant};

use crate::{error::Error, retry::Backoff};

/// Two commands of one user at once are rare, dozens rarer.
const ATTEMPTS_MAX: u32 = 24;
/// After this, no further attempt is waited for. Half the functions' timeout (template.yaml), so that the last can end and be answered: a
/// function that is killed at its timeout leaves the caller with the gateway's answer, which knows nothing.
const PATIENCE: Duration = Duration::from_secs(5);
/// Waits between attempts.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(10), longest: Duration::from_millis(250) };

/// The attempts of one command.
#[derive(Debug)]
pub(super) struct Attempts {
    made: u32,
    until: Instant,
}

impl Attempts {
    pub(super) fn start() -> Self {
        Self { made: 0, until: Instant::now() + PATIENCE }
    }

    /// Number of the attempt to make now, from 0. Before all but the first, it waits.
    ///
    /// # Errors
    /// [`Error::Conflict`] if there were enough, or for too long.
    pub(super) async fn next(&mut self) -> Result<u32, Error> {
        let attempt = self.made;
        if attempt > 0 && (attempt >= ATTEMPTS_MAX || Instant::now() >= self.until) {
            return Err(Error::Conflict);
        }
        BACKOFF.before(attempt).await;
        self.made += 1;
        Ok(attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn they_are_numbered_and_end() {
        let mut attempts = Attempts { made: 0, until: Instant::now() + Duration::from_secs(3600) };
        assert_eq!(attempts.next().await.unwrap(), 0);
        assert_eq!(attempts.next().await.unwrap(), 1);
        attempts.made = ATTEMPTS_MAX - 1;
        assert_eq!(attempts.next().await.unwrap(), ATTEMPTS_MAX - 1);
        assert!(matches!(attempts.next().await, Err(Error::Conflict)));
    }

    #[tokio::test]
    async fn when_time_is_up_only_the_first_begins() {
        let mut attempts = Attempts { made: 0, until: Instant::now() };
        assert_eq!(attempts.next().await.unwrap(), 0);
        assert!(matches!(attempts.next().await, Err(Error::Conflict)));
    }
}
