//! Sending to an SQS queue in batches, for the work queue and the quarantine, and putting off received messages.

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    error::{BuildError, DisplayErrorContext},
    types::{MessageAttributeValue, SendMessageBatchRequestEntry},
};
use rand::Rng;

use crate::{
    error::Error,
    model::{RunStep, TallySubject},
    retry::RetryPolicy,
    trace::{self, TraceId},
};

/// The message attribute with the trace in which a message was sent (W3C Trace Context).
pub const TRACEPARENT: &str = "traceparent";
/// The message attribute with the run of a walk, and the step.
pub const RUN: &str = "run";
/// Messages in one call of SendMessageBatch at most.
const BATCH_MAX: usize = 10;
/// Bytes of all bodies in one call. SQS has always taken this much; since August 2025 it takes 1 MiB.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// How long a message waits after its first failure. The time doubles with each further one.
const PUT_OFF_FIRST: Duration = Duration::from_secs(5);
/// How long a message waits at most. So a task that fails for the 14 days of the queue is received fewer than 1000
/// times, which is the template's `maxReceiveCount` and the highest that SQS allows.
const PUT_OFF_LONGEST: Duration = Duration::from_secs(30 * 60);
/// How often messages that SQS did not take are sent again.
const RETRY: RetryPolicy =
    RetryPolicy { retries_max: 3, first: Duration::from_millis(50), longest: Duration::from_secs(1) };

/// A queue.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    client: Client,
    url: String,
}

/// A message to send.
#[derive(Debug)]
pub(super) struct QueueMessage {
    body: String,
    group: Option<String>,
    delay_s: i32,
    trace: Option<TraceId>,
    run: Option<RunStep>,
}

impl QueueMessage {
    /// A message with this body, to be received after `delay_s` seconds at the earliest.
    ///
    /// The user or post that it is about is the message's group. SQS serves groups fairly ("fair queues"), so the many
    /// messages of one user or post do not hold up those of others. A group id may hold only ASCII letters, digits and
    /// punctuation, at most 128 of them; a user id may hold anything. So the group id of a user is the hash of the id.
    ///
    /// The message carries the trace of the work that sends it.
    pub(super) fn new(body: String, about: &TallySubject, delay_s: i32) -> Self {
        let group = match about {
            TallySubject::User(user) => user.hash().to_string(),
            TallySubject::Post(post) => post.to_string(),
        };
        Self { body, group: Some(group), delay_s, trace: trace::current(), run: None }
    }

    /// The same without a group: it is about no user or post.
    pub(super) fn ungrouped(body: String, delay_s: i32) -> Self {
        Self { body, group: None, delay_s, trace: trace::current(), run: None }
    }

    /// The same within this trace, if there is one.
    pub(super) fn within(self, trace: Option<TraceId>) -> Self {
        Self { trace: trace.or(self.trace), ..self }
    }

    /// The same as this step of a run.
    pub(super) fn of_run(self, run: RunStep) -> Self {
        Self { run: Some(run), ..self }
    }

    fn request(&self, id: usize) -> Result<SendMessageBatchRequestEntry, Error> {
        let invalid = |error: BuildError| Error::poison("a queue message to send", error);
        let mut entry = SendMessageBatchRequestEntry::builder()
            .id(id.to_string())
            .message_body(&self.body)
            .set_message_group_id(self.group.clone())
            .delay_seconds(self.delay_s);
        for (name, value) in self.attributes() {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value);
            entry = entry.message_attributes(name, value.build().map_err(invalid)?);
        }
        entry.build().map_err(invalid)
    }

    /// What SQS counts: the body, and the name, type and value of each attribute.
    fn bytes(&self) -> usize {
        let attributes = self.attributes().map(|(name, value)| name.len() + "String".len() + value.len());
        self.body.len() + attributes.sum::<usize>()
    }

    fn attributes(&self) -> impl Iterator<Item = (&'static str, String)> {
        let trace = self.trace.map(|trace| (TRACEPARENT, trace.traceparent()));
        trace.into_iter().chain(self.run.map(|run| (RUN, run.to_string())))
    }
}

impl Queue {
    /// The queue at this URL.
    pub(super) fn new(config: &aws_config::SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }

    /// Sends the messages.
    ///
    /// # Errors
    /// [`Error::Transient`] if SQS did not take some of the messages. It may have taken others.
    pub(super) async fn send(&self, messages: Vec<QueueMessage>) -> Result<(), Error> {
        for batch in batches(messages) {
            self.send_batch(batch).await?;
        }
        Ok(())
    }

    /// Puts off a message that was received so many times: it becomes visible again later each time.
    ///
    /// # Errors
    /// [`Error::Transient`] if SQS did not do so. The message then becomes visible after the visibility timeout.
    pub(super) async fn put_off(&self, receipt_handle: &str, receives: u32) -> Result<(), Error> {
        let delay_s = i32::try_from(delay_after(receives).as_secs()).unwrap_or(i32::MAX);
        let request = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt_handle);
        let answer = request.visibility_timeout(delay_s).send().await;
        let failed = |error| Error::transient("putting off a message", DisplayErrorContext(&error));
        answer.map(|_| ()).map_err(failed)
    }

    async fn send_batch(&self, batch: Vec<QueueMessage>) -> Result<(), Error> {
        let mut left: Vec<_> = batch.into_iter().enumerate().collect();
        let mut retries = RETRY.start();
        loop {
            let entries = left.iter().map(|(id, message)| message.request(*id)).collect::<Result<_, _>>()?;
            let answer = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
            let cause = match answer {
                Ok(answer) => {
                    left.retain(|(id, _)| answer.failed().iter().any(|failed| failed.id() == id.to_string()));
                    format!("SQS did not take {} messages", left.len())
                }
                Err(error) => DisplayErrorContext(&error).to_string(),
            };
            if left.is_empty() {
                return Ok(());
            }
            if !retries.wait().await {
                return Err(Error::transient("sending to a queue", cause));
            }
        }
    }
}

/// Splits the messages into batches of one call each.
fn batches(messages: Vec<QueueMessage>) -> Vec<Vec<QueueMessage>> {
    let mut batches: Vec<Vec<QueueMessage>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        bytes += message.bytes();
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_MAX && bytes <= BATCH_BYTES_MAX => batch.push(message),
            _ => {
                bytes = message.bytes();
                batches.push(vec![message]);
            }
        }
    }
    batches
}

/// How long a message waits after it was received so many times.
fn delay_after(receives: u32) -> Duration {
    let doubled = 2u32.saturating_pow(receives.saturating_sub(1));
    let longest = PUT_OFF_FIRST.saturating_mul(doubled).min(PUT_OFF_LONGEST);
    rand::rng().random_range(longest * 3 / 4..=longest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::{post, user};

    proptest! {
        #[test]
        fn batches_keep_every_message_within_the_limits(
            sizes in proptest::collection::vec(1usize..150_000, 0..40),
        ) {
            let about = TallySubject::User(user("ada"));
            let messages = sizes.iter().map(|size| QueueMessage::new("x".repeat(*size), &about, 0)).collect();
            let batches = batches(messages);
            let kept: Vec<_> = batches.iter().flatten().map(|message| message.body.len()).collect();
            prop_assert_eq!(&kept, &sizes);
            for batch in batches {
                prop_assert!(batch.len() <= BATCH_MAX);
                prop_assert!(batch.iter().map(|message| message.body.len()).sum::<usize>() <= BATCH_BYTES_MAX);
            }
        }
    }

    #[test]
    fn any_user_and_post_makes_a_valid_group() {
        for about in [TallySubject::User(user("auth0|日本")), TallySubject::Post(post().post)] {
            let group = QueueMessage::new(String::new(), &about, 0).group.unwrap();
            assert!(!group.is_empty() && group.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'));
        }
    }

    #[test]
    fn the_delay_grows_to_half_an_hour() {
        for (receives, longest_s) in [(0, 5), (1, 5), (2, 10), (5, 80), (9, 1280), (10, 1800), (u32::MAX, 1800)] {
            let delay = delay_after(receives).as_millis();
            assert!((longest_s * 750..=longest_s * 1000).contains(&delay), "{receives}: {delay} ms");
        }
    }
}
