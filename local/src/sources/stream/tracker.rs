//! The records of a shard that are in flight. Lanes finish in any order. The checkpoint moves past a record only when
//! this record and all records before it are done.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::super::{
    activity::Activity,
    checkpoint::{Checkpoint, Checkpoints},
    shards::Record,
};

/// A shard is not read further while this many of its records are in flight…
const RECORDS_MAX: usize = 10_000;
/// … or this many bytes.
const BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) struct Tracker {
    checkpoints: Checkpoints,
    source: String,
    stream: String,
    shard: String,
    activity: Arc<Activity>,
    flight: Mutex<Flight>,
    room: Notify,
}

/// The records from the first one that is not done to the newest.
struct Flight {
    /// The index of the first record.
    first: u64,
    records: VecDeque<Entry>,
    bytes: usize,
}

struct Entry {
    sequence: String,
    bytes: usize,
    done: bool,
}

impl Tracker {
    /// `of` has the mapping's id, the stream's ARN and the shard.
    pub(super) fn new(checkpoints: Checkpoints, of: [&str; 3], activity: Arc<Activity>) -> Self {
        let [source, stream, shard] = of.map(str::to_owned);
        let flight = Mutex::new(Flight { first: 0, records: VecDeque::new(), bytes: 0 });
        Self { checkpoints, source, stream, shard, activity, flight, room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds records in the order of the shard. Returns an index for each.
    pub(super) fn add(&self, records: &[Record]) -> std::ops::Range<u64> {
        self.activity.begin(records.len());
        let mut flight = self.lock();
        let start = flight.first + flight.records.len() as u64;
        for record in records {
            let bytes = record.event.len();
            flight.bytes += bytes;
            flight.records.push_back(Entry { sequence: record.sequence.clone(), bytes, done: false });
        }
        start..start + records.len() as u64
    }

    /// Marks records as done, and stores the checkpoint if it moves. Marking a record twice has no effect.
    pub(super) fn done(&self, indices: impl Iterator<Item = u64>) {
        let mut flight = self.lock();
        let mut newly_done = 0;
        for index in indices {
            let position = index.checked_sub(flight.first).and_then(|position| usize::try_from(position).ok());
            if let Some(entry) = position.and_then(|position| flight.records.get_mut(position)) {
                newly_done += usize::from(!std::mem::replace(&mut entry.done, true));
            }
        }
        let mut checkpoint = None;
        while let Some(entry) = flight.records.pop_front_if(|entry| entry.done) {
            flight.first += 1;
            flight.bytes -= entry.bytes;
            checkpoint = Some(entry.sequence);
        }
        if let Some(sequence) = checkpoint {
            // Under the lock, so that checkpoints are stored in order.
            self.store(&Checkpoint::After(sequence));
            self.room.notify_one();
        }
        drop(flight);
        self.activity.end(newly_done);
    }

    /// Stores that the whole shard is done.
    pub(super) fn shard_ended(&self) {
        self.store(&Checkpoint::ShardEnd);
    }

    fn store(&self, checkpoint: &Checkpoint) {
        if let Err(error) = self.checkpoints.put(&self.source, &self.stream, &self.shard, checkpoint) {
            // The records are delivered again after a restart, which is allowed.
            tracing::error!(source = self.source, shard = self.shard, %error, "cannot store the checkpoint");
        }
    }

    /// Waits until more records may be read.
    pub(super) async fn room(&self) {
        loop {
            {
                let flight = self.lock();
                if flight.records.len() < RECORDS_MAX && flight.bytes < BYTES_MAX {
                    return;
                }
            }
            self.room.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use time::OffsetDateTime;

    use super::*;

    fn record(sequence: usize) -> Record {
        Record {
            sequence: sequence.to_string(),
            key: "k".into(),
            arrival: OffsetDateTime::UNIX_EPOCH,
            passes: true,
            event: Bytes::from_static(b"{}"),
        }
    }

    proptest! {
        #[test]
        fn the_checkpoint_never_passes_a_record_that_is_not_done(
            order in Just((0..40u64).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let checkpoints = Checkpoints::open(None).unwrap();
            let activity = Activity::new("source", "function");
            let tracker = Tracker::new(checkpoints.clone(), ["source", "stream", "shard"], Arc::clone(&activity));
            let records: Vec<_> = (0..40).map(record).collect();
            prop_assert_eq!(tracker.add(&records), 0..40);
            let mut done = [false; 40];
            for index in order {
                done[usize::try_from(index).unwrap()] = true;
                tracker.done([index, index].into_iter());
                let expected = done.iter().take_while(|done| **done).count().checked_sub(1);
                let stored = checkpoints.get("source", "stream", "shard").unwrap();
                prop_assert_eq!(stored, expected.map(|last| Checkpoint::After(last.to_string())));
            }
            prop_assert!(!activity.is_busy());
        }
    }

    #[tokio::test]
    async fn reading_waits_while_too_much_is_in_flight() {
        let tracker = Tracker::new(
            Checkpoints::open(None).unwrap(),
            ["source", "stream", "shard"],
            Activity::new("source", "function"),
        );
        let records: Vec<_> = (0..RECORDS_MAX).map(record).collect();
        tracker.add(&records);
        assert!(futures::poll!(std::pin::pin!(tracker.room())).is_pending());
        tracker.done(1..100);
        assert!(futures::poll!(std::pin::pin!(tracker.room())).is_pending(), "the first record holds the others");
        tracker.done(0..1);
        tracker.room().await;
    }
}
