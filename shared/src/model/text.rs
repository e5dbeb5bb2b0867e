//! The texts of posts and comments.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::{
    limits::{COMMENT_BYTES_MAX, COMMENT_GRAPHEMES_MAX, POST_BYTES_MAX, POST_GRAPHEMES_MAX},
    tag::{Tag, tags},
};

/// A text of 1 to `GRAPHEMES_MAX` grapheme clusters and at most `BYTES_MAX` bytes, which is not only white space. It is
/// kept exactly as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BoundedText<const GRAPHEMES_MAX: usize, const BYTES_MAX: usize>(String);

/// The text of a post.
pub type Text = BoundedText<POST_GRAPHEMES_MAX, POST_BYTES_MAX>;
/// The text of a comment.
pub type CommentText = BoundedText<COMMENT_GRAPHEMES_MAX, COMMENT_BYTES_MAX>;

/// The text is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// The text is empty, or only white space.
    #[error("the text is empty")]
    Empty,
    /// The text has too many grapheme clusters.
    #[error("the text is longer than {graphemes_max} characters")]
    TooLong {
        /// The limit.
        graphemes_max: usize,
    },
    /// The text has too many bytes.
    #[error("the text is larger than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
}

impl<const GRAPHEMES_MAX: usize, const BYTES_MAX: usize> BoundedText<GRAPHEMES_MAX, BYTES_MAX> {
    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Text {
    /// The first five different tags, in their order.
    pub fn tags(&self) -> Vec<Tag> {
        tags(&self.0)
    }
}

impl<const GRAPHEMES_MAX: usize, const BYTES_MAX: usize> TryFrom<String> for BoundedText<GRAPHEMES_MAX, BYTES_MAX> {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        if text.trim().is_empty() {
            Err(InvalidText::Empty)
        } else if text.len() > BYTES_MAX {
            Err(InvalidText::TooLarge { bytes_max: BYTES_MAX })
        } else if text.graphemes(true).nth(GRAPHEMES_MAX).is_some() {
            Err(InvalidText::TooLong { graphemes_max: GRAPHEMES_MAX })
        } else {
            Ok(Self(text))
        }
    }
}

impl<const GRAPHEMES_MAX: usize, const BYTES_MAX: usize> From<BoundedText<GRAPHEMES_MAX, BYTES_MAX>> for String {
    fn from(text: BoundedText<GRAPHEMES_MAX, BYTES_MAX>) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_bounds() {
        let text = |text: &str| Text::try_from(text.to_owned()).map(|_| ());
        assert_eq!(text(""), Err(InvalidText::Empty));
        assert_eq!(text(" \n\u{3000}"), Err(InvalidText::Empty));
        assert_eq!(text(&"é".repeat(300)), Ok(()));
        assert_eq!(text(&"é".repeat(301)), Err(InvalidText::TooLong { graphemes_max: 300 }));
        assert_eq!(text(&"e\u{301}".repeat(300)), Ok(()), "two characters, one grapheme cluster");
        assert_eq!(text(&format!("e{}", "\u{301}".repeat(2000))), Err(InvalidText::TooLarge { bytes_max: 3000 }));
    }

    #[test]
    fn a_comment_may_be_longer_than_a_post() {
        let text = |text: &str| CommentText::try_from(text.to_owned()).map(|_| ());
        assert_eq!(text(&"é".repeat(1000)), Ok(()));
        assert_eq!(text(&"é".repeat(1001)), Err(InvalidText::TooLong { graphemes_max: 1000 }));
    }
}
