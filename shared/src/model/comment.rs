//! A comment as it stands in the command table.

use serde::{Deserialize, Serialize};

use super::{CommentId, CommentText, PostId, Timestamp, UserId, Version};

/// A comment. Like a post, a deleted one is kept without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Its id, which carries when it was created.
    pub comment: CommentId,
    /// What it is about.
    pub post: PostId,
    /// Who wrote it.
    pub author: UserId,
    /// What it says; nothing once it is deleted.
    pub text: Option<CommentText>,
    /// Heat that it added to the post, and that its deletion takes away again.
    pub heat: i64,
    /// Where in the author's log the event stands that created it, and that a deletion scrubs.
    pub event_version: Version,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Timestamp>,
}

impl Comment {
    /// Whether it was taken back.
    pub fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    /// The comment without what it said, deleted at this moment.
    pub fn scrubbed(&self, at: Timestamp) -> Self {
        Self { text: None, deleted_at: Some(at), ..self.clone() }
    }
}
