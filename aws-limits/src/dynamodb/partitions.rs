//! The partitions of a table or index: each has a range of keys, and its own units a second. A partition that stays too
//! hot is split in two at the median of its recent traffic, so that each half has the units of a whole one. What one
//! item gets cannot be split. New items at the end of a range do not profit either: they are all in the upper half.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::Direction;
use crate::{Bucket, Limits, numbers};

/// Keys that a partition remembers of its recent traffic.
const REMEMBERED: usize = 64;
/// One in so many requests is remembered.
const REMEMBERED_SHARE: u64 = 7;
/// After this time without throttling, a partition is no longer hot.
const COOL: Duration = Duration::from_secs(30);

/// Where an item is: the hash of its partition key, and its sort key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    hash: u64,
    sort: String,
    /// What the partition key names before its first `#`, for reports.
    kind: Option<String>,
}

/// All partitions, by the lowest position of each.
#[derive(Debug)]
pub(super) struct Partitions {
    partitions: BTreeMap<Position, Partition>,
    limits: Limits,
    uses: u64,
}

#[derive(Debug)]
struct Partition {
    write: Bucket,
    read: Bucket,
    hot: Option<Hot>,
    recent: VecDeque<Position>,
}

#[derive(Debug, Clone, Copy)]
struct Hot {
    since: Duration,
    last: Duration,
}

impl Position {
    pub(super) fn new(partition_key: &str, sort_key: &str) -> Self {
        let digest = md5::compute(partition_key.as_bytes()).0;
        let hash = digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        let kind = partition_key.split_once('#').map(|(kind, _)| kind.to_owned());
        Self { hash, sort: sort_key.to_owned(), kind }
    }

    pub(super) fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }
}

impl Partition {
    fn new(limits: &Limits) -> Self {
        Self {
            write: Bucket::of_seconds(limits.partition_write_units, limits.burst_seconds),
            read: Bucket::of_seconds(limits.partition_read_units, limits.burst_seconds),
            hot: None,
            recent: VecDeque::new(),
        }
    }

    fn bucket(&mut self, direction: Direction) -> &mut Bucket {
        match direction {
            Direction::Write => &mut self.write,
            Direction::Read => &mut self.read,
        }
    }
}

impl Partitions {
    /// As many as a table needs for these units a second.
    pub(super) fn new(limits: &Limits, write_units: f64, read_units: f64) -> Self {
        let mut partitions = Self { partitions: BTreeMap::new(), limits: limits.clone(), uses: 0 };
        let (write, read) = (write_units / limits.partition_write_units, read_units / limits.partition_read_units);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most some thousands")]
        let count = write.max(read).ceil().clamp(1.0, 10_000.0) as u64;
        for number in 0..count {
            let first = Position { hash: u64::MAX / count * number, sort: String::new(), kind: None };
            partitions.partitions.insert(first, Partition::new(limits));
        }
        partitions
    }

    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Whether the partition of this position admits a request. If not, it is hot, and may be split.
    pub(super) fn admits(&mut self, now: Duration, at: &Position, direction: Direction) -> bool {
        self.uses += 1;
        let remembered = self.uses.is_multiple_of(REMEMBERED_SHARE);
        let Some(partition) = self.at(at) else { return true };
        if remembered {
            if partition.recent.len() == REMEMBERED {
                partition.recent.pop_front();
            }
            partition.recent.push_back(at.clone());
        }
        let admitted = partition.bucket(direction).admits(now);
        if !admitted {
            let since = match partition.hot {
                Some(hot) if now.saturating_sub(hot.last) < COOL => hot.since,
                _ => now,
            };
            partition.hot = Some(Hot { since, last: now });
            if now.saturating_sub(since) >= numbers::SPLIT_TIME.duration() {
                self.split(at);
            }
        }
        admitted
    }

    /// Takes what a request has used.
    pub(super) fn take(&mut self, now: Duration, at: &Position, direction: Direction, units: f64) {
        if let Some(partition) = self.at(at) {
            partition.bucket(direction).take(now, units);
        }
    }

    fn at(&mut self, at: &Position) -> Option<&mut Partition> {
        self.partitions.range_mut(..=at.clone()).next_back().map(|(_, partition)| partition)
    }

    /// Splits the partition of this position at the median of its recent traffic, unless one item has most of it.
    fn split(&mut self, at: &Position) {
        let Some((first, partition)) = self.partitions.range_mut(..=at.clone()).next_back() else { return };
        partition.hot = None;
        let mut recent: Vec<_> = partition.recent.drain(..).collect();
        recent.sort();
        let Some(median) = recent.get(recent.len() / 2).cloned() else { return };
        if median > *first && recent.first() < Some(&median) {
            self.partitions.insert(median, Partition::new(&self.limits));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Partitions {
        Partitions::new(&Limits::new_account(), 1000.0, 3000.0)
    }

    /// Writes or reads of one unit that are admitted in the last second, if `per_second` are tried for `seconds`.
    fn admitted(
        partitions: &mut Partitions,
        seconds: u64,
        per_second: u64,
        direction: Direction,
        key: impl Fn(u64) -> (String, String),
    ) -> u64 {
        let mut admitted = 0;
        for number in 0..seconds * per_second {
            let now = Duration::from_micros(number * 1_000_000 / per_second);
            let (partition_key, sort_key) = key(number);
            let at = Position::new(&partition_key, &sort_key);
            if partitions.admits(now, &at, direction) {
                partitions.take(now, &at, direction, 1.0);
                admitted += u64::from(number >= (seconds - 1) * per_second);
            }
        }
        admitted
    }

    #[test]
    fn an_item_takes_1000_writes_and_3000_reads_a_second() {
        for (direction, limit) in [(Direction::Write, 1000), (Direction::Read, 3000)] {
            let admitted = admitted(&mut one(), 5, 8000, direction, |_| ("one".to_owned(), "item".to_owned()));
            assert!((limit - 2..=limit + 2).contains(&admitted), "{direction:?}: {admitted}");
        }
    }

    #[test]
    fn reads_and_writes_are_limited_apart() {
        let mut partitions = one();
        let at = Position::new("a", "");
        partitions.take(Duration::ZERO, &at, Direction::Write, 1000.0);
        assert!(!partitions.admits(Duration::ZERO, &at, Direction::Write));
        assert!(partitions.admits(Duration::ZERO, &at, Direction::Read));
    }

    #[test]
    fn a_new_table_has_four_partitions_for_4000_writes() {
        let limits = Limits::new_account();
        let partitions = Partitions::new(&limits, limits.table_write_units, limits.table_read_units);
        assert_eq!(partitions.len(), 4);
    }

    #[test]
    fn a_partition_that_stays_hot_is_split_if_its_traffic_can_be() {
        let mut partitions = one();
        let after = numbers::SPLIT_TIME.count().into();
        let many = |number: u64| (format!("key {}", number % 1000), String::new());
        assert!(admitted(&mut partitions, after, 1500, Direction::Write, many) <= 1002);
        assert_eq!(partitions.len(), 1, "too early");
        let mut partitions = one();
        assert!(admitted(&mut partitions, after + 20, 1500, Direction::Write, many) > 1400);
        assert_eq!(partitions.len(), 2);
    }

    #[test]
    fn one_item_stays_limited_however_long_it_is_hot() {
        let mut partitions = one();
        let one = |_| ("one".to_owned(), "item".to_owned());
        assert!(admitted(&mut partitions, 700, 1500, Direction::Write, one) <= 1002);
    }

    #[test]
    fn new_items_at_the_end_of_a_collection_stay_limited() {
        let mut partitions = one();
        let growing = |number: u64| ("one".to_owned(), format!("{number:012}"));
        assert!(admitted(&mut partitions, 700, 1500, Direction::Write, growing) <= 1002);
    }
}
