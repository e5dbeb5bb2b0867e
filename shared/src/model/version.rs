//! Positions in a user's event log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Position of an event in a user's log: 1, 2, 3 … without gaps. 0 stands for the empty log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// Before the first event.
    pub const ZERO: Self = Self(0);
    /// The last version that a key of 12 digits can hold.
    pub const MAX: Self = Self(999_999_999_999);

    /// The version of this number; above [`Version::MAX`] there is none.
    pub fn new(number: u64) -> Option<Self> {
        (number <= Self::MAX.0).then_some(Self(number))
    }

    /// The version as a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
