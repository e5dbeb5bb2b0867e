//! The work queue: walks, which are too large for a batch of the bus, and catch-ups that failed or took too long there.
//! `deliver` works on them.

use std::time::Duration;

use super::{queue::Queue, walk::Walk};
pub use super::{
    queue::{RUN, TRACEPARENT},
    recount::Recount,
    task::{Message, NotATask, RebuildStep, Task},
};
use crate::{
    error::Error,
    model::{ModelSet, RunStep},
    trace::TraceId,
};

/// Longest delay of a message (SQS, `DelaySeconds`).
const DELAY_S_MAX: i32 = 900;
/// How long a task waits for what a worker has left of a piece of work, because DynamoDB did not take it with the rest.
pub(crate) const LEFT_AFTER: Duration = Duration::from_secs(5);

/// The work queue.
#[derive(Debug, Clone)]
pub struct WorkQueue {
    queue: Queue,
    /// The set of tables that all tasks are about, if there are others.
    on: Option<ModelSet>,
}

impl WorkQueue {
    /// The work queue at this URL.
    pub fn new(config: &aws_config::SdkConfig, queue_url: String) -> Self {
        Self { queue: Queue::new(config, queue_url), on: None }
    }

    /// The same queue for tasks that are about this set of tables.
    #[must_use]
    pub fn about(&self, on: ModelSet) -> Self {
        Self { on: Some(on), ..self.clone() }
    }

    /// The set of tables that all tasks are about, if there are others.
    pub fn model_set(&self) -> Option<ModelSet> {
        self.on
    }

    /// Sends the tasks.
    ///
    /// # Errors
    /// [`Error::Transient`] if SQS did not take some of the messages. It may have taken others.
    pub async fn send(&self, tasks: Vec<Task>) -> Result<(), Error> {
        self.send_after(Duration::ZERO, tasks).await
    }

    /// Sends the tasks so that they are received after `delay` at the earliest. The delay is rounded up to whole
    /// seconds, and is 15 minutes at most (SQS, "Message timers").
    ///
    /// # Errors
    /// As [`WorkQueue::send`].
    pub async fn send_after(&self, delay: Duration, tasks: Vec<Task>) -> Result<(), Error> {
        let delay_s = whole_seconds(delay);
        let messages = tasks.iter().map(|task| task.message(self.on, delay_s));
        self.queue.send(messages.collect::<Result<_, Error>>()?).await
    }

    /// Sends the tasks, each within the trace of what it follows from.
    ///
    /// # Errors
    /// As [`WorkQueue::send`].
    pub async fn send_traced(&self, tasks: Vec<(Task, Option<TraceId>)>) -> Result<(), Error> {
        let message = |(task, trace): (Task, _)| Ok(task.message(self.on, 0)?.within(trace));
        self.queue.send(tasks.into_iter().map(message).collect::<Result<_, Error>>()?).await
    }

    /// Sends steps of walks, each with its run, as [`WorkQueue::send_after`].
    ///
    /// # Errors
    /// As [`WorkQueue::send`].
    pub async fn send_steps(&self, delay: Duration, steps: Vec<(Walk, RunStep)>) -> Result<(), Error> {
        let delay_s = whole_seconds(delay);
        let message = |(walk, run)| Ok(Task::Walk(walk).message(self.on, delay_s)?.of_run(run));
        self.queue.send(steps.into_iter().map(message).collect::<Result<_, Error>>()?).await
    }

    /// Puts off a received message whose task failed, the longer the more often it was received: from 5 seconds to half
    /// an hour, less a random part of up to a quarter.
    ///
    /// # Errors
    /// [`Error::Transient`] if SQS did not do so. The message then comes again after the queue's visibility timeout.
    pub async fn put_off(&self, receipt_handle: &str, receives: u32) -> Result<(), Error> {
        self.queue.put_off(receipt_handle, receives).await
    }
}

/// A delay as SQS takes it.
fn whole_seconds(delay: Duration) -> i32 {
    i32::try_from(delay.as_millis().div_ceil(1000)).unwrap_or(DELAY_S_MAX).min(DELAY_S_MAX)
}
