//! A like as it stands in the command table.

use serde::{Deserialize, Serialize};

use super::UserId;

/// Whether a user likes a post. Kept after an unlike, so that its version never restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Like {
    /// Whether the user likes the post at present.
    pub liked: bool,
    /// Who wrote the post: so that a user's recent likes tell whom they like.
    pub author: UserId,
    /// Heat that the like added to the post, and that an unlike takes away again.
    pub heat: i64,
    /// 1, and one more with each change.
    pub version: u64,
}
