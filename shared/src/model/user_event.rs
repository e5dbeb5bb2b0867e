//! The events of a user's log.

use serde::{Deserialize, Serialize};

use super::{
    CommandId, CommentId, CommentText, EdgeKind, PostId, PublicProfile, Spent, Standing, Tag, Text, Timestamp, UserId,
    Version,
};

/// What a user did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum UserEvent {
    /// The user created or changed the profile.
    ProfileChanged(PublicProfile),
    /// The user wrote a post.
    PostCreated {
        /// The post.
        post: PostId,
        /// The text. None once the post is deleted.
        text: Option<Text>,
        /// The tags in the text. Empty once the post is deleted.
        #[serde(default)]
        tags: Vec<Tag>,
    },
    /// The user replaced the text of a post. The new text stands in the post.
    PostEdited {
        /// The post.
        post: PostId,
    },
    /// The user deleted a post.
    PostDeleted {
        /// The post.
        post: PostId,
    },
    /// The user wrote a comment.
    PostCommented {
        /// The post that the comment is on.
        post: PostId,
        /// The comment.
        comment: CommentId,
        /// The text. None once the comment is deleted.
        text: Option<CommentText>,
    },
    /// The user deleted a comment: the user's own, or one on a post of the user.
    CommentDeleted {
        /// The post that the comment was on.
        post: PostId,
        /// The comment.
        comment: CommentId,
    },
    /// The user followed somebody.
    UserFollowed {
        /// The followed user.
        followee: UserId,
    },
    /// The user unfollowed somebody, or was blocked or removed as a follower by them.
    UserUnfollowed {
        /// The user who is no longer followed.
        followee: UserId,
    },
    /// The user removed a follower. The follower's log has the end of the follow.
    FollowerRemoved {
        /// The former follower.
        follower: UserId,
    },
    /// The user muted somebody.
    UserMuted {
        /// The muted user.
        muted: UserId,
    },
    /// The user unmuted somebody.
    UserUnmuted {
        /// The user who is no longer muted.
        muted: UserId,
    },
    /// The user blocked somebody, and thereby unfollowed them.
    UserBlocked {
        /// The blocked user.
        blocked: UserId,
    },
    /// An administrator took down a post of the user.
    PostTakenDown {
        /// The post.
        post: PostId,
    },
    /// An administrator restored a post that was taken down.
    PostRestored {
        /// The post.
        post: PostId,
    },
    /// An administrator suspended the user.
    UserSuspended,
    /// An administrator ended the suspension of the user.
    UserReinstated,
    /// The user, or an administrator, deleted the account. This is the last event of the log, and the only one that
    /// stays.
    AccountDeleted,
    /// The user unblocked somebody.
    UserUnblocked {
        /// The user who is no longer blocked.
        blocked: UserId,
    },
}

impl UserEvent {
    /// The edges from the user that the event may have changed.
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
            | Self::CommentDeleted { .. }
            | Self::FollowerRemoved { .. }
            | Self::PostTakenDown { .. }
            | Self::PostRestored { .. }
            | Self::UserSuspended
            | Self::UserReinstated
            | Self::AccountDeleted => Vec::new(),
        }
    }

    /// The standing of the user after the event, if the standing was `before`.
    pub fn standing_after(&self, before: Standing) -> Standing {
        match self {
            Self::UserSuspended => Standing::Suspended,
            Self::UserReinstated => Standing::Active,
            Self::AccountDeleted => Standing::Deleted,
            _ => before,
        }
    }
}

/// A user's running totals. Every event carries them, so the newest event alone holds the present totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Number of accounts that the user follows.
    pub following: u64,
    /// Number of accounts that the user mutes.
    #[serde(default)]
    pub muted: u64,
    /// Number of accounts that the user blocks.
    #[serde(default)]
    pub blocked: u64,
    /// Number of posts by the user that are not deleted. Events of releases before 0.3 do not carry it, so posts of
    /// their time are not counted.
    #[serde(default)]
    pub posts: u64,
}

/// An event in a user's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// The user whose log it is.
    pub user: UserId,
    /// The position in the log.
    pub version: Version,
    /// The run of the command that appended the event.
    pub command: CommandId,
    /// When the command decided.
    pub at: Timestamp,
    /// The user's totals after the event.
    pub totals: Totals,
    /// The state of the user's rate limits after the event.
    #[serde(default)]
    pub spent: Spent,
    /// The user's standing after the event.
    #[serde(default, skip_serializing_if = "Standing::is_active")]
    pub standing: Standing,
    /// What happened.
    #[serde(flatten)]
    pub event: UserEvent,
}

/// An entry of a log as it was read: an event, or one that this release does not understand.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// The position in the log.
    pub version: Version,
    /// The event, or why it cannot be understood. After a rollback, the log may hold events of a newer release.
    pub event: Result<LogEvent, String>,
}
