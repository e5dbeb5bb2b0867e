//! Tags, by which posts are found.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    limits::TAG_CHARS_MAX,
    unicode::{caseless, is_emoji_part, is_letter_or_emoji, is_word},
};

/// A tag without its `#`, as it is stored and compared: in NFKC with full case folding. What stands in a table is read
/// as it is, because earlier releases had other rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tag(String);

/// The text is not a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTag {
    /// The text is no hashtag identifier, or has neither a letter nor an emoji.
    #[error(
        "a tag has letters, digits, combining marks, emoji, `_`, `+`, and `-` between them, and at least one letter \
         or emoji"
    )]
    NoTag,
    /// The tag is too long.
    #[error("a tag has at most {TAG_CHARS_MAX} characters")]
    TooLong,
}

impl Tag {
    /// A tag that stands in a table.
    pub(crate) fn stored(tag: impl Into<String>) -> Self {
        Self(tag.into())
    }

    /// The tag without `#`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = InvalidTag;

    /// The tag with this spelling.
    fn from_str(spelling: &str) -> Result<Self, InvalidTag> {
        let tag = caseless(spelling);
        // Folding drops characters, such as a joiner behind `-`. What is left has to be a tag, too.
        let is_whole = |text: &str| spelling_len(text) == text.len();
        if !is_whole(spelling) || !is_whole(&tag) || !tag.chars().any(is_letter_or_emoji) {
            Err(InvalidTag::NoTag)
        } else if tag.chars().nth(TAG_CHARS_MAX).is_some() {
            Err(InvalidTag::TooLong)
        } else {
            Ok(Self(tag))
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the character begins a hashtag.
pub(super) fn begins_tag(c: char) -> bool {
    matches!(c, '#' | '﹟' | '＃')
}

/// The number of bytes at the beginning of the text that can be a tag without its `#`.
///
/// This is a profile of UAX31-R8-1 (UAX #31, "Extended Hashtag Identifiers"). It differs in three points: punctuation
/// marks that are parts of emoji, such as `*`, do not continue a tag; `-` only stands between other characters; and a
/// tag has at least one letter or emoji.
pub(super) fn spelling_len(text: &str) -> usize {
    let continues = |c: char| c == '+' || is_word(c) || is_emoji_part(c);
    let mut chars = text.char_indices().peekable();
    let mut end = 0;
    while let Some((at, c)) = chars.next() {
        let is_medial = c == '-' && end > 0 && chars.peek().is_some_and(|(_, next)| continues(*next));
        if !continues(c) && !is_medial {
            break;
        }
        end = at + c.len_utf8();
    }
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(spelling: &str) -> Result<String, InvalidTag> {
        spelling.parse().map(|tag: Tag| tag.to_string())
    }

    proptest! {
        #[test]
        fn a_tag_is_its_own_spelling(spelling in "\\PC{1,70}|[ab\u{200d}\u{200c}\u{ad}\u{fe0f}🎉-]{1,8}") {
            if let Ok(once) = tag(&spelling) {
                prop_assert_eq!(tag(&once), Ok(once));
            }
        }
    }

    #[test]
    fn a_look_up_compares_as_unicode_does() {
        for (spelling, expected) in [
            ("Rust", "rust"),
            ("हिन्दी", "हिन्दी"),
            ("cafe\u{301}", "café"),
            ("Straße", "strasse"),
            ("İstanbul", "i\u{307}stanbul"),
            ("日本語", "日本語"),
            ("ＡＢＣ", "abc"),
            ("covid-19", "covid-19"),
            ("C++", "c++"),
            ("a_1", "a_1"),
            ("1st", "1st"),
            ("🎉", "🎉"),
            ("🇩🇪", "🇩🇪"),
        ] {
            assert_eq!(tag(spelling), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for spelling in [
            "",
            "2024",
            "٢٠٢٤",
            "１２",
            "_",
            "+",
            "a b",
            "a-",
            "-a",
            "a--b",
            "a-\u{200d}",
            "\u{200d}-a",
            "a-\u{fe0f}-b",
            "a*",
            "a#b",
            "\u{301}",
            "1\u{fe0f}\u{20e3}",
        ] {
            assert_eq!(tag(spelling), Err(InvalidTag::NoTag), "{spelling:?}");
        }
        assert_eq!(tag(&"ß".repeat(32)), Ok("s".repeat(64)));
        assert_eq!(tag(&"ß".repeat(33)), Err(InvalidTag::TooLong), "the folded tag counts");
    }
}
