//! A post, as the command table stores it.

use serde::{Deserialize, Serialize};

use super::{Mentioned, PostId, Tag, Text, Timestamp, UserId, Version, limits::MENTIONS_MAX};

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
    /// The users whom the post ever mentioned, as far as they are notified. None once the post is deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentioned: Vec<Mentioned>,
    /// 1 at first, and one more with each change.
    pub version: u64,
    /// How many of these changes were made by administrators.
    #[serde(default, skip_serializing_if = "super::tally::is_zero")]
    pub moderations: u64,
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

/// What a like of a post, or a comment on it, needs to know of the post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactedPost {
    /// The post.
    pub post: PostId,
    /// Its author.
    pub author: UserId,
    /// Why others do not see it, if they do not.
    pub hidden: Option<Hidden>,
}

/// Why others do not see a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// The author deleted it.
    Deleted,
    /// An administrator took it down. Its author still sees it.
    TakenDown,
}

impl From<&Post> for ReactedPost {
    fn from(post: &Post) -> Self {
        Self { post: post.post, author: post.author.clone(), hidden: post.hidden() }
    }
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

    /// How often the author has edited the post.
    pub fn edits(&self) -> u64 {
        self.version.saturating_sub(self.moderations + 1)
    }

    /// The post with this text instead, which mentions these users, edited at this moment.
    pub fn edited(&self, text: Text, mentions: &[UserId], at: Timestamp) -> Self {
        let mut mentioned = self.mentioned.clone();
        let is_new = |user: &&UserId| !self.mentioned.iter().any(|known| known.user == **user);
        mentioned.extend(mentions.iter().filter(is_new).map(|user| Mentioned { user: user.clone(), at }));
        mentioned.truncate(MENTIONS_MAX);
        let tags = text.tags();
        let mut tags_ever = self.tags_ever.clone();
        tags_ever.extend(tags.iter().filter(|tag| !self.tags_ever.contains(tag)).cloned());
        let (text, version, edited_at) = (Some(text), self.version + 1, Some(at));
        Self { text, tags, tags_ever, mentioned, version, edited_at, ..self.clone() }
    }

    /// The post taken down at this moment, or restored.
    pub fn taken_down(&self, at: Option<Timestamp>) -> Self {
        Self { version: self.version + 1, moderations: self.moderations + 1, taken_down_at: at, ..self.clone() }
    }

    /// The post without its text, deleted at this moment.
    pub fn scrubbed(&self, at: Timestamp) -> Self {
        let (tags, mentioned, version) = (Vec::new(), Vec::new(), self.version + 1);
        Self { text: None, tags, mentioned, version, deleted_at: Some(at), ..self.clone() }
    }
}
