//! Edges: whom a user follows, mutes and blocks.

use serde::{Deserialize, Serialize};

use super::{PartitionShard, Timestamp, UserId, Version};

/// Kinds of edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeKind {
    /// The user sees the other's posts at home.
    Follows,
    /// Nothing by the other comes to the user, who can still look it up. The other does not notice.
    Mutes,
    /// Neither sees anything by the other, follows the other, or reacts to the other's posts.
    Blocks,
}

/// Whether there is an edge at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeState {
    /// There is one.
    Active,
    /// There is none, or no longer one.
    Ended,
}

/// Identifies an edge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeKey {
    /// The user who follows, mutes or blocks.
    pub from: UserId,
    /// Which of these.
    pub kind: EdgeKind,
    /// The other user.
    pub to: UserId,
}

/// An edge that exists or once existed. It is kept when it ends, so that its version never restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Whether the edge exists at present.
    pub active: bool,
    /// Version of the event that last changed the edge, in the log of the user in [`EdgeKey::from`].
    pub version: Version,
    /// When a follow first began. One that ends and begins again keeps it: a write without it leaves what is stored.
    /// Follows of releases before 0.3 do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Where the side of a follow stands that belongs to the followed user. A follow that ends stays where it is.
    #[serde(default, skip_serializing_if = "PartitionShard::is_first")]
    pub shard: PartitionShard,
}

impl EdgeState {
    /// Whether there is an edge.
    pub fn is_active(self) -> bool {
        self == Self::Active
    }
}

impl Edge {
    /// The edge as an event of this version leaves it.
    pub fn new(state: EdgeState, version: Version) -> Self {
        Self { active: state.is_active(), version, since: None, shard: PartitionShard::default() }
    }

    /// Whether the edge exists at present.
    pub fn state(&self) -> EdgeState {
        if self.active { EdgeState::Active } else { EdgeState::Ended }
    }
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
