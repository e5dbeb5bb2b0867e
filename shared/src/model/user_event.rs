//! What happened: the events of a user's log.

use serde::{Deserialize, Serialize};

use super::{
    CommandId, CommentId, CommentText, EdgeKind, PostId, PublicProfile, Tag, Text, Timestamp, UserId, Version,
};

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
    /// Stopped following somebody, or was blocked by them.
    UserUnfollowed {
        /// Whom.
        followee: UserId,
    },
    /// Muted somebody.
    UserMuted {
        /// Whom.
        muted: UserId,
    },
    /// Stopped muting somebody.
    UserUnmuted {
        /// Whom.
        muted: UserId,
    },
    /// Blocked somebody, and thereby stopped following them.
    UserBlocked {
        /// Whom.
        blocked: UserId,
    },
    /// Stopped blocking somebody.
    UserUnblocked {
        /// Whom.
        blocked: UserId,
    },
}

impl UserEvent {
    /// The edges that it may have changed, of those that go from the user whose event it is.
    pub fn edges(&self) -> Vec<(EdgeKind, &UserId)> {
        match self {
            Self::UserFollowed { followee } | Self::UserUnfollowed { followee } => vec![(EdgeKind::Follows, followee)],
            Self::UserMuted { muted } | Self::UserUnmuted { muted } => vec![(EdgeKind::Mutes, muted)],
            Self::UserBlocked { blocked } => vec![(EdgeKind::Blocks, blocked), (EdgeKind::Follows, blocked)],
            Self::UserUnblocked { blocked } => vec![(EdgeKind::Blocks, blocked)],
            Self::ProfileChanged(_)
            | Self::PostCreated { .. }
            | Self::PostEdited { .. }
            | Self::PostDeleted { .. }
            | Self::PostCommented { .. }
            | Self::CommentDeleted { .. } => Vec::new(),
        }
    }
}

/// Running totals of a user, carried by every event, so that the newest event alone tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// How many accounts the user follows.
    pub following: u64,
    /// How many the user mutes.
    #[serde(default)]
    pub muted: u64,
    /// How many the user blocks.
    #[serde(default)]
    pub blocked: u64,
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
