//! A post as it stands in the command table.

use serde::{Deserialize, Serialize};

use super::{PostId, Tag, Text, Timestamp, UserId, Version};

/// A post. A deleted one is kept without its text: that it was there is a fact, what it said is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Its id, which carries when it was created.
    pub post: PostId,
    /// Who wrote it.
    pub author: UserId,
    /// What it says; nothing once it is deleted.
    pub text: Option<Text>,
    /// The tags in its text.
    pub tags: Vec<Tag>,
    /// Every tag that it ever had: whose rows a projection must look after.
    pub tags_ever: Vec<Tag>,
    /// 1, and one more with each change.
    pub version: u64,
    /// Where in the author's log the event stands that created it, and that a deletion scrubs.
    pub event_version: Version,
    /// When it was last edited, if it was.
    #[serde(default)]
    pub edited_at: Option<Timestamp>,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Timestamp>,
}

impl Post {
    /// Whether its author took it back.
    pub fn is_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }

    /// The post saying something else since this moment.
    pub fn edited(&self, text: Text, at: Timestamp) -> Self {
        let tags = text.tags();
        let mut tags_ever = self.tags_ever.clone();
        tags_ever.extend(tags.iter().filter(|tag| !self.tags_ever.contains(tag)).cloned());
        Self { text: Some(text), tags, tags_ever, version: self.version + 1, edited_at: Some(at), ..self.clone() }
    }

    /// The post without what it said, deleted at this moment.
    pub fn scrubbed(&self, at: Timestamp) -> Self {
        Self { text: None, tags: Vec::new(), version: self.version + 1, deleted_at: Some(at), ..self.clone() }
    }
}
