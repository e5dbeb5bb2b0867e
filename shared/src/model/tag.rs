//! Tags, by which posts are found.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::limits::{TAG_CHARS_MAX, TAGS_PER_POST_MAX};

/// A tag without its `#`: 1–64 letters, digits and underscores in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// The text is not a tag.
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
        if !tag.chars().all(is_tag_char) {
            return Err(InvalidTag);
        }
        // The lower case of a letter may contain a combining mark, which is not a letter. That of `İ` does.
        let folded: String = tag.chars().flat_map(char::to_lowercase).filter(|c| is_tag_char(*c)).collect();
        if (1..=TAG_CHARS_MAX).contains(&folded.chars().count()) { Ok(Self(folded)) } else { Err(InvalidTag) }
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

/// The first five different tags of a text, in their order. A tag is a `#` that does not follow a letter, digit or
/// underscore, and then letters, digits and underscores of any script. It is converted to lower case.
pub(super) fn tags(text: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut before = None;
    let mut rest = text;
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

#[cfg(test)]
mod tests {
    fn tags(text: &str) -> Vec<String> {
        super::tags(text).into_iter().map(String::from).collect()
    }

    #[test]
    fn tags_are_found_in_their_order_and_folded() {
        assert_eq!(tags("#Rust is #fun, #rust! #日本語 #a_1"), ["rust", "fun", "日本語", "a_1"]);
        assert_eq!(tags("#İstanbul"), ["istanbul"]);
    }

    #[test]
    fn only_the_first_five_tags_count() {
        assert_eq!(tags("#a #b #c #d #e #f"), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn text_that_only_looks_like_a_tag_is_not_one() {
        assert_eq!(tags("a#b # ## #- c_#d"), Vec::<String>::new());
        assert_eq!(tags(&format!("#{}", "x".repeat(65))), Vec::<String>::new());
    }

    #[test]
    fn a_tag_may_follow_any_punctuation() {
        assert_eq!(tags("(#a)#b .#c ##d"), ["a", "b", "c", "d"]);
        assert_eq!(tags("#a#b"), ["a"], "a `#` behind a letter does not begin a tag");
    }
}
