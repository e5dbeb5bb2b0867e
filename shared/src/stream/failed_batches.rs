//! The queue of reports about batches that event source mappings gave up. AWS Lambda sends them, and `recover` works on
//! them.

use super::queue::{Queue, QueueMessage};
use crate::error::Error;

/// The queue of failed batches.
#[derive(Debug, Clone)]
pub struct FailedBatches {
    queue: Queue,
}

impl FailedBatches {
    /// The queue at this URL.
    pub fn new(config: &aws_config::SdkConfig, queue_url: String) -> Self {
        Self { queue: Queue::new(config, queue_url) }
    }

    /// Sends a report: the rest of one that was too long for one step.
    ///
    /// # Errors
    /// [`Error::Transient`] if SQS did not take the message.
    pub async fn send(&self, body: String) -> Result<(), Error> {
        self.queue.send(vec![QueueMessage::ungrouped(body, 0)]).await
    }

    /// Puts off a received report, the longer the more often it was received.
    ///
    /// # Errors
    /// [`Error::Transient`] if SQS did not do so. The message then comes again after the queue's visibility timeout.
    pub async fn put_off(&self, receipt_handle: &str, receives: u32) -> Result<(), Error> {
        self.queue.put_off(receipt_handle, receives).await
    }
}
