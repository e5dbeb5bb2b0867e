//! How long to wait before trying again: a random time below a bound that doubles each time ("full jitter", AWS
//! Architecture Blog, "Exponential Backoff And Jitter").

use std::time::Duration;

use rand::Rng;

/// Waits between tries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    /// Upper bound of the first wait.
    pub(crate) first: Duration,
    /// Upper bound of every wait.
    pub(crate) longest: Duration,
}

impl Backoff {
    /// Waits before the try of this number; before the first, 0, not at all.
    pub(crate) async fn before(self, attempt: u32) {
        if attempt > 0 {
            let wait = self.wait(attempt, rand::rng().random());
            tokio::time::sleep(wait).await;
        }
    }

    /// The wait for a random number from 0 to 1.
    fn wait(self, attempt: u32, random: f64) -> Duration {
        let doubled = self.first.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1)));
        doubled.min(self.longest).mul_f64(random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound() {
        let backoff = Backoff { first: Duration::from_millis(10), longest: Duration::from_millis(50) };
        let bounds: Vec<_> = (1..6).map(|attempt| backoff.wait(attempt, 1.0).as_millis()).collect();
        assert_eq!(bounds, [10, 20, 40, 50, 50]);
        assert_eq!(backoff.wait(u32::MAX, 1.0), backoff.longest);
        assert_eq!(backoff.wait(3, 0.5), Duration::from_millis(20));
    }
}
