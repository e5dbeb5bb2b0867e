//! The bus: a Kinesis stream. Written by `publish-events` only.

use std::time::Duration;

use aws_sdk_kinesis::{Client, primitives::Blob, types::PutRecordsRequestEntry};

use super::cloud_event::CloudEvent;
use crate::retry::Backoff;

/// Records that PutRecords takes in one call.
const PUT_RECORDS_MAX: usize = 500;
/// Times that what Kinesis did not take is sent again before the batch is handed back.
const RETRIES_MAX: u32 = 5;
/// Waits before that.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(1) };

/// The bus.
#[derive(Debug, Clone)]
pub struct Bus {
    client: Client,
    stream: String,
}

impl Bus {
    /// The stream of this name.
    pub fn new(config: &aws_config::SdkConfig, stream: String) -> Self {
        Self { client: Client::new(config), stream }
    }

    /// Publishes the events; tells of each, in their order, whether it is on the bus. One that is not may be published
    /// again later: consumers are indifferent to order and repetition.
    pub async fn publish(&self, events: &[CloudEvent]) -> Vec<bool> {
        let mut published = vec![false; events.len()];
        for retry in 0..=RETRIES_MAX {
            let left: Vec<usize> = (0..events.len()).filter(|index| !published[*index]).collect();
            if left.is_empty() {
                break;
            }
            BACKOFF.before(retry).await;
            for chunk in left.chunks(PUT_RECORDS_MAX) {
                self.put(events, chunk, &mut published).await;
            }
        }
        published
    }

    async fn put(&self, events: &[CloudEvent], chunk: &[usize], published: &mut [bool]) {
        let entries = chunk.iter().map(|index| entry(&events[*index])).collect::<Result<Vec<_>, _>>();
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return tracing::error!(%error, "an event could not be written as a record"),
        };
        let answer = self.client.put_records().stream_name(&self.stream).set_records(Some(entries)).send().await;
        match answer {
            // PutRecords succeeds partially: each record has a result of its own.
            Ok(answer) => {
                for (index, result) in chunk.iter().zip(answer.records()) {
                    published[*index] = result.error_code().is_none();
                }
            }
            Err(error) => {
                let error = aws_sdk_kinesis::error::DisplayErrorContext(&error);
                tracing::warn!(%error, records = chunk.len(), "the bus took none of the records");
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
