//! What one user has to do with another, by the one's own will.

use serde::{Deserialize, Serialize};

use super::{UserId, Version};

/// Kinds of edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeKind {
    /// The one sees the other's posts at home.
    Follows,
    /// The one sees nothing of the other, who does not notice.
    Mutes,
    /// The one sees nothing of the other, who cannot follow the one or comment on the one's posts, nor the other way round.
    Blocks,
}

/// Which edge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeKey {
    /// The one.
    pub from: UserId,
    /// What they do.
    pub kind: EdgeKind,
    /// The other.
    pub to: UserId,
}

/// An edge that once was. It is kept when it is no more, so that its version never restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Whether it is at present.
    pub active: bool,
    /// Version of the event, in the log of the user that it goes from, that last changed it.
    pub version: Version,
}

impl EdgeKey {
    /// The edge of this kind from one user to another.
    pub fn new(from: &UserId, kind: EdgeKind, to: &UserId) -> Self {
        Self { from: from.clone(), kind, to: to.clone() }
    }

    /// The blocks between two users, in either direction.
    pub fn blocks(a: &UserId, b: &UserId) -> [Self; 2] {
        [Self::new(a, EdgeKind::Blocks, b), Self::new(b, EdgeKind::Blocks, a)]
    }
}
