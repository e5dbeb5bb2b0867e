//! A comment, as the command table stores it.

use serde::{Deserialize, Serialize};

use super::{CommentId, CommentText, Mentioned, PartitionShard, PostId, Timestamp, UserId, Version};

/// A comment. A deleted comment is kept without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// The id, which contains the creation time.
    pub comment: CommentId,
    /// The post that the comment is on.
    pub post: PostId,
    /// Who wrote the comment.
    pub author: UserId,
    /// The text. None once the comment is deleted.
    pub text: Option<CommentText>,
    /// The heat that the comment added to the post by itself. Its deletion subtracts the same heat. It is 0, except in
    /// comments of releases before 0.3: since then, [`super::Commenter`] has the heat of all comments of a user.
    pub heat: i64,
    /// Version of the event that created the comment, in the author's log. A deletion removes the text from that event.
    pub event_version: Version,
    /// The users whom the comment mentions, as far as they are notified. A deletion keeps them: their notices end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentioned: Vec<Mentioned>,
    /// Where the comment stands.
    #[serde(default, skip_serializing_if = "PartitionShard::is_first")]
    pub shard: PartitionShard,
    /// When the comment was deleted.
    pub deleted_at: Option<Timestamp>,
}

impl Comment {
    /// Whether the comment is deleted.
    pub fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    /// The comment without its text, deleted at this moment.
    pub fn scrubbed(&self, at: Timestamp) -> Self {
        Self { text: None, deleted_at: Some(at), ..self.clone() }
    }
}
