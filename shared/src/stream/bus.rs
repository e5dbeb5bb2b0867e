//! The bus: the Kinesis stream of events. `publish-events` writes to it, and `deliver` what could not be published
//! there.

use std::time::Duration;

use aws_sdk_kinesis::{Client, primitives::Blob, types::PutRecordsRequestEntry};

use super::cloud_event::CloudEvent;
use crate::retry::RetryPolicy;

/// Records in one call of PutRecords at most.
const PUT_RECORDS_MAX: usize = 500;
/// How often records that Kinesis did not take are sent again. After that, the event source mapping repeats the batch.
const RETRY: RetryPolicy =
    RetryPolicy { retries_max: 5, first: Duration::from_millis(50), longest: Duration::from_secs(1) };

/// The bus.
#[derive(Debug, Clone)]
pub struct Bus {
    client: Client,
    stream: String,
}

impl Bus {
    /// The stream with this name.
    pub fn new(config: &aws_config::SdkConfig, stream: String) -> Self {
        Self { client: Client::new(config), stream }
    }

    /// Publishes the events. Returns for each event, in the same order, whether the event is on the bus. An event that
    /// is not may be published again later: consumers do not depend on the order, and repeated events change nothing.
    pub async fn publish(&self, events: &[CloudEvent]) -> Vec<bool> {
        let mut published = vec![false; events.len()];
        let mut retries = RETRY.start();
        loop {
            let left: Vec<usize> = (0..events.len()).filter(|index| !published[*index]).collect();
            for chunk in left.chunks(PUT_RECORDS_MAX) {
                self.put(events, chunk, &mut published).await;
            }
            if published.iter().all(|published| *published) || !retries.wait().await {
                return published;
            }
        }
    }

    async fn put(&self, events: &[CloudEvent], chunk: &[usize], published: &mut [bool]) {
        let entries = chunk.iter().map(|index| entry(&events[*index])).collect::<Result<Vec<_>, _>>();
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return tracing::error!(%error, "an event cannot be written as a record of the bus"),
        };
        let answer = self.client.put_records().stream_name(&self.stream).set_records(Some(entries)).send().await;
        match answer {
            // PutRecords may succeed for some records only. Each record has its own result.
            Ok(answer) => {
                for (index, result) in chunk.iter().zip(answer.records()) {
                    published[*index] = result.error_code().is_none();
                }
            }
            Err(error) => {
                let error = aws_sdk_kinesis::error::DisplayErrorContext(&error);
                tracing::warn!(%error, records = chunk.len(), "Kinesis took none of the records");
            }
        }
    }
}

fn entry(event: &CloudEvent) -> anyhow::Result<PutRecordsRequestEntry> {
    Ok(PutRecordsRequestEntry::builder()
        .partition_key(event.partition_key())
        .data(Blob::new(serde_json::to_vec(event)?))
        .build()?)
}
