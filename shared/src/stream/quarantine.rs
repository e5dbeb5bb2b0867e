//! The quarantine: the queue where work waits that can never succeed as things are. No function receives from it. A
//! person fixes the cause and then moves the messages to the work queue, where each is a task again.

use super::{
    queue::{Queue, QueueMessage},
    work_queue::Task,
};
use crate::{error::Error, metrics};

/// The quarantine.
#[derive(Debug, Clone)]
pub struct Quarantine {
    queue: Queue,
}

impl Quarantine {
    /// The quarantine at this queue URL.
    pub fn new(config: &aws_config::SdkConfig, queue_url: String) -> Self {
        Self { queue: Queue::new(config, queue_url) }
    }

    /// Puts a task into the quarantine.
    ///
    /// # Errors
    /// [`Error::Transient`] if SQS did not take the message.
    pub async fn put(&self, task: &Task) -> Result<(), Error> {
        self.send(task.message(None, 0)?).await
    }

    /// Puts a message of a queue into the quarantine as it is, whether it makes sense or not.
    ///
    /// # Errors
    /// As [`Quarantine::put`].
    pub async fn put_body(&self, body: String) -> Result<(), Error> {
        self.send(QueueMessage::ungrouped(body, 0)).await
    }

    async fn send(&self, message: QueueMessage) -> Result<(), Error> {
        self.queue.send(vec![message]).await?;
        metrics::QUARANTINED.add(1);
        Ok(())
    }
}
