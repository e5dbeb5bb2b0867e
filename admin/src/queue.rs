//! The messages of a queue. SQS shows messages only to those who receive them. So whoever looks at them makes them
//! visible again at the end.

use std::collections::BTreeMap;

use anyhow::Context;
use aws_sdk_sqs::{
    error::ProvideErrorMetadata,
    operation::change_message_visibility::ChangeMessageVisibilityError,
    types::{Message, MessageSystemAttributeName as Attribute, QueueAttributeName},
};

use crate::deployment::Deployment;

/// Messages that are looked at, at most.
const MESSAGES_MAX: usize = 1000;
/// Messages of one receive at most (SQS, ReceiveMessage).
const RECEIVED_MAX: i32 = 10;
/// How long received messages are hidden from others, in seconds. A command that takes longer does no harm: tasks and
/// reports can be repeated.
const HIDDEN_SECONDS: i32 = 120;
/// Receives without a new message after which the queue counts as read. SQS asks only some of its servers each time.
const EMPTY_RECEIVES: usize = 3;

/// A queue of the deployment.
#[derive(Debug)]
pub(crate) struct Queue<'a> {
    deployment: &'a Deployment,
    name: &'static str,
    url: &'a str,
}

/// How many messages a queue has, as SQS counts them: approximately.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Messages that wait to be received.
    pub(crate) waiting: u64,
    /// Messages that somebody has received, or that were put off.
    pub(crate) in_flight: u64,
    /// Messages that were sent with a delay.
    pub(crate) delayed: u64,
}

impl<'a> Queue<'a> {
    /// The queue with this logical id.
    ///
    /// # Errors
    /// If the deployment has no such queue.
    pub(crate) fn open(deployment: &'a Deployment, name: &'static str) -> anyhow::Result<Self> {
        Ok(Self { deployment, name, url: deployment.name(name)? })
    }

    /// Receives the messages that are visible, by their ids.
    pub(crate) async fn receive(&self) -> anyhow::Result<BTreeMap<String, Message>> {
        let (mut found, mut empty) = (BTreeMap::new(), 0);
        while empty < EMPTY_RECEIVES && found.len() < MESSAGES_MAX {
            let request = self.deployment.sqs.receive_message().queue_url(self.url);
            let request = request.max_number_of_messages(RECEIVED_MAX).visibility_timeout(HIDDEN_SECONDS);
            let request = request.message_system_attribute_names(Attribute::All);
            let answer = request.send().await.with_context(|| format!("the queue {} cannot be read", self.name))?;
            let before = found.len();
            for message in answer.messages.unwrap_or_default() {
                found.insert(message.message_id().unwrap_or_default().to_owned(), message);
            }
            empty = if found.len() == before { empty + 1 } else { 0 };
        }
        Ok(found)
    }

    /// Lets others receive the messages again. Callers print what they have done first.
    pub(crate) async fn release(&self, messages: impl IntoIterator<Item = &Message>) -> anyhow::Result<()> {
        for message in messages {
            let request = self.deployment.sqs.change_message_visibility().queue_url(self.url).visibility_timeout(0);
            let released = request.receipt_handle(message.receipt_handle().unwrap_or_default()).send().await;
            if let Err(error) = released
                && !error.as_service_error().is_some_and(is_not_hidden)
            {
                return Err(error).context("messages stay hidden for two minutes");
            }
        }
        Ok(())
    }

    /// Deletes the message.
    pub(crate) async fn delete(&self, message: &Message) -> anyhow::Result<()> {
        let request = self.deployment.sqs.delete_message().queue_url(self.url);
        let deleted = request.receipt_handle(message.receipt_handle().unwrap_or_default()).send().await;
        let id = message.message_id().unwrap_or_default();
        deleted.map(drop).with_context(|| format!("the message {id} cannot be deleted"))
    }

    /// Sends the message to this queue, too.
    pub(crate) async fn send(&self, message: &Message) -> anyhow::Result<()> {
        let request = self.deployment.sqs.send_message().queue_url(self.url);
        let sent = request.message_body(message.body().unwrap_or_default()).send().await;
        let id = message.message_id().unwrap_or_default();
        sent.map(drop).with_context(|| format!("the message {id} cannot be sent to {}", self.name))
    }

    /// How many messages there are.
    pub(crate) async fn count(&self) -> anyhow::Result<Counts> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let request = self.deployment.sqs.get_queue_attributes().queue_url(self.url);
        let answer = request.set_attribute_names(Some(names.to_vec())).send().await;
        let answer = answer.with_context(|| format!("the queue {} cannot be asked", self.name))?;
        let attributes = answer.attributes.unwrap_or_default();
        let count = |name| attributes.get(&name).and_then(|count| count.parse().ok()).unwrap_or_default();
        let [waiting, in_flight, delayed] = names.map(count);
        Ok(Counts { waiting, in_flight, delayed })
    }
}

impl Counts {
    /// All messages.
    pub(crate) fn sum(self) -> u64 {
        self.waiting + self.in_flight + self.delayed
    }
}

/// Whether the message need not be released: it is visible again after [`HIDDEN_SECONDS`], or somebody has deleted it.
fn is_not_hidden(error: &ChangeMessageVisibilityError) -> bool {
    error.is_message_not_inflight() || error.code() == Some("InvalidParameterValue")
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::{error::ErrorMetadata, types::error::MessageNotInflight};

    use super::*;

    #[test]
    fn a_message_that_is_visible_or_gone_need_not_be_released() {
        let visible = ChangeMessageVisibilityError::MessageNotInflight(MessageNotInflight::builder().build());
        let of = |code: &str| ChangeMessageVisibilityError::generic(ErrorMetadata::builder().code(code).build());
        assert!(is_not_hidden(&visible) && is_not_hidden(&of("InvalidParameterValue")));
        assert!(!is_not_hidden(&of("AccessDenied")));
    }
}
