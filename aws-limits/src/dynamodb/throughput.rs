//! What a whole on-demand table or index takes: double its previous peak, up to the account's quota.

use std::time::Duration;

use super::Direction;
use crate::{Bucket, Limits, Peak, numbers};

/// The throughput of a table or index.
#[derive(Debug)]
pub(super) struct Throughput {
    write: Capacity,
    read: Capacity,
}

#[derive(Debug)]
struct Capacity {
    bucket: Bucket,
    quota: f64,
    peak: Peak,
    grown: Duration,
}

/// Why a table takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// More than double the previous peak within half an hour.
    Growth,
    /// The account's quota.
    Quota,
}

impl Throughput {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            write: Capacity::new(limits.table_write_units, limits.table_write_quota, limits.burst_seconds),
            read: Capacity::new(limits.table_read_units, limits.table_read_quota, limits.burst_seconds),
        }
    }

    pub(super) fn admits(&mut self, now: Duration, direction: Direction) -> Result<(), Exceeded> {
        let capacity = self.of(direction);
        capacity.grow(now);
        match capacity.bucket.admits(now) {
            true => Ok(()),
            false if capacity.bucket.rate() >= capacity.quota => Err(Exceeded::Quota),
            false => Err(Exceeded::Growth),
        }
    }

    pub(super) fn take(&mut self, now: Duration, direction: Direction, units: f64) {
        let capacity = self.of(direction);
        capacity.bucket.take(now, units);
        capacity.peak.add(now, units);
    }

    /// Units a second that the table takes now.
    pub(super) fn rate(&self, direction: Direction) -> f64 {
        match direction {
            Direction::Write => self.write.bucket.rate(),
            Direction::Read => self.read.bucket.rate(),
        }
    }

    fn of(&mut self, direction: Direction) -> &mut Capacity {
        match direction {
            Direction::Write => &mut self.write,
            Direction::Read => &mut self.read,
        }
    }
}

impl Capacity {
    fn new(initial: f64, quota: f64, burst_seconds: f64) -> Self {
        let bucket = Bucket::of_seconds(initial.min(quota), burst_seconds);
        Self { bucket, quota, peak: Peak::new(burst_seconds), grown: Duration::ZERO }
    }

    /// Every half an hour, the table takes double the peak of that time, if this is more.
    fn grow(&mut self, now: Duration) {
        if now.saturating_sub(self.grown) < numbers::TABLE_GROWTH_TIME.duration() {
            return;
        }
        let wanted = (self.peak.take() * numbers::TABLE_GROWTH.value).min(self.quota);
        if wanted > self.bucket.rate() {
            self.bucket.set_rate(now, wanted);
        }
        self.grown = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units that are admitted in each minute, if `per_second` are tried.
    fn minutes(count: u64, per_second: u64, limits: &Limits, direction: Direction) -> Vec<u64> {
        let mut throughput = Throughput::new(limits);
        let mut admitted = vec![0; usize::try_from(count).unwrap()];
        // A hundred requests a second, each of a hundredth of the units.
        for request in 0..count * 6_000 {
            let now = Duration::from_millis(request * 10);
            if throughput.admits(now, direction).is_ok() {
                #[expect(clippy::cast_precision_loss, reason = "small")]
                throughput.take(now, direction, per_second as f64 / 100.0);
                admitted[usize::try_from(request / 6_000).unwrap()] += per_second / 100;
            }
        }
        admitted
    }

    #[test]
    fn a_new_table_takes_4000_writes_and_12000_reads_a_second() {
        let limits = Limits::new_account();
        for (direction, limit) in [(Direction::Write, 4000), (Direction::Read, 12_000)] {
            let admitted = minutes(2, limit * 2, &limits, direction)[1] / 60;
            assert!(admitted.abs_diff(limit) <= limit / 50, "{direction:?}: {admitted}");
        }
    }

    #[test]
    fn a_table_takes_double_its_peak_after_half_an_hour_up_to_the_quota() {
        let limits = Limits::new_account();
        let admitted = minutes(125, 60_000, &limits, Direction::Write);
        let rate = |minute: usize| admitted[minute] / 60;
        assert!(rate(20) <= 4_100, "{}", rate(20));
        // The peak is 4000, with the full bucket at first and the request beyond it.
        assert!((8_000..=17_500).contains(&rate(45)), "{}", rate(45));
        assert!((39_000..=41_000).contains(&rate(124)), "{}", rate(124));
    }

    #[test]
    fn beyond_the_quota_the_account_is_the_limit() {
        let limits = Limits { table_write_units: 100_000.0, ..Limits::new_account() };
        let mut throughput = Throughput::new(&limits);
        assert_eq!(throughput.rate(Direction::Write), 40_000.0);
        throughput.take(Duration::ZERO, Direction::Write, 40_000.0);
        assert_eq!(throughput.admits(Duration::ZERO, Direction::Write), Err(Exceeded::Quota));
        let mut throughput = Throughput::new(&Limits::new_account());
        throughput.take(Duration::ZERO, Direction::Write, 4_000.0);
        assert_eq!(throughput.admits(Duration::ZERO, Direction::Write), Err(Exceeded::Growth));
    }
}
