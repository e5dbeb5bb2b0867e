//! A like, as the command table stores it.

use serde::{Deserialize, Serialize};

use super::UserId;

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
}
