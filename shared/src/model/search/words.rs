//! Words: what texts are searched for. A text is cut as Unicode's UAX #29 says, after [`searchable`] has made letters
//! small and removed diacritics. Scripts without spaces have no words that could be told without a dictionary: their
//! characters become overlapping pairs. Emoji are words.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::model::{
    PublicProfile,
    limits::{NAME_WORDS_MAX, WORD_CHARS_MAX, WORDS_MAX},
    unicode::{is_searched, is_unspaced, searchable},
};

/// A word as it is indexed and compared. It has at most [`WORD_CHARS_MAX`] characters; the rest of a longer one is cut
/// off.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Word(String);

impl Word {
    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The word with this text, which was made by [`words`].
    pub(crate) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// What is cut off may leave a sign that stands only between letters, such as an apostrophe.
    fn new(text: &str) -> Self {
        let Some((end, _)) = text.char_indices().nth(WORD_CHARS_MAX) else { return Self(text.to_owned()) };
        Self(text[..end].split_word_bounds().next().unwrap_or_default().to_owned())
    }

    /// The first characters of the word; none if it has fewer.
    pub fn prefix(&self, chars: usize) -> Option<&str> {
        match self.0.char_indices().nth(chars) {
            Some((end, _)) => Some(&self.0[..end]),
            None => Some(self.0.as_str()).filter(|word| word.chars().count() == chars),
        }
    }
}

/// The words of a text, in their order: the first [`WORDS_MAX`] of them. Further ones cannot be searched for.
pub fn words(text: &str) -> Vec<Word> {
    let text = searchable(text);
    let mut cut = Cut::default();
    for segment in text.split_word_bounds() {
        for grapheme in segment.graphemes(true) {
            cut.add(grapheme);
        }
        cut.end_of_word();
        if cut.found.len() >= WORDS_MAX {
            break;
        }
    }
    cut.end_of_run();
    cut.found.truncate(WORDS_MAX);
    cut.found
}

/// The words by which a user is found: that of the handle, and the first [`NAME_WORDS_MAX`] of the display name.
pub fn name_words(profile: &PublicProfile) -> BTreeSet<Word> {
    let name = words(profile.display_name.as_str()).into_iter().take(NAME_WORDS_MAX);
    words(profile.handle.as_str()).into_iter().chain(name).collect()
}

/// A text that is being cut.
#[derive(Debug, Default)]
struct Cut {
    found: Vec<Word>,
    /// The word under way.
    word: String,
    /// The run of characters of scripts without spaces that is under way.
    run: Vec<String>,
}

impl Cut {
    fn add(&mut self, grapheme: &str) {
        if grapheme.chars().next().is_some_and(is_unspaced) {
            self.end_of_word();
            self.run.push(grapheme.to_owned());
        } else {
            self.end_of_run();
            self.word.push_str(grapheme);
        }
    }

    /// A word that a run has cut may begin or end with a sign that stands only between letters, such as an apostrophe.
    fn end_of_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        let parts = word.split_word_bounds().filter(|part| part.chars().any(is_searched));
        self.found.extend(parts.map(Word::new));
    }

    /// Makes pairs of the run. A character that stands alone is a word.
    fn end_of_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        match run.as_slice() {
            [alone] => self.found.push(Word::new(alone)),
            run => self.found.extend(run.windows(2).map(|pair| Word::new(&pair.concat()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.0).collect()
    }

    #[test]
    fn no_word_begins_or_ends_with_a_sign_that_stands_between_letters() {
        assert_eq!(cut("\u{10eb0}'\u{16fe3}"), ["\u{10eb0}", "\u{16fe3}"]);
        assert_eq!(cut("\u{16fe3}'a"), ["\u{16fe3}", "a"]);
        let [long, longer] = [WORD_CHARS_MAX - 1, WORD_CHARS_MAX].map(|count| "a".repeat(count));
        assert_eq!(cut(&format!("{long}'b")), [long]);
        assert_eq!(cut(&format!("{longer}'b")), [longer.as_str()]);
    }

    proptest! {
        #[test]
        fn a_word_is_its_own_only_word(text in "\\PC{0,40}") {
            for word in words(&text) {
                // A sign of a script without spaces may stand at the end of a pair, and alone elsewhere.
                if !word.as_str().chars().any(is_unspaced) {
                    prop_assert_eq!(words(word.as_str()), vec![word]);
                }
            }
        }

        #[test]
        fn neither_case_nor_composition_changes_words(text in "\\PC{0,40}") {
            use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
            let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(&text).into_owned();
            prop_assert_eq!(words(&decomposed), words(&ComposingNormalizerBorrowed::new_nfc().normalize(&text)));
        }

        #[test]
        fn words_have_bounds(text in "[a-z ぁ-ん]{0,2000}") {
            let found = words(&text);
            prop_assert!(found.len() <= WORDS_MAX);
            prop_assert!(found.iter().all(|word| (1..=WORD_CHARS_MAX).contains(&word.as_str().chars().count())));
        }

        #[test]
        fn the_words_of_two_texts_are_those_of_both(one in "[a-zé0-9 .,!\u{1f600}]{0,40}", other in "[a-zé ]{0,40}") {
            let both = words(&format!("{one} {other}"));
            prop_assert_eq!(both, [words(&one), words(&other)].concat());
        }
    }

    #[test]
    fn a_text_is_cut_into_words() {
        for (text, expected) in [
            ("Hello, World!", vec!["hello", "world"]),
            ("don’t STOP", vec!["don't", "stop"]),
            ("Crème brûlée № 3.14", vec!["creme", "brulee", "no", "3.14"]),
            ("#Rust is_great @ada_1", vec!["rust", "is_great", "ada_1"]),
            ("https://example.com/a-b", vec!["https", "example.com", "a", "b"]),
            ("a\nb\u{3000}c", vec!["a", "b", "c"]),
            ("— … !!! _", vec![]),
            ("Привет мир", vec!["привет", "мир"]),
            ("हिन्दी भाषा", vec!["हिन्दी", "भाषा"]),
        ] {
            assert_eq!(cut(text), expected, "{text}");
        }
    }

    #[test]
    fn scripts_without_spaces_become_pairs() {
        for (text, expected) in [
            ("東京都", vec!["東京", "京都"]),
            ("猫", vec!["猫"]),
            ("私はRustが好き", vec!["私は", "rust", "が好", "好き"]),
            ("コーヒー。", vec!["コー", "ーヒ", "ヒー"]),
            ("ｺｰﾋｰ", vec!["コー", "ーヒ", "ヒー"]),
            ("ไป\u{200b}มา", vec!["ไป", "มา"]),
            ("ကခ", vec!["ကခ"]),
        ] {
            assert_eq!(cut(text), expected, "{text}");
        }
    }

    #[test]
    fn emoji_are_words() {
        assert_eq!(cut("nice🎉🎉 👩🏽\u{200d}💻 ❤\u{fe0f} 🇩🇪!"), ["nice", "🎉", "🎉", "👩🏽\u{200d}💻", "❤", "🇩🇪"]);
    }

    #[test]
    fn a_user_is_found_by_handle_and_name() {
        let profile = PublicProfile {
            handle: "ada_l".parse().unwrap(),
            display_name: "Ada  LOVELACE 🎩 ada".to_owned().try_into().unwrap(),
            avatar_url: None,
        };
        let found: Vec<_> = name_words(&profile).into_iter().map(|word| word.0).collect();
        assert_eq!(found, ["ada", "ada_l", "lovelace", "🎩"]);
    }

    #[test]
    fn a_prefix_has_so_many_characters_or_is_none() {
        let word = Word::new("straß");
        assert_eq!([1, 5, 6].map(|chars| word.prefix(chars)), [Some("s"), Some("straß"), None]);
    }
}
