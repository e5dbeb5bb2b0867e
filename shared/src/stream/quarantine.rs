//! The quarantine: the queue where events wait whose effects failed again and again. No function receives from it. A
//! person fixes the cause and then moves the messages to the work queue, where each is a [`Task::Redo`].

use super::{queue::Queue, work_queue::Task};
use crate::{
    error::Error,
    model::{UserId, Version},
};

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

    /// Puts an event into the quarantine.
    ///
    /// # Errors
    /// [`Error::Transient`] if SQS did not take the message.
    pub async fn put(&self, user: &UserId, version: Version, error: &Error) -> Result<(), Error> {
        let task = Task::Redo { user: user.clone(), version, error: error.to_string() };
        self.queue.send(vec![task.message(None, 0)?]).await
    }
}
