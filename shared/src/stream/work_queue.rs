//! The work queue: walks, which are too large for a batch of the bus, and catch-ups that failed or took too long there.
//! `deliver` works on them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    queue::{Queue, QueueMessage},
    walk::Walk,
};
use crate::{
    error::Error,
    model::{ModelSet, NOT_IN_MESSAGES, Phase, Timestamp, UserId, Version},
};

/// Longest delay of a message (SQS, `DelaySeconds`).
const DELAY_S_MAX: i32 = 900;

/// A piece of work. Messages outlive a deployment, so their JSON does not change when a name here does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Apply the events of this user's log that are not applied yet.
    CatchUp {
        /// The user.
        user: UserId,
    },
    /// End the follow of a user who was blocked, in that user's log.
    EndFollow {
        /// The user who was blocked.
        follower: UserId,
        /// The user who blocked the follower.
        followee: UserId,
    },
    /// Apply the effects of an event that was put into the quarantine.
    Redo {
        /// The user whose log holds the event.
        user: UserId,
        /// The event.
        version: Version,
        /// Why its effects failed.
        error: String,
    },
    /// Take a step of a rebuild.
    Rebuild(RebuildStep),
    /// Take a step of a walk.
    #[serde(untagged)]
    Walk(Walk),
}

/// A step of one segment of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildStep {
    /// When the rebuild was started, which identifies it.
    pub started_at: Timestamp,
    /// The phase.
    pub phase: Phase,
    /// The segment.
    pub segment: u32,
    /// Steps of the segment in this phase that were taken before. A message with fewer than the segment has is late.
    pub steps: u64,
}

/// What a message of the work queue says: a task, and the set of read models that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Message {
    /// The task is about this set of tables.
    On {
        /// The set.
        on: ModelSet,
        /// The task.
        task: Task,
    },
    /// The task is about all sets that are kept current.
    OnAll(Task),
}

impl From<Walk> for Task {
    fn from(walk: Walk) -> Self {
        Self::Walk(walk)
    }
}

impl Task {
    /// Whether the task changes the truth. Such a task belongs to no set of tables. What it has to do in the read
    /// models, it does on all sets before the truth changes, so that no set is left behind.
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Walk(walk) => matches!(walk, Walk::Demotion { .. } | Walk::FillHomes { .. } | Walk::Purge { .. }),
            Self::EndFollow { .. } => true,
            Self::CatchUp { .. } | Self::Redo { .. } | Self::Rebuild(_) => false,
        }
    }

    /// The user whose task it is, if it is one user's.
    fn user(&self) -> Option<&UserId> {
        match self {
            Self::Walk(walk) => Some(walk.user()),
            Self::EndFollow { follower, .. } => Some(follower),
            Self::CatchUp { user } | Self::Redo { user, .. } => Some(user),
            Self::Rebuild(_) => None,
        }
    }

    /// The task's message, about this set of tables if it is about one.
    pub(super) fn message(&self, on: Option<ModelSet>, delay_s: i32) -> Result<QueueMessage, Error> {
        let task = self.clone();
        let about = match on.filter(|_| !self.is_shared()) {
            Some(on) => Message::On { on, task },
            None => Message::OnAll(task),
        };
        let body = about.body()?;
        Ok(match self.user() {
            Some(user) => QueueMessage::new(body, user, delay_s),
            None => QueueMessage::ungrouped(body, delay_s),
        })
    }
}

impl Message {
    /// The message with this body.
    ///
    /// # Errors
    /// [`Error::Poison`] if it makes no sense.
    pub fn parse(body: &str) -> Result<Self, Error> {
        serde_json::from_str(body).map_err(|error| Error::poison("a message of the work queue", error))
    }

    /// The body of the message. Characters that SQS refuses are escaped, so that the id of one stored user, or the text
    /// of an error, does not keep a message with many others from being sent.
    fn body(&self) -> Result<String, Error> {
        let mut body = serde_json::to_string(self).map_err(|error| Error::poison("a task to send", error))?;
        for refused in NOT_IN_MESSAGES {
            if body.contains(refused) {
                body = body.replace(refused, &format!("\\u{:04x}", u32::from(refused)));
            }
        }
        Ok(body)
    }
}

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
        let delay_s = i32::try_from(delay.as_millis().div_ceil(1000)).unwrap_or(DELAY_S_MAX).min(DELAY_S_MAX);
        let messages = tasks.iter().map(|task| task.message(self.on, delay_s));
        self.queue.send(messages.collect::<Result<_, Error>>()?).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        model::{CommentId, Timestamp},
        samples::{user, version},
        stream::walk::BackfillAt,
    };

    const POST: &str = "014bc853-e807-7000-8000-000000000000";

    fn purge(comment: Option<CommentId>) -> Task {
        let (post, author) = (POST.parse().unwrap(), user("auth0|ada"));
        Walk::Purge { post, author, after: comment, until: comment }.into()
    }

    fn backfill(viewer: &UserId, author: &UserId, at: BackfillAt) -> Task {
        Walk::Backfill { viewer: viewer.clone(), author: author.clone(), version: version(3), at }.into()
    }

    fn backfill_json(at: Value) -> Value {
        json!({"backfill": {"viewer": "auth0|ada", "author": "bob", "version": 3, "at": at}})
    }

    /// Every task with its JSON as it stands in queues.
    fn tasks() -> Vec<(Task, Value)> {
        let post = POST.parse().unwrap();
        let (ada, bob) = (user("auth0|ada"), user("bob"));
        vec![
            (
                Walk::Push { post, author: ada.clone(), viewers: vec![bob.clone()] }.into(),
                json!({"deliver": {"post": POST, "author": "auth0|ada", "viewers": ["bob"]}}),
            ),
            (
                Walk::Audience { post, author: ada.clone(), after: Some(bob.clone()), found: 500 }.into(),
                json!({"spread": {"post": POST, "author": "auth0|ada", "after": "bob", "found": 500}}),
            ),
            (
                Walk::Audience { post, author: ada.clone(), after: None, found: 0 }.into(),
                json!({"spread": {"post": POST, "author": "auth0|ada", "after": null, "found": 0}}),
            ),
            (
                Walk::Demotion { author: ada.clone(), after: Some(bob.clone()) }.into(),
                json!({"demote": {"author": "auth0|ada", "after": "bob"}}),
            ),
            (
                Walk::FillHomes {
                    author: ada.clone(),
                    begun_at: Timestamp::from_ms(7),
                    viewers: vec![bob.clone()],
                    before: None,
                }
                .into(),
                json!({"fill_homes": {"author": "auth0|ada", "begun_at": 7, "viewers": ["bob"], "before": null}}),
            ),
            (purge(None), json!({"purge": {"post": POST, "author": "auth0|ada"}})),
            (
                purge(Some(POST.parse().unwrap())),
                json!({"purge": {"post": POST, "author": "auth0|ada", "after": POST, "until": POST}}),
            ),
            (
                Walk::Profile { user: ada.clone(), version: version(3), before: Some(post) }.into(),
                json!({"profile": {"user": "auth0|ada", "version": 3, "before": POST}}),
            ),
            (
                Walk::Unfollowed { viewer: ada.clone(), author: bob.clone(), before: None }.into(),
                json!({"unfollowed": {"viewer": "auth0|ada", "author": "bob", "before": null}}),
            ),
            (backfill(&ada, &bob, BackfillAt::Start), backfill_json(json!("start"))),
            (backfill(&ada, &bob, BackfillAt::Below(post)), backfill_json(json!({"below": POST}))),
            (backfill(&ada, &bob, BackfillAt::Copied), backfill_json(json!("copied"))),
            (
                Task::EndFollow { follower: ada.clone(), followee: user("bob") },
                json!({"end_follow": {"follower": "auth0|ada", "followee": "bob"}}),
            ),
            (Task::CatchUp { user: ada.clone() }, json!({"catch_up": {"user": "auth0|ada"}})),
            (
                Task::Rebuild(RebuildStep {
                    started_at: Timestamp::from_ms(7),
                    phase: Phase::Fill,
                    segment: 2,
                    steps: 5,
                }),
                json!({"rebuild": {"started_at": 7, "phase": "fill", "segment": 2, "steps": 5}}),
            ),
            (
                Task::Redo { user: ada, version: version(3), error: "no".to_owned() },
                json!({"redo": {"user": "auth0|ada", "version": 3, "error": "no"}}),
            ),
        ]
    }

    fn body(task: &Task) -> String {
        Message::OnAll(task.clone()).body().unwrap()
    }

    #[test]
    fn a_message_may_be_about_one_set_of_tables() {
        let task = Task::CatchUp { user: user("ada") };
        let message = Message::On { on: "bab".parse().unwrap(), task };
        let json = json!({"on": "bab", "task": {"catch_up": {"user": "ada"}}});
        assert_eq!(serde_json::from_str::<Value>(&message.body().unwrap()).unwrap(), json);
        assert_eq!(Message::parse(&json.to_string()).unwrap(), message);
        assert!(Message::parse(r#"{"on": "xyz", "task": {"catch_up": {"user": "ada"}}}"#).is_err());
    }

    #[test]
    fn what_sqs_refuses_is_escaped() {
        let stored = UserId::try_from("a\u{fffe}\u{ffff}\u{85f}".to_owned()).unwrap();
        let task = Task::Redo { user: stored, version: version(3), error: "\u{ffff}".to_owned() };
        let body = body(&task);
        assert!(!body.contains(NOT_IN_MESSAGES), "{body}");
        assert_eq!(serde_json::from_str::<Task>(&body).unwrap(), task);
    }

    #[test]
    fn the_largest_task_fits_a_message() {
        // A quotation mark is escaped, so it takes two bytes.
        let longest = user(&"\"".repeat(255));
        let post = POST.parse().unwrap();
        let task = Task::from(Walk::Push { post, author: longest.clone(), viewers: vec![longest; 500] });
        assert!(body(&task).len() <= 256 * 1024);
    }

    #[test]
    fn the_json_of_every_task_is_that_of_the_messages_in_queues() {
        for (task, json) in tasks() {
            assert_eq!(serde_json::from_str::<Value>(&body(&task)).unwrap(), json);
            assert_eq!(serde_json::from_value::<Task>(json).unwrap(), task);
        }
    }
}
