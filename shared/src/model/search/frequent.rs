//! Frequent words. Every third post has some of them, so the posts of such a word are divided among several partitions
//! of the index: one takes 1000 writes a second, that is 500 posts, as transactions count twice. Which words are here
//! changes no result. A query reads the lists of such words only if it has no other ones.
//!
//! A change of the list or of the number of shards needs a rebuild of the index.

use super::words::Word;
use crate::model::PostId;

/// Shards of a frequent word.
const SHARDS: u8 = 8;

/// Function words of languages that many people write, as [`super::words()`] makes them. In the order of bytes.
const FREQUENT: [&str; 112] = [
    "a", "al", "all", "an", "and", "are", "as", "at", "auf", "be", "but", "by", "com", "con", "da", "das", "de", "del",
    "dem", "den", "der", "des", "di", "die", "do", "du", "e", "ein", "el", "en", "es", "est", "et", "for", "from",
    "ha", "has", "have", "he", "how", "http", "https", "i", "i'm", "ich", "il", "in", "is", "ist", "it", "it's",
    "just", "la", "las", "le", "les", "lo", "los", "me", "mit", "my", "n", "na", "new", "nicht", "no", "non", "not",
    "now", "o", "of", "on", "one", "or", "os", "our", "out", "para", "per", "por", "que", "s", "se", "she", "sie",
    "so", "su", "t", "that", "the", "they", "this", "to", "u", "um", "un", "una", "und", "up", "us", "von", "was",
    "we", "what", "will", "with", "y", "you", "your", "zu", "в", "и",
];

/// Whether the word is frequent.
pub(crate) fn is_frequent(word: &Word) -> bool {
    FREQUENT.binary_search(&word.as_str()).is_ok()
}

/// The number of shards of the posts with this word.
pub(super) fn shards(word: &Word) -> u8 {
    if is_frequent(word) { SHARDS } else { 1 }
}

/// The shard of a post with this word.
pub(super) fn shard_of(word: &Word, post: PostId) -> u8 {
    let [.., last] = post.short();
    last % shards(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::search::words;

    #[test]
    fn frequent_words_are_words_and_sorted() {
        assert!(FREQUENT.is_sorted_by(|a, b| a < b));
        for word in FREQUENT {
            assert_eq!(words(word), [Word::stored(word)]);
        }
    }
}
