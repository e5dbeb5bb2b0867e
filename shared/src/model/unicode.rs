//! Properties of characters, as the Unicode Character Database has them. Rules for texts name properties, not lists of
//! characters, so they hold for all scripts.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        BidiClass, DefaultIgnorableCodePoint, EmojiComponent, EmojiModifier, ExtendedPictographic, GeneralCategory,
        GeneralCategoryGroup, RegionalIndicator, Script, XidContinue,
    },
};

/// U+200D, which joins emoji to one.
const ZERO_WIDTH_JOINER: char = '\u{200d}';
/// U+200B, at which a line may break: it separates words of scripts without spaces.
const ZERO_WIDTH_SPACE: char = '\u{200b}';
/// U+2019, the apostrophe that text processors write.
const TYPOGRAPHIC_APOSTROPHE: char = '\u{2019}';
/// Characters of no script in particular that belong to Japanese words.
const COMMON_KANA: [char; 2] = ['\u{30fc}', '\u{3006}'];
/// The marks that make か voiced (が), and は semi-voiced (ぱ).
const VOICED_MARKS: [char; 2] = ['\u{3099}', '\u{309a}'];
/// Symbols without ink: a braille pattern without dots, and a note without a head. No property tells them from others.
const BLANKS: [char; 2] = ['\u{2800}', '\u{1d159}'];

/// The text in Normalization Form C. Texts that look alike have one spelling.
pub(super) fn nfc(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// Whether a character of the text is visible: a letter, number, punctuation mark or symbol that is not ignored in
/// rendering. Spaces, controls, joiners, variation selectors and combining marks need such a character beside them.
pub(super) fn has_visible(text: &str) -> bool {
    let shown = GeneralCategoryGroup::Letter
        .union(GeneralCategoryGroup::Number)
        .union(GeneralCategoryGroup::Punctuation)
        .union(GeneralCategoryGroup::Symbol);
    // The next version of Unicode may assign an emoji where this one has none.
    text.chars().any(|c| (is(c, shown) || is_pictograph(c)) && !is_ignorable(c) && !BLANKS.contains(&c))
}

/// Whether the character is a control character (category Cc).
pub(super) fn is_control(c: char) -> bool {
    is(c, GeneralCategoryGroup::Control)
}

/// Whether the character ends a line or a paragraph (categories Zl and Zp).
pub(super) fn is_separator(c: char) -> bool {
    is(c, GeneralCategoryGroup::LineSeparator.union(GeneralCategoryGroup::ParagraphSeparator))
}

/// Whether the character changes the direction of what follows: an override, embedding or isolate, or the end of one.
pub(super) fn changes_direction(c: char) -> bool {
    matches!(
        CodePointMapData::<BidiClass>::new().get(c),
        BidiClass::LeftToRightOverride
            | BidiClass::RightToLeftOverride
            | BidiClass::LeftToRightEmbedding
            | BidiClass::RightToLeftEmbedding
            | BidiClass::PopDirectionalFormat
            | BidiClass::LeftToRightIsolate
            | BidiClass::RightToLeftIsolate
            | BidiClass::FirstStrongIsolate
            | BidiClass::PopDirectionalIsolate
    )
}

/// The number of combining marks (categories Mn and Me) in the longest run of them. A joiner between two of them does
/// not end a run: all of them stand on one letter.
pub(super) fn longest_run_of_marks(text: &str) -> usize {
    let marks = GeneralCategoryGroup::NonspacingMark.union(GeneralCategoryGroup::EnclosingMark);
    let mut run = 0;
    let runs = text.chars().map(|c| {
        run = match is(c, marks) {
            true => run + 1,
            false if is_ignorable(c) => run,
            false => 0,
        };
        run
    });
    runs.max().unwrap_or_default()
}

/// Whether the character is punctuation.
pub(super) fn is_punctuation(c: char) -> bool {
    is(c, GeneralCategoryGroup::Punctuation)
}

/// Whether the character belongs to a word: it may continue an identifier (XID_Continue).
pub(super) fn is_word(c: char) -> bool {
    CodePointSetData::new::<XidContinue>().contains(c)
}

/// Whether the character may belong to an emoji, and is no punctuation mark.
pub(super) fn is_emoji_part(c: char) -> bool {
    (is_pictograph(c) || CodePointSetData::new::<EmojiComponent>().contains(c)) && !is_punctuation(c)
}

/// Whether a word of such characters is more than a number: the character is a letter or an emoji.
pub(super) fn is_letter_or_emoji(c: char) -> bool {
    is(c, GeneralCategoryGroup::Letter.union(GeneralCategoryGroup::LetterNumber))
        || is_pictograph(c)
        || CodePointSetData::new::<RegionalIndicator>().contains(c)
}

/// Whether a word with the character is worth searching for: the character is a letter, a number or an emoji.
pub(super) fn is_searched(c: char) -> bool {
    is(c, GeneralCategoryGroup::Letter.union(GeneralCategoryGroup::Number)) || is_letter_or_emoji(c)
}

/// Whether the character belongs to a script that puts no spaces between words, as a part of words: Han, Hiragana,
/// Katakana, Thai, Lao, Khmer and Myanmar. Digits of these scripts make numbers, which are words as in every script.
pub(super) fn is_unspaced(c: char) -> bool {
    let script = CodePointMapData::<Script>::new().get(c);
    let unspaced =
        [Script::Han, Script::Hiragana, Script::Katakana, Script::Thai, Script::Lao, Script::Khmer, Script::Myanmar];
    COMMON_KANA.contains(&c)
        || (unspaced.contains(&script) && is_word(c) && !is(c, GeneralCategoryGroup::DecimalNumber))
}

/// Whether the character is a diacritic that readers of its script leave out when they search: a combining mark of no
/// script in particular, or of one whose letters are complete without marks. Vowel signs of scripts such as Devanagari
/// and Thai are none, nor are the marks that tell か from が.
fn is_diacritic(c: char) -> bool {
    let script = CodePointMapData::<Script>::new().get(c);
    let without = [Script::Inherited, Script::Latin, Script::Greek, Script::Cyrillic, Script::Arabic, Script::Hebrew];
    is(c, GeneralCategoryGroup::NonspacingMark) && without.contains(&script) && !VOICED_MARKS.contains(&c)
}

/// The text as it is searched: [`caseless`], without diacritics. A zero-width space separates words. Both apostrophes
/// are one.
pub(super) fn searchable(text: &str) -> String {
    let apart = text.replace(ZERO_WIDTH_SPACE, " ");
    let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(&caseless(&apart)).into_owned();
    let bare: String = decomposed.chars().filter(|c| !is_diacritic(*c)).collect();
    ComposingNormalizerBorrowed::new_nfkc().normalize(&bare).replace(TYPOGRAPHIC_APOSTROPHE, "'")
}

/// Whether rendering ignores the character, if nothing supports it (Default_Ignorable_Code_Point).
pub(super) fn is_ignorable(c: char) -> bool {
    // No character of ASCII is one. This is asked of every character of every text that is shown.
    !c.is_ascii() && CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// The text as it is compared: NFKC_Casefold of Unicode, which combines NFKC with full case folding and leaves out
/// ignorable characters. Those that tell one emoji from another stay.
pub(super) fn caseless(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if !is_ignorable(c) || tells_emoji_apart(c, kept.chars().next_back(), rest.clone().next()) {
            kept.push(c);
        }
    }
    let once = |text: &str| {
        let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(text);
        let folded = CaseMapper::new().fold_string(&decomposed);
        ComposingNormalizerBorrowed::new_nfkc().normalize(&folded).into_owned()
    };
    // A compatibility character may have a capital letter in its decomposition.
    once(&once(&kept))
}

fn tells_emoji_apart(c: char, before: Option<char>, after: Option<char>) -> bool {
    let is_tag = |c: char| ('\u{e0020}'..='\u{e007f}').contains(&c);
    let ends_emoji = |c: char| is_pictograph(c) || CodePointSetData::new::<EmojiModifier>().contains(c);
    match c {
        ZERO_WIDTH_JOINER => before.is_some_and(ends_emoji) && after.is_some_and(is_pictograph),
        // Tags tell the flag of one region from that of another.
        _ => is_tag(c) && before.is_some_and(|before| ends_emoji(before) || is_tag(before)),
    }
}

fn is_pictograph(c: char) -> bool {
    CodePointSetData::new::<ExtendedPictographic>().contains(c)
}

fn is(c: char, group: GeneralCategoryGroup) -> bool {
    group.contains(CodePointMapData::<GeneralCategory>::new().get(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_character_of_ascii_is_ignorable() {
        let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
        assert!(('\0'..='\u{7f}').all(|c| !ignorable.contains(c)));
        assert!(is_ignorable('\u{ad}') && !is_ignorable('é'));
    }

    proptest! {
        #[test]
        fn what_is_caseless_stays_as_it_is(text in "\\PC{0,20}") {
            let once = caseless(&text);
            prop_assert_eq!(caseless(&once), once);
        }

        #[test]
        fn what_is_searchable_stays_as_it_is(text in "\\PC{0,20}") {
            let once = searchable(&text);
            prop_assert_eq!(searchable(&once), once);
        }
    }

    #[test]
    fn diacritics_do_not_matter_to_a_search_and_vowel_signs_do() {
        for (one, other) in [("Crème Brûlée", "creme brulee"), ("ΆΛΦΑ", "αλφα"), ("İstanbul", "istanbul")] {
            assert_eq!(searchable(one), searchable(other), "{one} and {other}");
        }
        assert_eq!(searchable("מָתוֹק مُحَمَّد don\u{2019}t"), "מתוק محمد don't");
        for (one, other) in [("か", "が"), ("कि", "कु"), ("กิน", "กัน"), ("ł", "l")] {
            assert_ne!(searchable(one), searchable(other), "{one} and {other}");
        }
        assert_eq!(searchable("ไป\u{200b}มา"), "ไป มา");
    }

    #[test]
    fn spellings_of_one_word_are_compared_alike() {
        for (one, other) in [
            ("STRASSE", "straße"),
            ("cafe\u{301}", "CAFÉ"),
            ("ﬁne", "FINE"),
            ("Ｒｕｓｔ", "rust"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("❤", "❤\u{fe0f}"),
            ("می\u{200c}خواهم", "میخواهم"),
        ] {
            assert_eq!(caseless(one), caseless(other), "{one} and {other}");
        }
    }

    #[test]
    fn emoji_that_differ_in_joiners_or_tags_differ() {
        assert_eq!(caseless("👩\u{200d}💻"), "👩\u{200d}💻");
        assert_eq!(caseless("👩🏽\u{200d}💻\u{200d}"), "👩🏽\u{200d}💻");
        let (england, scotland) = ("🏴\u{e0067}\u{e0062}\u{e0065}\u{e007f}", "🏴\u{e0067}\u{e0062}\u{e0073}\u{e007f}");
        assert_eq!((caseless(england), caseless(scotland)), (england.to_owned(), scotland.to_owned()));
        assert_eq!(caseless("a\u{200d}b\u{e0065}"), "ab");
    }

    #[test]
    fn only_ink_is_visible() {
        for text in ["a", "é", "日", "हि", "1", "!", "€", "👩\u{200d}💻", "❤\u{fe0f}", "🏽", "\u{1faff}", " a "]
        {
            assert!(has_visible(text), "{text:?}");
        }
        for text in
            ["", " ", "\u{200b}", "\u{2060}\n\u{3000}", "\u{3164}", "\u{115f}\u{ffa0}", "\u{2800}", "\u{301}", "\u{ad}"]
        {
            assert!(!has_visible(text), "{text:?}");
        }
        for text in ["\u{200e}", "\u{202e}", "\u{fe0f}", "\u{e0041}", "\u{fdd0}", "\u{180e}", "\u{2028}", "\u{34f}"] {
            assert!(!has_visible(text), "{text:?}");
        }
    }
}
