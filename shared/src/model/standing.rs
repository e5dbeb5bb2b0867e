//! The standing of an account: whether its user may act.

use serde::{Deserialize, Serialize};

/// Whether the user of an account may act. Every event of a log carries the standing after it, so the newest event
/// alone tells it, and every command reads that event anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The user may do everything.
    #[default]
    Active,
    /// An administrator has suspended the user. The user may read, and delete the account.
    Suspended,
    /// The account is deleted, for good.
    Deleted,
}

impl Standing {
    /// Whether the user may do everything.
    pub fn is_active(&self) -> bool {
        *self == Self::Active
    }

    /// Whether the account is deleted.
    pub fn is_deleted(self) -> bool {
        self == Self::Deleted
    }
}
