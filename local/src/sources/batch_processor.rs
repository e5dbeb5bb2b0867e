//! Processes one batch of stream records until all of them are done, by Lambda's rules: invokes the function, retries,
//! bisects, and gives up.
//!
//! - After a function error, the batch is retried up to `MaximumRetryAttempts` times. With bisecting, a batch of
//!   several records is split in half instead, which does not count as a retry.
//! - After a partial batch response, the records before the lowest failed sequence number are done. The rest is
//!   delivered again: with bisecting as a smaller batch, without it as a retry.
//! - If no code ran (the function was throttled or had no process), the batch waits. This does not count as a retry.
//! - Records that are too old, or whose retries are used up, go to the on-failure destination.
//!
//! A record is reported as done only after it was processed, or after the destination has the invocation record.

use std::{sync::Arc, time::Duration};

use time::OffsetDateTime;

use super::{
    failure::{Condition, Destination, Discarded, reported_failures},
    lifecycle::{Lifecycle, Stopped},
    record_json,
    shards::Record,
};
use crate::{
    invoke::{Invoke, InvokeError},
    template::model::StreamSource,
};

/// The pause doubles with each further failure in a row, up to this factor.
pub(super) const RETRY_PAUSE_GROWTH_MAX: u32 = 50;

/// A record, and its place in the order in which its shard was read.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) index: u64,
    pub(super) record: Record,
}

/// Processes the batches of one shard with one function.
pub(super) struct BatchProcessor<I> {
    pub(super) source: Arc<StreamSource>,
    pub(super) function: String,
    pub(super) stream_arn: String,
    pub(super) is_kinesis: bool,
    pub(super) shard: String,
    pub(super) destination: Option<Arc<Destination>>,
    /// The pause before the first retry.
    pub(super) retry_pause: Duration,
    pub(super) lifecycle: Lifecycle,
    pub(super) invoker: I,
}

/// Records that are delivered together, and what has happened to them.
#[derive(Default)]
struct Batch {
    items: Vec<Arc<Item>>,
    invocations: u32,
    retries: u32,
    failures_in_row: u32,
    function_error: bool,
}

enum Outcome {
    Success,
    /// All records from this position on failed.
    FailedFrom(usize),
    NothingRan,
}

impl<I: Invoke> BatchProcessor<I> {
    /// Delivers records until all are done. Reports them to `done` piece by piece. Returns the processed records in
    /// order, without those that were given up.
    pub(super) async fn process(
        &self,
        items: Vec<Arc<Item>>,
        done: impl Fn(&[Arc<Item>]),
    ) -> Result<Vec<Arc<Item>>, Stopped> {
        let mut processed = Vec::with_capacity(items.len());
        let mut waiting = vec![Batch { items, ..Batch::default() }];
        while let Some(mut batch) = waiting.pop() {
            self.pause(batch.failures_in_row).await?;
            self.lifecycle.running().await?;
            let expired = self.split_expired(&mut batch);
            if !expired.items.is_empty() {
                self.discard(&expired, Condition::MaximumRecordAgeInSecondsExceeded).await?;
                done(&expired.items);
            }
            if batch.items.is_empty() {
                continue;
            }
            match self.invoke(&mut batch).await {
                Outcome::Success => {
                    done(&batch.items);
                    processed.append(&mut batch.items);
                }
                Outcome::NothingRan => {
                    batch.failures_in_row += 1;
                    waiting.push(batch);
                }
                Outcome::FailedFrom(position) => {
                    let mut failed = Batch { items: batch.items.split_off(position), ..batch };
                    let progress = !batch.items.is_empty();
                    if progress {
                        done(&batch.items);
                        processed.append(&mut batch.items);
                    }
                    if self.source.bisect && (progress || failed.items.len() > 1) {
                        failed.failures_in_row = 0;
                        if !progress {
                            let second = failed.items.split_off(failed.items.len() / 2);
                            waiting.push(Batch { items: second, ..failed.clone_without_items() });
                        }
                        waiting.push(failed);
                    } else if self.source.max_retries.is_some_and(|retries_max| failed.retries >= retries_max) {
                        self.discard(&failed, Condition::RetryAttemptsExhausted).await?;
                        done(&failed.items);
                    } else {
                        failed.retries += 1;
                        failed.failures_in_row += 1;
                        waiting.push(failed);
                    }
                }
            }
        }
        Ok(processed)
    }

    async fn invoke(&self, batch: &mut Batch) -> Outcome {
        let payload = record_json::records(batch.items.iter().map(|item| &item.record.event));
        if let (Some(metrics), Some(last)) = (self.invoker.metrics(), batch.items.last()) {
            let age = OffsetDateTime::now_utc() - last.record.arrival;
            metrics.of_function(&self.function, "IteratorAge", "Milliseconds", age.as_seconds_f64().max(0.0) * 1000.0);
        }
        let answer = match self.invoker.invoke(&self.function, payload).await {
            Ok(answer) => answer,
            Err(error @ (InvokeError::Throttled | InvokeError::Unavailable(_))) => {
                tracing::warn!(source = self.source.id, %error, "cannot invoke the function; will try again");
                return Outcome::NothingRan;
            }
            Err(error) => {
                tracing::warn!(source = self.source.id, %error, records = batch.items.len(), "the batch failed");
                batch.invocations += 1;
                batch.function_error = true;
                return Outcome::FailedFrom(0);
            }
        };
        batch.invocations += 1;
        batch.function_error = false;
        if !self.source.report_failures {
            return Outcome::Success;
        }
        let lowest = reported_failures(&answer).and_then(|failed| {
            // The lowest sequence number is the first one in the batch. An unknown sequence number fails the whole
            // batch.
            let position = |id: &String| batch.items.iter().position(|item| item.record.sequence == *id);
            let positions: Option<Vec<_>> = failed.iter().map(position).collect();
            Some(positions?.into_iter().min())
        });
        match lowest {
            Some(None) => Outcome::Success,
            Some(Some(position)) => {
                tracing::debug!(
                    source = self.source.id,
                    position,
                    records = batch.items.len(),
                    "a part of the batch failed"
                );
                Outcome::FailedFrom(position)
            }
            None => {
                tracing::warn!(source = self.source.id, "the function's answer is not a valid partial batch response");
                Outcome::FailedFrom(0)
            }
        }
    }

    /// Removes the records from the front that are older than the mapping's maximum age.
    fn split_expired(&self, batch: &mut Batch) -> Batch {
        let mut expired = batch.clone_without_items();
        if let Some(age_max) = self.source.max_record_age {
            let oldest = OffsetDateTime::now_utc() - age_max;
            let fresh = batch.items.iter().position(|item| item.record.arrival >= oldest);
            let rest = batch.items.split_off(fresh.unwrap_or(batch.items.len()));
            expired.items = std::mem::replace(&mut batch.items, rest);
        }
        expired
    }

    /// Sends the invocation record to the destination, and tries until it succeeds: with a destination, records are
    /// never lost silently.
    async fn discard(&self, batch: &Batch, condition: Condition) -> Result<(), Stopped> {
        let (Some(first), Some(last)) = (batch.items.first(), batch.items.last()) else {
            return Ok(());
        };
        tracing::warn!(source = self.source.id, records = batch.items.len(), ?condition, "gave up records");
        let Some(destination) = &self.destination else {
            return Ok(());
        };
        let record = Discarded {
            function: &self.function,
            stream_arn: &self.stream_arn,
            is_kinesis: self.is_kinesis,
            shard: &self.shard,
            first: &first.record,
            last: &last.record,
            records: batch.items.len(),
            condition,
            invocations: batch.invocations,
            function_error: batch.function_error,
        }
        .invocation_record();
        let mut failures = 0;
        while let Err(error) = destination.send(&record).await {
            failures += 1;
            tracing::warn!(
                source = self.source.id,
                error = format!("{error:#}"),
                "cannot report records that were given up; will try again"
            );
            self.pause(failures).await?;
        }
        Ok(())
    }

    async fn pause(&self, failures_in_row: u32) -> Result<(), Stopped> {
        match failures_in_row.checked_sub(1) {
            Some(doubled) => {
                let growth = 2u32.saturating_pow(doubled).min(RETRY_PAUSE_GROWTH_MAX);
                self.lifecycle.sleep(self.retry_pause * growth).await
            }
            None => Ok(()),
        }
    }
}

impl Batch {
    fn clone_without_items(&self) -> Self {
        Self { items: Vec::new(), ..*self }
    }
}

#[cfg(test)]
mod tests;
