//! Handles: the unique public names of users.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::limits::HANDLE_CHARS;

/// A handle: `[a-z0-9_]{3,30}`. Upper case is not allowed, so no two handles differ only in case. Where a handle is
/// looked up, its case does not matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Handle(String);

/// The text is not a handle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a handle: a handle has {} to {} characters of a-z, 0-9 and _",
    shown(handle), HANDLE_CHARS.start(), HANDLE_CHARS.end()
)]
pub struct InvalidHandle {
    /// The text.
    pub handle: String,
}

impl Handle {
    /// The handle without `@`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The handle that is meant by this spelling, in any case.
    ///
    /// # Errors
    /// [`InvalidHandle`] if no handle can be spelled so.
    pub fn look_up(spelling: &str) -> Result<Self, InvalidHandle> {
        Self::try_from(spelling.to_ascii_lowercase()).map_err(|_| InvalidHandle { handle: spelling.to_owned() })
    }
}

/// Handles that nobody can claim, such as `admin`: users could take their owner for the operator. Whoever has one keeps
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReservedHandles(BTreeSet<Handle>);

impl ReservedHandles {
    /// Whether the handle is reserved.
    pub fn contains(&self, handle: &Handle) -> bool {
        self.0.contains(handle)
    }
}

impl FromStr for ReservedHandles {
    type Err = InvalidHandle;

    /// A list of handles, separated by commas. It may be empty.
    fn from_str(list: &str) -> Result<Self, InvalidHandle> {
        let handles = list.split(',').map(str::trim).filter(|handle| !handle.is_empty());
        handles.map(Handle::look_up).collect::<Result<_, _>>().map(Self)
    }
}

/// The beginning of a text that may have any length.
fn shown(text: &str) -> String {
    let mut chars = text.chars();
    let beginning: String = chars.by_ref().take(*HANDLE_CHARS.end()).collect();
    if chars.next().is_some() { beginning + "…" } else { beginning }
}

impl TryFrom<String> for Handle {
    type Error = InvalidHandle;

    fn try_from(handle: String) -> Result<Self, InvalidHandle> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        if HANDLE_CHARS.contains(&handle.len()) && handle.bytes().all(allowed) {
            Ok(Self(handle))
        } else {
            Err(InvalidHandle { handle })
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
            assert_eq!(bad.parse::<Handle>(), Err(InvalidHandle { handle: bad.to_owned() }));
        }
    }
    #[test]
    fn a_look_up_ignores_case() {
        assert_eq!(Handle::look_up("Ada_1"), "ada_1".parse());
        assert_eq!(Handle::look_up("Äda"), Err(InvalidHandle { handle: "Äda".to_owned() }));
    }

    #[test]
    fn reserved_handles_are_a_list() {
        let reserved: ReservedHandles = "admin, Root,".parse().unwrap();
        assert_eq!(["admin", "root", "ada"].map(|it| reserved.contains(&it.parse().unwrap())), [true, true, false]);
        assert_eq!("".parse(), Ok(ReservedHandles::default()));
        assert_eq!("admin,a b".parse::<ReservedHandles>(), Err(InvalidHandle { handle: "a b".to_owned() }));
    }

    #[test]
    fn an_error_names_the_handle_but_not_all_of_a_long_one() {
        let message = |handle: &str| handle.parse::<Handle>().unwrap_err().to_string();
        assert!(message("A.da").starts_with("`A.da` is not a handle:"));
        assert!(message(&"é".repeat(1000)).starts_with(&format!("`{}…` is not", "é".repeat(30))));
    }
}
