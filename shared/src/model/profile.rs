//! Profiles: what users show of themselves.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;
use url::Url;

use super::{
    Handle, Timestamp, UserId, Version,
    limits::{AVATAR_URL_BYTES_MAX, COMBINING_MARKS_MAX, DISPLAY_NAME_BYTES_MAX, DISPLAY_NAME_GRAPHEMES_MAX},
    unicode::{changes_direction, has_visible, is_control, is_separator, longest_run_of_marks, nfc},
};

/// A display name: one line of 1–50 grapheme clusters and at most 500 bytes of NFC, with something visible. It stands
/// in lines of others, so nothing in it changes the direction of what follows or grows into other lines. What stands in
/// a table is read as it is, because earlier releases had other rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DisplayName(String);

/// A normalised `https` URL of at most 2048 bytes, with a host name, and without user information and port. It is never
/// fetched. What stands in a table is read as it is, because earlier releases had other rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AvatarUrl(String);

/// A part of a profile is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProfile {
    /// The display name is not valid.
    #[error("display_name {0}")]
    DisplayName(InvalidName),
    /// The URL of the avatar is not valid.
    #[error(
        "avatar_url must be an https URL with a host name, without user name, password and port, of at most \
         {AVATAR_URL_BYTES_MAX} bytes"
    )]
    AvatarUrl,
}

/// Why a display name is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The name is empty, or nothing of it is visible.
    #[error("has no visible character")]
    Empty,
    /// The name is too long.
    #[error("is longer than {DISPLAY_NAME_GRAPHEMES_MAX} characters or {DISPLAY_NAME_BYTES_MAX} bytes")]
    TooLong,
    /// The name has a control character or a line break.
    #[error("has a control character or a line break")]
    Control,
    /// The name changes the direction of the text behind it.
    #[error("has a character that overrides, embeds or isolates the direction of writing")]
    Direction,
    /// The name has too many combining marks in a row.
    #[error("has more than {COMBINING_MARKS_MAX} combining marks in a row")]
    Marks,
}

impl TryFrom<String> for DisplayName {
    type Error = InvalidProfile;

    fn try_from(name: String) -> Result<Self, InvalidProfile> {
        let name = nfc(&name).into_owned();
        let invalid = |why| Err(InvalidProfile::DisplayName(why));
        if !has_visible(&name) {
            invalid(InvalidName::Empty)
        } else if name.len() > DISPLAY_NAME_BYTES_MAX || name.graphemes(true).nth(DISPLAY_NAME_GRAPHEMES_MAX).is_some()
        {
            invalid(InvalidName::TooLong)
        } else if name.chars().any(|c| is_control(c) || is_separator(c)) {
            invalid(InvalidName::Control)
        } else if name.chars().any(changes_direction) {
            invalid(InvalidName::Direction)
        } else if longest_run_of_marks(&name) > COMBINING_MARKS_MAX {
            invalid(InvalidName::Marks)
        } else {
            Ok(Self(name))
        }
    }
}

impl DisplayName {
    /// The name as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AvatarUrl {
    type Error = InvalidProfile;

    fn try_from(url: String) -> Result<Self, InvalidProfile> {
        let url = Url::parse(&url).map_err(|_| InvalidProfile::AvatarUrl)?;
        let valid = url.scheme() == "https"
            && url.domain().is_some_and(is_host_name)
            && url.username().is_empty()
            && url.password().is_none()
            && url.port().is_none()
            && url.as_str().len() <= AVATAR_URL_BYTES_MAX;
        if valid { Ok(Self(url.into())) } else { Err(InvalidProfile::AvatarUrl) }
    }
}

/// Whether the domain of a URL is the name of a host (RFC 1123, 2.1). Browsers accept other characters, too, such as
/// quotation marks.
fn is_host_name(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.len() <= 253 && domain.split('.').all(is_label)
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
    /// Whether an administrator has suspended the user. Meanwhile, others see nothing by the user.
    #[serde(default)]
    pub suspended: bool,
    /// Version of the event that last changed the profile.
    pub version: Version,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Result<String, InvalidName> {
        match DisplayName::try_from(name.to_owned()) {
            Ok(DisplayName(name)) => Ok(name),
            Err(InvalidProfile::DisplayName(why)) => Err(why),
            Err(InvalidProfile::AvatarUrl) => unreachable!("not a URL"),
        }
    }

    #[test]
    fn display_names_have_bounds() {
        for good in ["Ada", &"é".repeat(50), "👩\u{200d}💻 Ada ❤\u{fe0f}", "हिन्दी", "עִבְרִית", "ཧཱུྃ"]
        {
            assert_eq!(name(good), Ok(nfc(good).into_owned()));
        }
        assert_eq!(name("Ade\u{301}"), Ok("Ad\u{e9}".to_owned()), "in NFC");
        for empty in ["", "  ", "\u{200b}", "\u{3164}", "\u{202e}"] {
            assert_eq!(name(empty), Err(InvalidName::Empty), "{empty:?}");
        }
        assert_eq!(name(&"é".repeat(51)), Err(InvalidName::TooLong));
        assert_eq!(name(&"👩\u{200d}💻".repeat(50)), Err(InvalidName::TooLong), "more than 500 bytes");
        for control in ["a\tb", "a\nb", "a\u{85}b", "a\u{2028}b", "a\u{2029}b"] {
            assert_eq!(name(control), Err(InvalidName::Control), "{control:?}");
        }
    }

    #[test]
    fn a_name_stays_in_its_line() {
        for direction in
            ['\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2069}']
        {
            assert_eq!(name(&format!("a{direction}b")), Err(InvalidName::Direction), "{direction:?}");
        }
        assert_eq!(name(&format!("a{}", "\u{20dd}\u{300}".repeat(3))), Err(InvalidName::Marks));
        for joiner in ['\u{200c}', '\u{200d}'] {
            assert_eq!(name(&format!("a{}", format!("\u{316}\u{300}{joiner}").repeat(4))), Err(InvalidName::Marks));
        }
        assert_eq!(name(&format!("a{}", "\u{316}".repeat(COMBINING_MARKS_MAX))).map(|_| ()), Ok(()));
    }

    #[test]
    fn avatar_urls_are_normalised() {
        let url = |url: &str| AvatarUrl::try_from(url.to_owned()).map(|AvatarUrl(url)| url);
        for (given, stored) in [
            ("https://example.org/a.png", "https://example.org/a.png"),
            ("HTTPS://Example.ORG:443/a/../b c?q=\"#f", "https://example.org/b%20c?q=%22#f"),
            ("https://例え.jp", "https://xn--r8jz45g.jp/"),
        ] {
            assert_eq!(url(given), Ok(stored.to_owned()));
        }
        for bad in [
            "",
            "a",
            "http://example.org",
            "https://",
            "javascript:alert(1)",
            "data:image/png;base64,AA==",
            "https://a b",
            "https://x\"onerror=alert(1)//",
            "https://user@example.org/",
            "https://u:p@example.org/",
            "https://example.org:8443/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://0x7f.1/",
            "https://a..b/",
            "https://a_b/",
            "https://-a.org/",
            "https://x'y.org",
            "https://x,y.org",
            "https://{x}.org",
            "//example.org/a",
        ] {
            assert_eq!(url(bad), Err(InvalidProfile::AvatarUrl), "{bad}");
        }
        assert_eq!(url(&format!("https://a/{}", "x".repeat(2048))), Err(InvalidProfile::AvatarUrl));
        assert_eq!(url(&format!("https://a/{}", "é".repeat(1000))), Err(InvalidProfile::AvatarUrl), "once normalised");
    }
}
