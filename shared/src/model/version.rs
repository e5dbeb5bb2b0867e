//! Versions: positions in a user's log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The position of an event in a user's log: 1, 2, 3 … without gaps. 0 is the version of an empty log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// The version of an empty log.
    pub const ZERO: Self = Self(0);
    /// The highest version, because keys have room for 12 digits.
    pub const MAX: Self = Self(999_999_999_999);

    /// The version with this number. None above [`Version::MAX`].
    pub fn new(number: u64) -> Option<Self> {
        (number <= Self::MAX.0).then_some(Self(number))
    }

    /// The number of the version.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The version of the event in front of this one. None for the first event, and for an empty log.
    pub fn before(self) -> Option<Self> {
        self.0.checked_sub(1).filter(|before| *before > 0).map(Self)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
