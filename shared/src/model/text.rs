//! The texts of posts and comments.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::{
    entity::Entities,
    limits::{COMMENT_BYTES_MAX, COMMENT_GRAPHEMES_MAX, POST_BYTES_MAX, POST_GRAPHEMES_MAX},
    tag::Tag,
    unicode::{has_visible, is_control, nfc},
};

/// A text of 1 to `GRAPHEMES_MAX` grapheme clusters and at most `BYTES_MAX` bytes of NFC, with something visible, and
/// without control characters except for line feeds. What stands in a table is read as it is, because earlier releases
/// had other rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BoundedText<const GRAPHEMES_MAX: usize, const BYTES_MAX: usize>(String);

/// The text of a post.
pub type Text = BoundedText<POST_GRAPHEMES_MAX, POST_BYTES_MAX>;
/// The text of a comment.
pub type CommentText = BoundedText<COMMENT_GRAPHEMES_MAX, COMMENT_BYTES_MAX>;

/// The text is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// The text is empty, or nothing of it is visible.
    #[error("the text has no visible character")]
    Empty,
    /// The text has a control character.
    #[error("the text has the control character U+{:04X}; only line feeds are allowed", u32::from(*found))]
    Control {
        /// The character.
        found: char,
    },
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
    /// The text as its author spelled it, in NFC.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tags, mentions and links in the text.
    pub fn entities(&self) -> Entities {
        Entities::of(&self.0)
    }
}

impl Text {
    /// The first five different tags, in their order.
    pub fn tags(&self) -> Vec<Tag> {
        self.entities().tags
    }
}

impl<const GRAPHEMES_MAX: usize, const BYTES_MAX: usize> TryFrom<String> for BoundedText<GRAPHEMES_MAX, BYTES_MAX> {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        let text = nfc(&text).into_owned();
        if !has_visible(&text) {
            Err(InvalidText::Empty)
        } else if let Some(found) = text.chars().find(|c| is_control(*c) && *c != '\n') {
            Err(InvalidText::Control { found })
        } else if text.len() > BYTES_MAX {
            Err(InvalidText::TooLarge { bytes_max: BYTES_MAX })
        } else if text.graphemes(true).nth(GRAPHEMES_MAX).is_some() {
            Err(InvalidText::TooLong { graphemes_max: GRAPHEMES_MAX })
        } else {
            Ok(Self(text))
        }
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
    fn a_text_has_something_visible_and_no_control_characters() {
        let text = |text: &str| Text::try_from(text.to_owned()).map(|text| text.as_str().to_owned());
        for invisible in ["\u{200b}", "\u{2800}", "\u{3164}\u{fe0f}", "\u{202e} \u{ad}"] {
            assert_eq!(text(invisible), Err(InvalidText::Empty), "{invisible:?}");
        }
        for found in ['\0', '\t', '\r', '\u{7f}', '\u{85}'] {
            assert_eq!(text(&format!("a{found}b")), Err(InvalidText::Control { found }));
        }
        let emoji = "👩\u{200d}👩\u{200d}👧 ❤\u{fe0f}\n🏴\u{e0067}\u{e007f} می\u{200c}خواهم";
        assert_eq!(text(emoji), Ok(emoji.to_owned()));
        let message = InvalidText::Control { found: '\u{7}' }.to_string();
        assert!(message.starts_with("the text has the control character U+0007;"), "{message}");
    }

    #[test]
    fn a_text_is_kept_in_nfc() {
        assert_eq!(Text::try_from("cafe\u{301} Ａ".to_owned()).unwrap().as_str(), "café Ａ");
    }

    #[test]
    fn stored_texts_are_read_whatever_rules_they_were_written_under() {
        let text: Text = serde_json::from_str(r#""a\tb""#).unwrap();
        assert_eq!(serde_json::to_string(&text).unwrap(), r#""a\tb""#);
    }

    #[test]
    fn a_comment_may_be_longer_than_a_post() {
        let text = |text: &str| CommentText::try_from(text.to_owned()).map(|_| ());
        assert_eq!(text(&"é".repeat(1000)), Ok(()));
        assert_eq!(text(&"é".repeat(1001)), Err(InvalidText::TooLong { graphemes_max: 1000 }));
    }
}
