//! A token bucket, and the highest rate that there was.

use std::time::Duration;

/// Tokens flow in at a steady rate, up to a capacity. A request is admitted while there is a token, and takes as many
/// as it turns out to need. So the bucket may go below zero, and then admits nothing until it is filled again: the
/// rate is kept in the long run, whatever single requests cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    per_second: f64,
    capacity: f64,
    tokens: f64,
    at: Duration,
}

impl Bucket {
    /// A full bucket.
    pub fn new(per_second: f64, capacity: f64) -> Self {
        Self { per_second, capacity, tokens: capacity, at: Duration::ZERO }
    }

    /// A bucket that holds what flows in within so many seconds, at least one. It begins with that of one second.
    pub fn of_seconds(per_second: f64, seconds: f64) -> Self {
        Self { tokens: per_second, ..Self::new(per_second, per_second * seconds.max(1.0)) }
    }

    /// A full bucket that holds what flows in within a second.
    pub fn of_one_second(per_second: f64) -> Self {
        Self::of_seconds(per_second, 1.0)
    }

    /// Whether a request is admitted now.
    pub fn admits(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.tokens > 0.0
    }

    /// Takes tokens, more than there are if need be. A negative number gives some back.
    pub fn take(&mut self, now: Duration, tokens: f64) {
        self.fill(now);
        self.tokens = (self.tokens - tokens).min(self.capacity);
    }

    /// Takes tokens if there are so many.
    pub fn try_take(&mut self, now: Duration, tokens: f64) -> bool {
        self.fill(now);
        let enough = self.tokens >= tokens;
        if enough {
            self.tokens -= tokens;
        }
        enough
    }

    /// From now on, tokens flow in at this rate. The bucket holds those of as many seconds as before.
    pub fn set_rate(&mut self, now: Duration, per_second: f64) {
        self.fill(now);
        // What is new is there at once.
        self.tokens += (per_second - self.per_second).max(0.0);
        self.capacity *= per_second / self.per_second.max(f64::MIN_POSITIVE);
        self.per_second = per_second;
        self.tokens = self.tokens.min(self.capacity);
    }

    /// Tokens a second.
    pub fn rate(&self) -> f64 {
        self.per_second
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.capacity);
        self.at = self.at.max(now);
    }
}

/// The highest rate that there was. It is averaged over as many seconds as a [`Bucket`] holds, because so much may come
/// at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Peak {
    seconds: f64,
    began: Duration,
    since: f64,
    highest: f64,
}

impl Peak {
    /// Of averages of so many seconds, at least one.
    pub fn new(seconds: f64) -> Self {
        Self { seconds: seconds.max(1.0), began: Duration::ZERO, since: 0.0, highest: 0.0 }
    }

    /// So much has come now.
    pub fn add(&mut self, now: Duration, amount: f64) {
        if now.saturating_sub(self.began).as_secs_f64() >= self.seconds {
            (self.began, self.since) = (now, 0.0);
        }
        self.since += amount;
        self.highest = self.highest.max(self.since / self.seconds);
    }

    /// The peak, a second. The next one begins.
    pub fn take(&mut self) -> f64 {
        std::mem::take(&mut self.highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_whatever_single_requests_cost() {
        for cost in [1.0, 7.0, 50.0] {
            let mut bucket = Bucket::of_one_second(100.0);
            let mut taken = 0.0;
            for ms in 0..20_000 {
                let now = Duration::from_millis(ms);
                if bucket.admits(now) {
                    bucket.take(now, cost);
                    taken += cost;
                }
            }
            // Twenty seconds, the content of the full bucket, and one request beyond it.
            assert!((2_000.0..=2_100.0 + cost).contains(&taken), "{cost}: {taken}");
        }
    }

    #[test]
    fn unused_tokens_do_not_add_up_beyond_the_capacity() {
        let mut bucket = Bucket::of_one_second(10.0);
        assert!(bucket.try_take(Duration::from_secs(100), 10.0));
        assert!(!bucket.try_take(Duration::from_secs(100), 1.0));
    }

    #[test]
    fn a_bucket_of_seconds_begins_with_one_and_saves_more() {
        let mut bucket = Bucket::of_seconds(10.0, 3.0);
        assert!(bucket.try_take(Duration::ZERO, 10.0) && !bucket.try_take(Duration::ZERO, 1.0));
        assert!(bucket.try_take(Duration::from_secs(100), 30.0));
        assert!(!bucket.try_take(Duration::from_secs(100), 1.0));
    }

    #[test]
    fn a_higher_rate_is_there_at_once() {
        let mut bucket = Bucket::of_one_second(10.0);
        bucket.take(Duration::ZERO, 10.0);
        bucket.set_rate(Duration::ZERO, 30.0);
        assert!(bucket.try_take(Duration::ZERO, 20.0));
        assert!(!bucket.try_take(Duration::ZERO, 1.0));
    }

    #[test]
    fn a_peak_is_an_average_of_as_many_seconds_as_may_come_at_once() {
        for (seconds, highest) in [(1.0, 50.0), (10.0, 6.0)] {
            let mut peak = Peak::new(seconds);
            for (second, amount) in [(0, 10.0), (1, 50.0), (20, 30.0)] {
                peak.add(Duration::from_secs(second), amount);
            }
            assert_eq!((peak.take(), peak.take()), (highest, 0.0));
        }
    }
}
