//! The work queue: walks, which are too large for a batch of the bus, and catch-ups that failed or took too long there.
//! `deliver` works on them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::queue::TRACEPARENT;
use super::{
    queue::{Queue, QueueMessage},
    walk::Walk,
};
use crate::{
    error::Error,
    model::{Group, NOT_IN_MESSAGES, PostId, TallySubject, UserId, Version},
    trace::TraceId,
};

/// Longest delay of a message (SQS, `DelaySeconds`).
const DELAY_S_MAX: i32 = 900;

/// The names of tasks in messages, first those of walks.
const NAMES: [&str; 20] = [
    "spread",
    "deliver",
    "backfill",
    "unfollowed",
    "profile",
    "purge",
    "demote",
    "fill_homes",
    "erase",
    "catch_up",
    "end_follow",
    "redo",
    "republish",
    "reapply",
    "settle_user",
    "settle_post",
    "settle_tally",
    "settle_like",
    "notify",
    "check_row",
];

/// A piece of work. Messages outlive a deployment, so their JSON does not change when a name here does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Apply the events of this user's log that are not applied yet.
    CatchUp {
        /// The user.
        user: UserId,
    },
    /// End the follow of a user who was blocked, or whose followed user deleted the account, in the follower's log.
    EndFollow {
        /// The follower.
        follower: UserId,
        /// The followed user.
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
    /// Publish an item of the command table that could not be published when it changed.
    Republish {
        /// The partition key of the item.
        pk: String,
        /// The sort key of the item.
        sk: String,
        /// Why it could not be published.
        error: String,
    },
    /// Apply the effects of all events of this user's log again, step by step, without moving `applied`.
    Reapply {
        /// The user.
        user: UserId,
        /// The event after which the next step begins.
        after: Version,
    },
    /// Set the user's viewer item and card to what the truth says.
    SettleUser {
        /// The user.
        user: UserId,
    },
    /// Set the post's card and rows to what the truth says.
    SettlePost {
        /// The post.
        post: PostId,
    },
    /// Set a counter on its card to what the truth says.
    SettleTally {
        /// What is counted.
        subject: TallySubject,
    },
    /// Show a like, or its end, in the list of those who like the post, as the truth says.
    SettleLike {
        /// The user.
        user: UserId,
        /// The post.
        post: PostId,
    },
    /// Bring a group of this user's inbox up to date.
    Notify {
        /// The user.
        user: UserId,
        /// The group.
        group: Group,
        /// How often the group had been written when the task was sent.
        writes: u32,
    },
    /// Delete a row of a timeline unless it follows from the truth.
    CheckRow {
        /// The partition key of the row.
        timeline: String,
        /// The post.
        post: PostId,
        /// The author that the row names.
        author: UserId,
    },
    /// Take a step of a walk.
    #[serde(untagged)]
    Walk(Walk),
}

impl From<Walk> for Task {
    fn from(walk: Walk) -> Self {
        Self::Walk(walk)
    }
}

/// Why a message is no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotATask {
    /// A newer release sent the task. The message is left to that release.
    #[error("this release does not know the task `{0}`")]
    Newer(String),
    /// It makes no sense.
    #[error("{0}")]
    Malformed(String),
}

impl From<NotATask> for Error {
    fn from(why: NotATask) -> Self {
        match why {
            NotATask::Newer(_) => Self::transient("reading a task", why),
            NotATask::Malformed(_) => Self::poison("a message of the work queue", why),
        }
    }
}

impl Task {
    /// The task in a message.
    ///
    /// # Errors
    /// [`NotATask`] if there is none that this release knows.
    pub fn parse(body: &str) -> Result<Self, NotATask> {
        let malformed = |error: serde_json::Error| NotATask::Malformed(error.to_string());
        let value: serde_json::Value = serde_json::from_str(body).map_err(malformed)?;
        let names: Vec<_> = value.as_object().into_iter().flat_map(serde_json::Map::keys).collect();
        if let [name] = names[..]
            && !NAMES.contains(&name.as_str())
        {
            return Err(NotATask::Newer(name.clone()));
        }
        serde_json::from_value(value).map_err(malformed)
    }

    /// The task's message.
    pub(super) fn message(&self, delay_s: i32) -> Result<QueueMessage, Error> {
        let body = self.body()?;
        Ok(match self.user() {
            Some(user) => QueueMessage::new(body, user, delay_s),
            None => QueueMessage::ungrouped(body, delay_s),
        })
    }

    /// The user whose task it is, if it is one user's.
    fn user(&self) -> Option<&UserId> {
        Some(match self {
            Self::Walk(walk) => walk.user(),
            Self::EndFollow { follower, .. } => follower,
            Self::CatchUp { user }
            | Self::Redo { user, .. }
            | Self::Reapply { user, .. }
            | Self::SettleUser { user }
            | Self::SettleLike { user, .. }
            | Self::Notify { user, .. }
            | Self::SettleTally { subject: TallySubject::User(user) } => user,
            Self::CheckRow { author, .. } => author,
            Self::SettleTally { subject: TallySubject::Post(_) } | Self::SettlePost { .. } | Self::Republish { .. } => {
                return None;
            }
        })
    }

    /// The body of the task's message. Characters that SQS refuses are escaped, so that the id of one stored user, or
    /// the text of an error, does not keep a message with many others from being sent.
    pub(super) fn body(&self) -> Result<String, Error> {
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
}

impl WorkQueue {
    /// The work queue at this URL.
    pub fn new(config: &aws_config::SdkConfig, queue_url: String) -> Self {
        Self { queue: Queue::new(config, queue_url) }
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
        self.queue.send(tasks.iter().map(|task| task.message(delay_s)).collect::<Result<_, Error>>()?).await
    }

    /// Sends the tasks, each within the trace of what it follows from.
    ///
    /// # Errors
    /// As [`WorkQueue::send`].
    pub async fn send_traced(&self, tasks: Vec<(Task, Option<TraceId>)>) -> Result<(), Error> {
        let message = |(task, trace): (Task, _)| Ok(task.message(0)?.within(trace));
        self.queue.send(tasks.into_iter().map(message).collect::<Result<_, Error>>()?).await
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        model::{CommentId, Timestamp},
        samples::{user, version},
        stream::walk::{BackfillAt, ErasureAt, Pass},
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
                Walk::Erase { user: ada.clone(), begun_at: Timestamp::from_ms(7), at: ErasureAt::Wait }.into(),
                json!({"erase": {"user": "auth0|ada", "begun_at": 7, "at": "wait"}}),
            ),
            (
                Walk::Erase {
                    user: ada.clone(),
                    begun_at: Timestamp::from_ms(7),
                    at: ErasureAt::Followers { after: None, pass: Pass::Last },
                }
                .into(),
                json!({"erase": {
                    "user": "auth0|ada", "begun_at": 7, "at": {"followers": {"after": null, "pass": "last"}},
                }}),
            ),
            (
                Task::EndFollow { follower: ada.clone(), followee: user("bob") },
                json!({"end_follow": {"follower": "auth0|ada", "followee": "bob"}}),
            ),
            (Task::CatchUp { user: ada.clone() }, json!({"catch_up": {"user": "auth0|ada"}})),
            (
                Task::Redo { user: ada.clone(), version: version(3), error: "no".to_owned() },
                json!({"redo": {"user": "auth0|ada", "version": 3, "error": "no"}}),
            ),
            (
                Task::Republish { pk: "TALLY#x".to_owned(), sk: "TALLY".to_owned(), error: "no".to_owned() },
                json!({"republish": {"pk": "TALLY#x", "sk": "TALLY", "error": "no"}}),
            ),
            (
                Task::Reapply { user: ada.clone(), after: version(3) },
                json!({"reapply": {"user": "auth0|ada", "after": 3}}),
            ),
            (Task::SettleUser { user: ada.clone() }, json!({"settle_user": {"user": "auth0|ada"}})),
            (Task::SettlePost { post }, json!({"settle_post": {"post": POST}})),
            (
                Task::SettleTally { subject: TallySubject::User(ada.clone()) },
                json!({"settle_tally": {"subject": {"user": "auth0|ada"}}}),
            ),
            (
                Task::Notify { user: ada.clone(), group: Group::Like(post), writes: 3 },
                json!({"notify": {"user": "auth0|ada", "group": {"like": POST}, "writes": 3}}),
            ),
            (Task::SettleLike { user: ada.clone(), post }, json!({"settle_like": {"user": "auth0|ada", "post": POST}})),
            (
                Task::CheckRow { timeline: "HOME#ada".to_owned(), post, author: ada },
                json!({"check_row": {"timeline": "HOME#ada", "post": POST, "author": "auth0|ada"}}),
            ),
        ]
    }

    #[test]
    fn what_sqs_refuses_is_escaped() {
        let stored = UserId::try_from("a\u{fffe}\u{ffff}\u{85f}".to_owned()).unwrap();
        let task = Task::Redo { user: stored, version: version(3), error: "\u{ffff}".to_owned() };
        let body = task.body().unwrap();
        assert!(!body.contains(NOT_IN_MESSAGES), "{body}");
        assert_eq!(serde_json::from_str::<Task>(&body).unwrap(), task);
    }

    #[test]
    fn the_largest_task_fits_a_message() {
        // A quotation mark is escaped, so it takes two bytes.
        let longest = user(&"\"".repeat(255));
        let post = POST.parse().unwrap();
        let task = Task::from(Walk::Push { post, author: longest.clone(), viewers: vec![longest; 500] });
        assert!(task.body().unwrap().len() <= 256 * 1024);
    }

    #[test]
    fn the_json_of_every_task_is_that_of_the_messages_in_queues() {
        for (task, json) in tasks() {
            assert_eq!(serde_json::from_str::<Value>(&task.body().unwrap()).unwrap(), json);
            assert_eq!(Task::parse(&json.to_string()).unwrap(), task);
        }
    }

    #[test]
    fn every_task_has_a_known_name() {
        let names: std::collections::BTreeSet<_> =
            tasks().into_iter().filter_map(|(_, json)| json.as_object()?.keys().next().cloned()).collect();
        assert_eq!(names, NAMES.map(str::to_owned).into());
    }

    #[test]
    fn what_a_newer_release_adds_to_a_task_is_passed_over() {
        let json = json!({"catch_up": {"user": "auth0|ada", "priority": 1}}).to_string();
        assert_eq!(Task::parse(&json), Ok(Task::CatchUp { user: user("auth0|ada") }));
    }

    #[test]
    fn an_unknown_task_may_be_that_of_a_newer_release_and_anything_else_makes_no_sense() {
        assert_eq!(Task::parse(r#"{"forget": {"user": "ada"}}"#), Err(NotATask::Newer("forget".to_owned())));
        for body in ["", "null", "[]", "{}", "nonsense", r#"{"catch_up": {"user": 1}}"#, r#"{"a": 1, "b": 2}"#] {
            assert!(matches!(Task::parse(body), Err(NotATask::Malformed(_))), "{body}");
        }
    }
}
