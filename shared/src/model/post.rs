//! A post, as the command table stores it.

use serde::{Deserialize, Serialize};

use super::{PostId, Tag, Text, Timestamp, UserId, Version};

/// A post. A deleted post is kept without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// The id, which contains the creation time.
    pub post: PostId,
    /// Who wrote the post.
    pub author: UserId,
    /// The text. None once the post is deleted.
    pub text: Option<Text>,
    /// The tags in the text.
    pub tags: Vec<Tag>,
    /// All tags that the post ever had. A projection has to update the timelines of all of them. Once a deleted post is
    /// purged, there are none.
    pub tags_ever: Vec<Tag>,
    /// 1 at first, and one more with each change.
    pub version: u64,
    /// Version of the event that created the post, in the author's log. A deletion removes the text from that event.
    pub event_version: Version,
    /// When the post was last edited.
    #[serde(default)]
    pub edited_at: Option<Timestamp>,
    /// When an administrator took the post down. Only its author can see it, marked as such.
    #[serde(default)]
    pub taken_down_at: Option<Timestamp>,
    /// When the post was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// Why others do not see a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// The author deleted it.
    Deleted,
    /// An administrator took it down. Its author still sees it.
    TakenDown,
}

impl Post {
    /// Whether the author deleted the post.
    pub fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    /// Whether an administrator took the post down.
    pub fn is_taken_down(&self) -> bool {
        self.taken_down_at.is_some()
    }

    /// Why others do not see the post, if they do not.
    pub fn hidden(&self) -> Option<Hidden> {
        match (self.is_deleted(), self.is_taken_down()) {
            (true, _) => Some(Hidden::Deleted),
            (false, true) => Some(Hidden::TakenDown),
            (false, false) => None,
        }
    }

    /// The post with this text instead, edited at this moment.
    pub fn edited(&self, text: Text, at: Timestamp) -> Self {
        let tags = text.tags();
        let mut tags_ever = self.tags_ever.clone();
        tags_ever.extend(tags.iter().filter(|tag| !self.tags_ever.contains(tag)).cloned());
        Self { text: Some(text), tags, tags_ever, version: self.version + 1, edited_at: Some(at), ..self.clone() }
    }

    /// The post taken down at this moment, or restored.
    pub fn taken_down(&self, at: Option<Timestamp>) -> Self {
        Self { version: self.version + 1, taken_down_at: at, ..self.clone() }
    }

    /// The post without its text, deleted at this moment.
    pub fn scrubbed(&self, at: Timestamp) -> Self {
        Self { text: None, tags: Vec::new(), version: self.version + 1, deleted_at: Some(at), ..self.clone() }
    }
}
