//! A like, as the command table stores it.

use serde::{Deserialize, Serialize};

use super::{PartitionShard, PostId, Timestamp, UserId};

/// A user's like of a post. It is kept after an unlike, so that its version never restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Like {
    /// Whether the user likes the post at present.
    pub liked: bool,
    /// The author of the post. So a user's recent likes tell whose posts the user likes.
    pub author: UserId,
    /// The heat that the like added to the post. An unlike subtracts the same heat. The author's own like adds none.
    pub heat: i64,
    /// 1 at first, and one more with each change.
    pub version: u64,
    /// When the user first liked the post. A like that ends and begins again keeps it. Likes of releases before 0.3 do
    /// not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The partition in which it is shown. A like that ends and begins again keeps it.
    #[serde(default, skip_serializing_if = "PartitionShard::is_first")]
    pub shard: PartitionShard,
}

/// A like, or its end, as it stands after its newest change: all that there is to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LikeChange {
    /// The user.
    pub user: UserId,
    /// The post.
    pub post: PostId,
    /// The post's author.
    pub author: UserId,
    /// Whether the user likes the post. Events of release 0.2 say so in their type, and not here.
    #[serde(default)]
    pub liked: bool,
    /// As in [`Like`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The version of the like. It is not one of the user's log.
    pub like_version: u64,
    /// As in [`Like`].
    #[serde(default, skip_serializing_if = "PartitionShard::is_first")]
    pub shard: PartitionShard,
}

impl LikeChange {
    /// The like of this post by this user.
    pub fn of(user: UserId, post: PostId, like: Like) -> Self {
        let Like { liked, author, version, at, shard, heat: _ } = like;
        Self { user, post, author, liked, at, like_version: version, shard }
    }

    /// When the user first liked the post. A like that does not know counts as one of the post's first moment.
    pub fn liked_at(&self) -> Timestamp {
        self.at.unwrap_or_else(|| self.post.created_at())
    }
}
