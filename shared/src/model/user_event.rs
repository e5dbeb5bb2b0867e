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

/// The types of events that this release knows, as they are stored.
const TYPES: [&str; 18] = [
    "ProfileChanged",
    "PostCreated",
    "PostEdited",
    "PostDeleted",
    "PostCommented",
    "CommentDeleted",
    "UserFollowed",
    "UserUnfollowed",
    "FollowerRemoved",
    "UserMuted",
    "UserUnmuted",
    "UserBlocked",
    "UserUnblocked",
    "PostTakenDown",
    "PostRestored",
    "UserSuspended",
    "UserReinstated",
    "AccountDeleted",
];

impl UserEvent {
    /// Whether this release knows events of this stored type.
    pub fn is_known_type(name: &str) -> bool {
        TYPES.contains(&name)
    }

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
    /// The event, or why it cannot be understood.
    pub event: Result<LogEvent, Unreadable>,
}

/// Why a stored event cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A newer release wrote the event. That release can read it, so the event is left to it: during a deployment, old
    /// and new functions run side by side, and after a rollback, the log still holds the newer events.
    #[error("a newer release wrote it: {0}")]
    Newer(String),
    /// It makes no sense. Every attempt to read it will fail.
    #[error("{0}")]
    Malformed(String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::shown;

    /// An event of each type. The match fails to compile when a type is missing in it.
    fn sample(of: &str) -> Option<UserEvent> {
        let post = "014bc853-e807-7000-8000-000000000000".parse().ok()?;
        let comment = "014bc853-e807-7000-8000-000000000001".parse().ok()?;
        let user: UserId = "bob".parse().ok()?;
        let all = [
            UserEvent::ProfileChanged(shown("ada")),
            UserEvent::PostCreated { post, text: None, tags: Vec::new() },
            UserEvent::PostEdited { post },
            UserEvent::PostDeleted { post },
            UserEvent::PostCommented { post, comment, text: None },
            UserEvent::CommentDeleted { post, comment },
            UserEvent::UserFollowed { followee: user.clone() },
            UserEvent::UserUnfollowed { followee: user.clone() },
            UserEvent::FollowerRemoved { follower: user.clone() },
            UserEvent::UserMuted { muted: user.clone() },
            UserEvent::UserUnmuted { muted: user.clone() },
            UserEvent::UserBlocked { blocked: user.clone() },
            UserEvent::UserUnblocked { blocked: user },
            UserEvent::PostTakenDown { post },
            UserEvent::PostRestored { post },
            UserEvent::UserSuspended,
            UserEvent::UserReinstated,
            UserEvent::AccountDeleted,
        ];
        all.into_iter().find(|event| stored_type(event) == of)
    }

    fn stored_type(event: &UserEvent) -> &'static str {
        match event {
            UserEvent::ProfileChanged(_) => "ProfileChanged",
            UserEvent::PostCreated { .. } => "PostCreated",
            UserEvent::PostEdited { .. } => "PostEdited",
            UserEvent::PostDeleted { .. } => "PostDeleted",
            UserEvent::PostCommented { .. } => "PostCommented",
            UserEvent::CommentDeleted { .. } => "CommentDeleted",
            UserEvent::UserFollowed { .. } => "UserFollowed",
            UserEvent::UserUnfollowed { .. } => "UserUnfollowed",
            UserEvent::FollowerRemoved { .. } => "FollowerRemoved",
            UserEvent::UserMuted { .. } => "UserMuted",
            UserEvent::UserUnmuted { .. } => "UserUnmuted",
            UserEvent::UserBlocked { .. } => "UserBlocked",
            UserEvent::UserUnblocked { .. } => "UserUnblocked",
            UserEvent::PostTakenDown { .. } => "PostTakenDown",
            UserEvent::PostRestored { .. } => "PostRestored",
            UserEvent::UserSuspended => "UserSuspended",
            UserEvent::UserReinstated => "UserReinstated",
            UserEvent::AccountDeleted => "AccountDeleted",
        }
    }

    #[test]
    fn every_type_is_known_by_the_name_under_which_it_is_stored() {
        for name in TYPES {
            let event = sample(name).unwrap();
            assert_eq!(serde_json::to_value(&event).unwrap()["type"], name);
        }
    }

    proptest! {
        #[test]
        fn no_other_type_is_known(name in "\\PC{0,20}") {
            prop_assert_eq!(UserEvent::is_known_type(&name), sample(&name).is_some());
        }
    }
}
