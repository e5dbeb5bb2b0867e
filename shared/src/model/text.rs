//! What a post says, and the tags in it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::limits::{POST_BYTES_MAX, POST_GRAPHEMES_MAX, TAG_CHARS_MAX, TAGS_PER_POST_MAX};

/// The text of a post: 1–300 grapheme clusters, at most 3000 bytes, not only white space. Kept exactly as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text(String);

/// The text cannot be posted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// There is nothing to read.
    #[error("the text is empty")]
    Empty,
    /// Too many grapheme clusters.
    #[error("the text is longer than {POST_GRAPHEMES_MAX} characters")]
    TooLong,
    /// Too many bytes for its characters.
    #[error("the text is larger than {POST_BYTES_MAX} bytes")]
    TooLarge,
}

impl Text {
    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first five different tags, in their order: a `#` that does not follow a letter, digit or underscore, then
    /// letters, digits and underscores of any script, in lower case.
    pub fn tags(&self) -> Vec<Tag> {
        let mut tags = Vec::new();
        let mut before = None;
        let mut rest = self.0.as_str();
        while let Some(at) = rest.find('#') {
            before = rest[..at].chars().next_back().or(before);
            let after = &rest[at + 1..];
            let end = after.find(|c| !is_tag_char(c)).unwrap_or(after.len());
            if !before.is_some_and(is_tag_char)
                && let Ok(tag) = after[..end].parse()
                && !tags.contains(&tag)
            {
                tags.push(tag);
            }
            before = after[..end].chars().next_back().or(Some('#'));
            rest = &after[end..];
        }
        tags.truncate(TAGS_PER_POST_MAX);
        tags
    }
}

impl TryFrom<String> for Text {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        if text.trim().is_empty() {
            Err(InvalidText::Empty)
        } else if text.len() > POST_BYTES_MAX {
            Err(InvalidText::TooLarge)
        } else if text.graphemes(true).nth(POST_GRAPHEMES_MAX).is_some() {
            Err(InvalidText::TooLong)
        } else {
            Ok(Self(text))
        }
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

/// A tag without its `#`: 1–64 letters, digits and underscores, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// The text is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tag has 1 to {TAG_CHARS_MAX} letters, digits and underscores")]
pub struct InvalidTag;

fn is_tag_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl Tag {
    /// The tag without `#`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(tag: &str) -> Result<Self, InvalidTag> {
        let tag = tag.to_lowercase();
        if (1..=TAG_CHARS_MAX).contains(&tag.chars().count()) && tag.chars().all(is_tag_char) {
            Ok(Self(tag))
        } else {
            Err(InvalidTag)
        }
    }
}

impl TryFrom<String> for Tag {
    type Error = InvalidTag;

    fn try_from(tag: String) -> Result<Self, InvalidTag> {
        tag.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Vec<String> {
        Text::try_from(text.to_owned()).unwrap().tags().into_iter().map(String::from).collect()
    }

    #[test]
    fn text_has_bounds() {
        let text = |text: &str| Text::try_from(text.to_owned()).map(|_| ());
        assert_eq!(text(""), Err(InvalidText::Empty));
        assert_eq!(text(" \n\u{3000}"), Err(InvalidText::Empty));
        assert_eq!(text(&"é".repeat(300)), Ok(()));
        assert_eq!(text(&"é".repeat(301)), Err(InvalidText::TooLong));
        assert_eq!(text(&"e\u{301}".repeat(300)), Ok(()), "two characters, one grapheme cluster");
        assert_eq!(text(&format!("e{}", "\u{301}".repeat(2000))), Err(InvalidText::TooLarge));
    }

    #[test]
    fn tags_are_found_in_their_order_and_folded() {
        assert_eq!(tags("#Rust is #fun, #rust! #日本語 #a_1"), ["rust", "fun", "日本語", "a_1"]);
    }

    #[test]
    fn only_the_first_five_tags_count() {
        assert_eq!(tags("#a #b #c #d #e #f"), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn what_only_looks_like_a_tag_is_none() {
        assert_eq!(tags("a#b # ## #- c_#d"), Vec::<String>::new());
        assert_eq!(tags(&format!("#{}", "x".repeat(65))), Vec::<String>::new());
    }

    #[test]
    fn a_tag_may_follow_any_mark() {
        assert_eq!(tags("(#a)#b .#c ##d"), ["a", "b", "c", "d"]);
        assert_eq!(tags("#a#b"), ["a"], "what follows a letter is no tag");
    }
}
