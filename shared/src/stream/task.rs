//! The tasks of the work queue, and the JSON of their messages.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{queue::QueueMessage, recount::Recount, walk::Walk};
use crate::{
    error::Error,
    model::{Group, ModelSet, NOT_IN_MESSAGES, Phase, PostId, TallySubject, Timestamp, UserId, Version},
    store::search::Unsettled,
};

/// Likes of one task.
const LIKES_MAX: usize = 100;
/// The names of tasks in messages, first those of walks.
const NAMES: [&str; 23] = [
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
    "settle_likes",
    "notify",
    "check_row",
    "index",
    "rebuild",
    "recount",
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
    /// Take a step of a rebuild.
    Rebuild(RebuildStep),
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
    /// Show likes of a post, or their ends, in the list of those who like it, as the truth says.
    SettleLikes {
        /// The post.
        post: PostId,
        /// Who likes it, or liked it: not many, see [`Task::settle_likes`].
        users: Vec<UserId>,
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
    /// Count a part of the daily statistics again.
    Recount(Recount),
    /// Set what the search index has of a post or user to what the truth says.
    Index(Unsettled),
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

impl NotATask {
    fn malformed(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
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
    /// Tasks that show these likes of a post, or their ends.
    pub fn settle_likes(post: PostId, users: impl IntoIterator<Item = UserId>) -> Vec<Self> {
        let users: Vec<_> = users.into_iter().collect();
        users.chunks(LIKES_MAX).map(|users| Self::SettleLikes { post, users: users.to_vec() }).collect()
    }

    /// Whether the task belongs to no set of tables, because it is about the truth. What such a task has to do in the
    /// read models, it does on all sets before the truth changes, so that no set is left behind.
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Walk(walk) => {
                matches!(walk, Walk::Demotion { .. } | Walk::FillHomes { .. } | Walk::Purge { .. } | Walk::Erase { .. })
            }
            Self::EndFollow { .. } | Self::Republish { .. } | Self::Rebuild(_) => true,
            Self::CatchUp { .. }
            | Self::Redo { .. }
            | Self::Reapply { .. }
            | Self::SettleUser { .. }
            | Self::SettlePost { .. }
            | Self::SettleTally { .. }
            | Self::SettleLikes { .. }
            | Self::Notify { .. }
            | Self::Recount(_)
            | Self::CheckRow { .. }
            | Self::Index(_) => false,
        }
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
            | Self::Notify { user, .. }
            | Self::Index(Unsettled { subject: TallySubject::User(user), .. })
            | Self::SettleTally { subject: TallySubject::User(user) } => user,
            Self::CheckRow { author, .. } => author,
            Self::Recount(recount) => return recount.user(),
            Self::SettleTally { subject: TallySubject::Post(_) }
            | Self::Index(Unsettled { subject: TallySubject::Post(_), .. })
            | Self::SettleLikes { .. }
            | Self::SettlePost { .. }
            | Self::Republish { .. }
            | Self::Rebuild(_) => return None,
        })
    }

    fn of_value(value: Value) -> Result<Self, NotATask> {
        let names: Vec<_> = value.as_object().into_iter().flat_map(serde_json::Map::keys).collect();
        if let [name] = names[..]
            && !NAMES.contains(&name.as_str())
        {
            return Err(NotATask::Newer(name.clone()));
        }
        serde_json::from_value(value).map_err(NotATask::malformed)
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
    /// [`NotATask`] if its task is none that this release knows.
    pub fn parse(body: &str) -> Result<Self, NotATask> {
        let mut value: Value = serde_json::from_str(body).map_err(NotATask::malformed)?;
        match (value.get("on").cloned(), value.get_mut("task").map(Value::take)) {
            (Some(on), Some(task)) => {
                let on = serde_json::from_value(on).map_err(NotATask::malformed)?;
                Ok(Self::On { on, task: Task::of_value(task)? })
            }
            _ => Task::of_value(value).map(Self::OnAll),
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

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
                Task::Rebuild(RebuildStep {
                    started_at: Timestamp::from_ms(7),
                    phase: Phase::Fill,
                    segment: 2,
                    steps: 5,
                }),
                json!({"rebuild": {"started_at": 7, "phase": "fill", "segment": 2, "steps": 5}}),
            ),
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
            (
                Task::SettleLikes { post, users: vec![ada.clone(), bob] },
                json!({"settle_likes": {"post": POST, "users": ["auth0|ada", "bob"]}}),
            ),
            (
                Task::Recount(Recount::Sum { day: crate::model::Day::of(Timestamp::from_ms(0)), part: 3 }),
                json!({"recount": {"sum": {"day": 0, "part": 3}}}),
            ),
            (
                Task::CheckRow { timeline: "HOME#ada".to_owned(), post, author: ada },
                json!({"check_row": {"timeline": "HOME#ada", "post": POST, "author": "auth0|ada"}}),
            ),
            (Task::Index(Unsettled::post(post)), json!({"index": {"subject": {"post": POST}}})),
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
        assert_eq!(Message::parse(&json.to_string()), Ok(message));
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
            assert_eq!(Message::parse(&json.to_string()), Ok(Message::OnAll(task)));
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
        assert_eq!(Message::parse(&json), Ok(Message::OnAll(Task::CatchUp { user: user("auth0|ada") })));
    }

    #[test]
    fn an_unknown_task_may_be_that_of_a_newer_release_and_anything_else_makes_no_sense() {
        for body in [r#"{"forget": {"user": "ada"}}"#, r#"{"on": "aba", "task": {"forget": {"user": "ada"}}}"#] {
            assert_eq!(Message::parse(body), Err(NotATask::Newer("forget".to_owned())), "{body}");
        }
        let no_set = r#"{"on": "xyz", "task": {"catch_up": {"user": "ada"}}}"#;
        let wrong = ["", "null", "[]", "{}", "nonsense", r#"{"catch_up": {"user": 1}}"#, r#"{"a": 1, "b": 2}"#, no_set];
        for body in wrong {
            assert!(matches!(Message::parse(body), Err(NotATask::Malformed(_))), "{body}");
        }
    }
}
