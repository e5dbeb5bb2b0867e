//! The queue for what is too large for a stream's batch or failed there.

use std::time::Duration;

use aws_sdk_sqs::{Client, error::DisplayErrorContext, types::SendMessageBatchRequestEntry};
use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    model::{PostId, UserId, Version},
    retry::Backoff,
};

/// Messages that SendMessageBatch takes in one call.
const BATCH_MAX: usize = 10;
/// Bytes of all bodies in one call. SQS takes 1 MiB since August 2025; this much it took always.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Longest delay of a message.
const DELAY_S_MAX: i32 = 900;
/// Times that what the queue did not take is sent again.
const RETRIES_MAX: u32 = 3;
/// Waits before that.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(1) };

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Put a post into the homes of these viewers.
    #[serde(rename = "deliver")]
    PushToHomes {
        /// The post.
        post: PostId,
        /// Its author.
        author: UserId,
        /// Some of the author's followers.
        viewers: Vec<UserId>,
    },
    /// Walk through a large audience, and make a `Deliver` of every few hundred followers.
    #[serde(rename = "spread")]
    EnumerateAudience {
        /// The post.
        post: PostId,
        /// Its author.
        author: UserId,
        /// The last follower looked at, if the walk is under way.
        after: Option<UserId>,
        /// How many followers it has found.
        found: u64,
    },
    /// Fill the homes of a few followers of an author who is to be no celebrity any more, then those of the next.
    #[serde(rename = "demote")]
    BackfillHomes {
        /// The author.
        author: UserId,
        /// The last follower looked at, if that is under way.
        after: Option<UserId>,
    },
    /// Bring everything that follows from this user's log up to date.
    CatchUp {
        /// The user.
        user: UserId,
    },
    /// Do the effects of an event that was put aside. In the quarantine these messages wait for a person, who moves them
    /// back once the cause is fixed.
    Redo {
        /// Whose event.
        user: UserId,
        /// The event.
        version: Version,
        /// Why it was put aside.
        error: String,
    },
}

impl Task {
    /// Whose work it is. SQS serves groups fairly ("fair queues"), so that a large audience does not hold up small ones.
    fn group(&self) -> &UserId {
        match self {
            Self::PushToHomes { author, .. }
            | Self::EnumerateAudience { author, .. }
            | Self::BackfillHomes { author, .. } => author,
            Self::CatchUp { user } | Self::Redo { user, .. } => user,
        }
    }
}

/// A queue of [`Task`]s.
#[derive(Debug, Clone)]
pub struct WorkQueue {
    client: Client,
    queue_url: String,
}

impl WorkQueue {
    /// The queue at this URL.
    pub fn new(config: &aws_config::SdkConfig, queue_url: String) -> Self {
        Self { client: Client::new(config), queue_url }
    }

    /// Sends the messages.
    ///
    /// # Errors
    /// [`Error::Transient`] if some could not be sent; others then were.
    pub async fn send(&self, messages: Vec<Task>) -> Result<(), Error> {
        self.send_after(Duration::ZERO, messages).await
    }

    /// Sends the messages, to be received no sooner than after this time, which counts in whole seconds up to 15 minutes
    /// (SQS, "Task timers").
    ///
    /// # Errors
    /// As [`WorkQueue::send`].
    pub async fn send_after(&self, delay: Duration, messages: Vec<Task>) -> Result<(), Error> {
        let delay_s = i32::try_from(delay.as_millis().div_ceil(1000)).unwrap_or(DELAY_S_MAX).min(DELAY_S_MAX);
        let entries = messages.iter().map(|message| entry(message, delay_s)).collect::<Result<Vec<_>, _>>()?;
        for batch in batches(entries) {
            self.send_batch(batch).await?;
        }
        Ok(())
    }

    async fn send_batch(&self, batch: Vec<Entry>) -> Result<(), Error> {
        const DURING: &str = "sending to a queue";
        let mut left: Vec<_> = batch.into_iter().enumerate().collect();
        let mut cause = String::new();
        for retry in 0..=RETRIES_MAX {
            BACKOFF.before(retry).await;
            let entries = left.iter().map(|(id, entry)| entry.request(*id)).collect::<Result<_, _>>()?;
            let answer =
                self.client.send_message_batch().queue_url(&self.queue_url).set_entries(Some(entries)).send().await;
            match answer {
                Ok(answer) => {
                    left.retain(|(id, _)| answer.failed().iter().any(|failed| failed.id() == id.to_string()));
                    cause = format!("{} messages were not taken", left.len());
                }
                Err(error) => cause = DisplayErrorContext(&error).to_string(),
            }
            if left.is_empty() {
                return Ok(());
            }
        }
        Err(Error::transient(DURING, cause))
    }
}

struct Entry {
    body: String,
    group: String,
    delay_s: i32,
}

impl Entry {
    fn request(&self, id: usize) -> Result<SendMessageBatchRequestEntry, Error> {
        SendMessageBatchRequestEntry::builder()
            .id(id.to_string())
            .message_body(&self.body)
            .message_group_id(&self.group)
            .delay_seconds(self.delay_s)
            .build()
            .map_err(|error| Error::poison("a message", error))
    }
}

fn entry(message: &Task, delay_s: i32) -> Result<Entry, Error> {
    let body = serde_json::to_string(message).map_err(|error| Error::poison("a message", error))?;
    // A group id takes ASCII letters, digits and punctuation, at most 128 of them; a user id may be anything.
    let group = message.group().hash().to_string();
    Ok(Entry { body, group, delay_s })
}

/// Batches that the queue takes in one call each.
fn batches(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut batches: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        bytes += entry.body.len();
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_MAX && bytes <= BATCH_BYTES_MAX => batch.push(entry),
            _ => {
                bytes = entry.body.len();
                batches.push(vec![entry]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn batches_keep_every_message_within_the_limits(
            sizes in proptest::collection::vec(1usize..150_000, 0..40),
        ) {
            let entries = sizes.iter().map(|size| Entry { body: "x".repeat(*size), group: String::new(), delay_s: 0 }).collect();
            let batches = batches(entries);
            let kept: Vec<_> = batches.iter().flatten().map(|entry| entry.body.len()).collect();
            prop_assert_eq!(&kept, &sizes);
            for batch in batches {
                prop_assert!(batch.len() <= BATCH_MAX);
                prop_assert!(batch.iter().map(|entry| entry.body.len()).sum::<usize>() <= BATCH_BYTES_MAX);
            }
        }
    }

    #[test]
    fn messages_read_as_they_were_written() {
        let user: UserId = "auth0|ada".parse().unwrap();
        let version = Version::new(3).unwrap();
        for message in [Task::CatchUp { user: user.clone() }, Task::Redo { user, version, error: "no".to_owned() }] {
            let entry = entry(&message, 0).unwrap();
            assert_eq!(serde_json::from_str::<Task>(&entry.body).unwrap(), message);
            assert!(entry.group.bytes().all(|c| c.is_ascii_alphanumeric()));
        }
    }
}
