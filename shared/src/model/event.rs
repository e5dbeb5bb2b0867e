//! What happened: the events of a user's log.

use serde::{Deserialize, Serialize};

use super::{CommandId, CommentId, CommentText, PostId, PublicProfile, Tag, Text, Timestamp, UserId, Version};

/// What a user did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum UserEvent {
    /// Made a profile, or changed it.
    ProfileChanged(PublicProfile),
    /// Wrote a post.
    PostCreated {
        /// The post.
        post: PostId,
        /// What it said; nothing once the post is deleted.
        text: Option<Text>,
        /// The tags in it; none once the post is deleted.
        #[serde(default)]
        tags: Vec<Tag>,
    },
    /// Changed what a post says. What it says now stands in the post.
    PostEdited {
        /// The post.
        post: PostId,
    },
    /// Took a post back.
    PostDeleted {
        /// The post.
        post: PostId,
    },
    /// Wrote a comment.
    PostCommented {
        /// On which post.
        post: PostId,
        /// The comment.
        comment: CommentId,
        /// What it said; nothing once the comment is deleted.
        text: Option<CommentText>,
    },
    /// Took a comment back, or off a post of their own.
    CommentDeleted {
        /// On which post it was.
        post: PostId,
        /// The comment.
        comment: CommentId,
    },
    /// Began to follow somebody.
    UserFollowed {
        /// Whom.
        followee: UserId,
    },
    /// Stopped following somebody.
    UserUnfollowed {
        /// Whom.
        followee: UserId,
    },
}

/// Running totals of a user, carried by every event, so that the newest event alone tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// How many accounts the user follows.
    pub following: u64,
}

/// An entry of a user's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// Whose log.
    pub user: UserId,
    /// Where in it.
    pub version: Version,
    /// The run of the command that appended it.
    pub command: CommandId,
    /// When.
    pub at: Timestamp,
    /// The user's totals after it.
    pub totals: Totals,
    /// What happened.
    #[serde(flatten)]
    pub event: UserEvent,
}
