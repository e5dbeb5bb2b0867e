//! Profiles: what users show of themselves.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::{
    Handle, Timestamp, UserId, Version,
    limits::{AVATAR_URL_BYTES_MAX, DISPLAY_NAME_BYTES_MAX, DISPLAY_NAME_GRAPHEMES_MAX},
};

/// A display name: 1–50 grapheme clusters, at most 500 bytes, without control characters, and not only white space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DisplayName(String);

/// An `https` URL of at most 2048 bytes. It is passed on unchanged and never fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AvatarUrl(String);

/// A part of a profile is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProfile {
    /// The display name is not valid.
    #[error(
        "a display name has 1 to {DISPLAY_NAME_GRAPHEMES_MAX} characters, at least one of which is not white space, at \
         most {DISPLAY_NAME_BYTES_MAX} bytes, and no control characters"
    )]
    DisplayName,
    /// The URL of the avatar is not valid.
    #[error("an avatar URL starts with https://, has a host, no white space, and at most {AVATAR_URL_BYTES_MAX} bytes")]
    AvatarUrl,
}

impl TryFrom<String> for DisplayName {
    type Error = InvalidProfile;

    fn try_from(name: String) -> Result<Self, InvalidProfile> {
        let valid = !name.trim().is_empty()
            && name.len() <= DISPLAY_NAME_BYTES_MAX
            && !name.chars().any(char::is_control)
            && name.graphemes(true).nth(DISPLAY_NAME_GRAPHEMES_MAX).is_none();
        if valid { Ok(Self(name)) } else { Err(InvalidProfile::DisplayName) }
    }
}

impl From<DisplayName> for String {
    fn from(name: DisplayName) -> Self {
        name.0
    }
}

impl TryFrom<String> for AvatarUrl {
    type Error = InvalidProfile;

    fn try_from(url: String) -> Result<Self, InvalidProfile> {
        let host_follows = url
            .strip_prefix("https://")
            .and_then(|rest| rest.chars().next())
            .is_some_and(|first| first.is_alphanumeric() || first == '[');
        let visible = url.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if url.len() <= AVATAR_URL_BYTES_MAX && host_follows && visible {
            Ok(Self(url))
        } else {
            Err(InvalidProfile::AvatarUrl)
        }
    }
}

impl From<AvatarUrl> for String {
    fn from(url: AvatarUrl) -> Self {
        url.0
    }
}

/// The part of a profile that the user writes and everybody sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicProfile {
    /// The unique handle.
    pub handle: Handle,
    /// The display name.
    pub display_name: DisplayName,
    /// The URL of the avatar, if the user has one.
    pub avatar_url: Option<AvatarUrl>,
}

/// A user's profile, as the command table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The user whose profile it is.
    pub user: UserId,
    /// The part that the user writes.
    #[serde(flatten)]
    pub public: PublicProfile,
    /// When the user created the profile.
    pub created_at: Timestamp,
    /// Version of the event that last changed the profile.
    pub version: Version,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_have_bounds() {
        let name = |name: &str| DisplayName::try_from(name.to_owned()).is_ok();
        assert!(name("Ada") && name(&"é".repeat(50)));
        assert!(!name("") && !name("  ") && !name("a\tb") && !name(&"é".repeat(51)));
    }

    #[test]
    fn avatar_urls_have_bounds() {
        let url = |url: &str| AvatarUrl::try_from(url.to_owned()).is_ok();
        assert!(url("https://example.org/a.png"));
        for bad in ["", "http://example.org", "https://", "https:///a", "javascript:alert(1)", "https://a b"] {
            assert!(!url(bad), "{bad}");
        }
        assert!(!url(&format!("https://a/{}", "x".repeat(2048))));
    }
}
