//! The tasks of the work queue, and the JSON of their messages.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{queue::QueueMessage, recount::Recount, walk::Walk};
use crate::{
    error::Error,
    model::{
        CommentId, Group, ModelSet, NOT_IN_MESSAGES, Phase, PostId, TallyShard, TallySubject, Timestamp, UserId,
        Version,
    },
    store::search::Unsettled,
};

/// Likes of one task.
const LIKES_MAX: usize = 100;
/// Followers of one task.
const FOLLOWERS_MAX: usize = 100;
/// Comments of one task.
const COMMENTS_MAX: usize = 100;
/// The names of tasks in messages, first those of walks.
const NAMES: [&str; 28] = [
    "spread",
    "deliver",
    "backfill",
    "complete_home",
    "unfollowed",
    "profile",
    "purge",
    "purge_likes",
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
    "show_follows",
    "show_comments",
    "merge_trending",
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
        /// The shards that may be missing on the card, as each costs a read. None means all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shards: Vec<TallyShard>,
    },
    /// Show likes of a post, or their ends, in the list of those who like it, as the truth says.
    SettleLikes {
        /// The post.
        post: PostId,
        /// Who likes it, or liked it: not many, see [`Task::settle_likes`].
        users: Vec<UserId>,
    },
    /// Show follows, or their ends, to the followed user.
    ShowFollows {
        /// The followed user.
        followee: UserId,
        /// Who follows, or followed: not many, see [`Task::show_follows`].
        followers: Vec<UserId>,
    },
    /// Show comments on a post, or their deletions, to the post's author and to those whom they mention.
    ShowComments {
        /// The post.
        post: PostId,
        /// The comments: not many, see [`Task::show_comments`].
        comments: Vec<CommentId>,
    },
    /// Merge the trending list.
    MergeTrending {
        /// When the merge was asked for. It has to cover what changed before, and a second afterwards.
        asked_at: Timestamp,
    },
    /// Bring a group of this user's inbox up to date.
    Notify {
        /// The user.
        user: UserId,
        /// The group.
        group: Group,
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

    /// Tasks that show these follows of a user.
    pub fn show_follows(followee: &UserId, followers: &[UserId]) -> Vec<Self> {
        let task =
            |followers: &[UserId]| Self::ShowFollows { followee: followee.clone(), followers: followers.to_vec() };
        followers.chunks(FOLLOWERS_MAX).map(task).collect()
    }

    /// Tasks that show these comments on a post.
    pub fn show_comments(post: PostId, comments: &[CommentId]) -> Vec<Self> {
        let task = |comments: &[CommentId]| Self::ShowComments { post, comments: comments.to_vec() };
        comments.chunks(COMMENTS_MAX).map(task).collect()
    }

    /// Whether the task belongs to no set of tables, because it is about the truth. What such a task has to do in the
    /// read models, it does on all sets before the truth changes, so that no set is left behind.
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Walk(walk) => {
                matches!(
                    walk,
                    Walk::Demotion { .. }
                        | Walk::FillHomes { .. }
                        | Walk::Purge { .. }
                        | Walk::PurgeLikes { .. }
                        | Walk::Erase { .. }
                )
            }
            Self::EndFollow { .. } | Self::Republish { .. } | Self::Rebuild(_) => true,
            Self::CatchUp { .. }
            | Self::Redo { .. }
            | Self::Reapply { .. }
            | Self::SettleUser { .. }
            | Self::SettlePost { .. }
            | Self::SettleTally { .. }
            | Self::SettleLikes { .. }
            | Self::ShowFollows { .. }
            | Self::ShowComments { .. }
            | Self::MergeTrending { .. }
            | Self::Notify { .. }
            | Self::Recount(_)
            | Self::CheckRow { .. }
            | Self::Index(_) => false,
        }
    }

    /// The user or post that the task is about, if it is about one.
    fn about(&self) -> Option<TallySubject> {
        let user = match self {
            Self::SettleLikes { post, .. } | Self::ShowComments { post, .. } | Self::SettlePost { post } => {
                return Some(TallySubject::Post(*post));
            }
            Self::SettleTally { subject, .. } | Self::Index(Unsettled { subject, .. }) => return Some(subject.clone()),
            Self::Recount(recount) => recount.user()?,
            Self::MergeTrending { .. } | Self::Republish { .. } | Self::Rebuild(_) => return None,
            Self::Walk(walk) => walk.user(),
            Self::EndFollow { follower, .. } => follower,
            Self::CatchUp { user }
            | Self::Redo { user, .. }
            | Self::Reapply { user, .. }
            | Self::SettleUser { user }
            | Self::Notify { user, .. } => user,
            Self::CheckRow { author, .. } => author,
            Self::ShowFollows { followee, .. } => followee,
        };
        Some(TallySubject::User(user.clone()))
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
        Ok(match self.about() {
            Some(about) => QueueMessage::new(body, &about, delay_s),
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
mod tests;
