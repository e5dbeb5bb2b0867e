//! Walks as they stand in the work queue. A walk is work of any size that goes in steps. Each step does a bounded
//! number of reads and writes, and then sends the walk again with its new position. So a kill repeats one step.

use serde::{Deserialize, Serialize};

use crate::model::{CommentId, PostId, Timestamp, UserId, Version};

/// A walk with its position. Messages outlive a deployment, so their JSON does not change when a name here does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Walk {
    /// Enumerate the followers of a large audience, and make a [`Walk::Push`] for every few hundred of them.
    #[serde(rename = "spread")]
    Audience {
        /// The post.
        post: PostId,
        /// Its author.
        author: UserId,
        /// The follower after whom the enumeration goes on. None at its beginning.
        after: Option<UserId>,
        /// How many followers were found so far.
        found: u64,
    },
    /// Put a post into the homes of these viewers. This is one step.
    #[serde(rename = "deliver")]
    Push {
        /// The post.
        post: PostId,
        /// Its author.
        author: UserId,
        /// Some of the author's followers.
        viewers: Vec<UserId>,
    },
    /// Copy an author's posts of the last 30 days into the home of a new follower.
    Backfill {
        /// The follower.
        viewer: UserId,
        /// The author.
        author: UserId,
        /// The version of the follow, in the log of the follower.
        version: Version,
        /// How far the copy came.
        at: BackfillAt,
    },
    /// Copy the posts of the last 30 days of all followed authors into a home that was left out while nobody read it.
    CompleteHome {
        /// The owner of the home.
        viewer: UserId,
        /// Since when the home is incomplete.
        since: Timestamp,
        /// How far the copy came.
        at: HomeAt,
    },
    /// Remove the rows of an author from the home of a viewer who no longer follows the author.
    Unfollowed {
        /// The viewer.
        viewer: UserId,
        /// The author.
        author: UserId,
        /// The walk goes on below this post. None at its beginning.
        before: Option<PostId>,
    },
    /// Show an author's profile on all of the author's posts.
    Profile {
        /// The author.
        user: UserId,
        /// The version of the profile.
        version: Version,
        /// The walk goes on below this post. None at its beginning.
        before: Option<PostId>,
    },
    /// Remove what is left of a deleted post: its tags, and comments on it.
    #[serde(rename = "purge")]
    Purge {
        /// The post.
        post: PostId,
        /// Its author, or a commenter if the author's account was erased.
        author: UserId,
        /// The walk goes on behind this comment. None at its beginning.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<CommentId>,
        /// The last comment of a part. None as long as the walk is not split into parts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<CommentId>,
    },
    /// Remove the likes of a deleted post that are shown.
    PurgeLikes {
        /// The post.
        post: PostId,
        /// Its author, or a commenter if the author's account was erased.
        author: UserId,
    },
    /// Enumerate the followers of an author who is being demoted, and make a [`Walk::FillHomes`] in each step.
    #[serde(rename = "demote")]
    Demotion {
        /// The author.
        author: UserId,
        /// When the demotion began. None in messages of releases before 0.3: whichever is under way.
        #[serde(default)]
        begun_at: Option<Timestamp>,
        /// The follower after whom the enumeration goes on. None at its beginning.
        after: Option<UserId>,
    },
    /// Erase an account that was deleted.
    Erase {
        /// The user.
        user: UserId,
        /// From when on the walk waits: when it began, or ended what it found, whichever was later.
        begun_at: Timestamp,
        /// How far it came.
        at: ErasureAt,
    },
    /// Copy the posts of an author who is being demoted into the homes of these followers.
    FillHomes {
        /// The author.
        author: UserId,
        /// When the demotion began.
        begun_at: Timestamp,
        /// The follower behind whom these are. None at the beginning of the enumeration.
        #[serde(default)]
        after: Option<UserId>,
        /// Some of the author's followers.
        viewers: Vec<UserId>,
        /// The copy goes on below this post. None at its beginning.
        before: Option<PostId>,
    },
}

/// How far a backfill came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackfillAt {
    /// Nothing is copied.
    Start,
    /// All posts down to this one are copied.
    Below(PostId),
    /// All posts are copied, but readers still read the author's own rows.
    Copied,
}

/// How far the completion of a home came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HomeAt {
    /// The posts of these authors are copied.
    Followed {
        /// The last author all of whose posts are copied. None at the beginning.
        after: Option<UserId>,
        /// An author behind that one whose posts are copied down to this one.
        below: Option<(UserId, PostId)>,
    },
    /// All posts are copied, but readers still read the authors' own rows.
    Copied,
}

/// How far the erasure of an account came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasureAt {
    /// Posts and comments are deleted, and edges have ended, that began with the events from this version on.
    Log {
        /// The version.
        before: Version,
    },
    /// The user's likes have ended up to that of this post.
    Likes {
        /// The post. None at the beginning.
        after: Option<PostId>,
        /// Which pass it is.
        pass: Pass,
    },
    /// The follows by other users have ended up to that of this follower.
    Followers {
        /// The follower. None at the beginning.
        after: Option<UserId>,
        /// Which pass it is.
        pass: Pass,
    },
    /// Nothing is removed before all functions have ended that may not know of the deletion.
    Wait,
    /// The user's posts are being removed from the homes of former followers.
    Homes {
        /// The follower after whom the homes come. None at the beginning.
        after: Option<UserId>,
        /// The next posts are below this one. None at the beginning of these homes.
        before: Option<PostId>,
    },
    /// The events of the log are being removed, with the posts and comments that they began.
    Events,
    /// All other items of the user are being removed.
    Items,
    /// The edges of former followers are being removed.
    Edges,
    /// The read models are being removed.
    ReadModels,
}

/// A pass of an erasure through likes and followers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// Right after the deletion.
    First,
    /// When nothing can come any more.
    Last,
}

impl Walk {
    /// The user whose walk it is.
    pub(super) fn user(&self) -> &UserId {
        match self {
            Self::Audience { author, .. }
            | Self::Push { author, .. }
            | Self::Purge { author, .. }
            | Self::PurgeLikes { author, .. }
            | Self::Demotion { author, .. }
            | Self::FillHomes { author, .. } => author,
            Self::Backfill { viewer, .. } | Self::CompleteHome { viewer, .. } | Self::Unfollowed { viewer, .. } => {
                viewer
            }
            Self::Profile { user, .. } | Self::Erase { user, .. } => user,
        }
    }
}
