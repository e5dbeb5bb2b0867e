//! One lane of a shard. All records with the same key are in the same lane, and a lane has one batch in flight. So the
//! order within a key holds for any parallelization factor. A lane makes batches by size, window and payload limit.
//! With [`ChaosSwitch`], it also makes the faults that AWS allows.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, timeout_at},
};

use super::{
    batch_processor::{BatchProcessor, Item},
    lifecycle::Stopped,
    parts::ChaosSwitch,
};
use crate::{invoke::Invoke, lambda::PAYLOAD_BYTES_MAX};

/// The bytes of a payload besides the records and the commas between them.
const PAYLOAD_FRAME_BYTES: usize = "{\"Records\":[]}".len();
/// How many processed records are kept for a repeated delivery.
const HISTORY: usize = 32;
/// The most records that are repeated at a time.
const REPEATED_MAX: usize = 8;

/// One lane and its records.
pub(super) struct Lane {
    pub(super) batch_size: usize,
    pub(super) window: std::time::Duration,
    pub(super) chaos: ChaosSwitch,
    pub(super) arriving: UnboundedReceiver<Arc<Item>>,
    /// Records that were taken from `arriving` and not delivered. They are older than those in `arriving`.
    pub(super) kept: VecDeque<Arc<Item>>,
    /// The records that were processed last.
    pub(super) history: VecDeque<Arc<Item>>,
}

impl Lane {
    /// Delivers all records until no more can arrive.
    pub(super) async fn run<I: Invoke>(
        mut self,
        processor: BatchProcessor<I>,
        done: impl Fn(&[Arc<Item>]),
    ) -> Result<(), Stopped> {
        loop {
            let stopped = processor.lifecycle.clone();
            let batch = tokio::select! {
                batch = self.next_batch() => batch,
                () = stopped.stopped() => return Err(Stopped),
            };
            if batch.is_empty() {
                return Ok(());
            }
            let batch = self.stir(batch);
            let processed = processor.process(batch, &done).await?;
            self.remember(processed);
        }
    }

    /// The next batch: a full one, or what has arrived when the window ends. Empty when no more records will arrive.
    async fn next_batch(&mut self) -> Vec<Arc<Item>> {
        let first = match self.kept.pop_front() {
            Some(item) => item,
            None => match self.arriving.recv().await {
                Some(item) => item,
                None => return Vec::new(),
            },
        };
        let deadline = Instant::now() + self.window;
        let mut bytes = PAYLOAD_FRAME_BYTES + first.record.event.len();
        let mut batch = vec![first];
        while batch.len() < self.batch_size {
            let next = match self.kept.pop_front() {
                Some(item) => Some(item),
                None => match self.arriving.try_recv() {
                    Ok(item) => Some(item),
                    Err(_) if self.window.is_zero() => None,
                    Err(_) => timeout_at(deadline, self.arriving.recv()).await.ok().flatten(),
                },
            };
            let Some(item) = next else { break };
            bytes += 1 + item.record.event.len();
            if bytes > PAYLOAD_BYTES_MAX {
                self.kept.push_front(item);
                break;
            }
            batch.push(item);
        }
        batch
    }

    /// Makes the requested faults. A batch stays in the order of sequence numbers, as on AWS, because functions rely on
    /// this order when they report the lowest failed one.
    fn stir(&mut self, mut batch: Vec<Arc<Item>>) -> Vec<Arc<Item>> {
        let chaos = self.chaos.get();
        if chaos.reorder_records {
            batch = self.hold_back_keys(batch);
        }
        if chaos.duplicate_records {
            self.repeat(&mut batch);
        }
        batch
    }

    /// Keeps all records of some keys for later, so that records of other keys overtake them.
    fn hold_back_keys(&mut self, batch: Vec<Arc<Item>>) -> Vec<Arc<Item>> {
        let mut keys: HashSet<String> = batch.iter().map(|item| item.record.key.clone()).collect();
        keys.retain(|_| rand::random_bool(0.3));
        let (held, delivered): (Vec<_>, Vec<_>) = batch.into_iter().partition(|item| keys.contains(&item.record.key));
        if delivered.is_empty() {
            return held;
        }
        for item in held.into_iter().rev() {
            self.kept.push_front(item);
        }
        delivered
    }

    /// Repeats some records of this batch and of the last batches.
    fn repeat(&self, batch: &mut Vec<Arc<Item>>) {
        let mut room = self.batch_size.saturating_sub(batch.len());
        let bytes: usize = batch.iter().map(|item| item.record.event.len() + 1).sum();
        // Repeated records must not make the payload too large.
        if bytes > PAYLOAD_BYTES_MAX / 4 {
            return;
        }
        if rand::random_bool(0.25) {
            let again = self.history.len().min(REPEATED_MAX).min(room);
            let again = if again > 0 { rand::random_range(0..=again) } else { 0 };
            room -= again;
            batch.extend(self.history.iter().rev().take(again).cloned());
        }
        let doubled: Vec<_> = batch.iter().filter(|_| rand::random_bool(0.05)).take(room).cloned().collect();
        batch.extend(doubled);
        batch.sort_by_key(|item| item.index);
    }

    fn remember(&mut self, processed: Vec<Arc<Item>>) {
        if self.chaos.get().duplicate_records {
            self.history.extend(processed);
            self.history.drain(..self.history.len().saturating_sub(HISTORY));
        }
    }
}
