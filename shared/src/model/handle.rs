//! Handles: the unique public names of users.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::limits::HANDLE_CHARS;

/// A handle: `[a-z0-9_]{3,30}`. Upper case is not allowed, so no two handles differ only in case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Handle(String);

/// The text is not a handle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a handle has {} to {} characters of a-z, 0-9 and _", HANDLE_CHARS.start(), HANDLE_CHARS.end())]
pub struct InvalidHandle;

impl Handle {
    /// The handle without `@`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Handle {
    type Error = InvalidHandle;

    fn try_from(handle: String) -> Result<Self, InvalidHandle> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        if HANDLE_CHARS.contains(&handle.len()) && handle.bytes().all(allowed) {
            Ok(Self(handle))
        } else {
            Err(InvalidHandle)
        }
    }
}

impl FromStr for Handle {
    type Err = InvalidHandle;

    fn from_str(handle: &str) -> Result<Self, InvalidHandle> {
        Self::try_from(handle.to_owned())
    }
}

impl From<Handle> for String {
    fn from(handle: Handle) -> Self {
        handle.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_have_bounds() {
        for good in ["ada", "a_1", &"x".repeat(30)] {
            assert!(good.parse::<Handle>().is_ok(), "{good}");
        }
        for bad in ["", "ab", "Ada", "a-b-c", "ädä", "a b", &"x".repeat(31)] {
            assert_eq!(bad.parse::<Handle>(), Err(InvalidHandle), "{bad:?}");
        }
    }
}
