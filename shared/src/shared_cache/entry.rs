//! Entries: the bytes that stand in the server. The scripts read and change an entry's kind and token in place, so
//! these have fixed places, and are not part of the checksum.
//!
//! | bytes | content |
//! |---|---|
//! | 0 | `V`: a value; `R`: a value that a reader is refreshing |
//! | 1 to 16 | the token of whoever wrote it, or refreshes it |
//! | 17 to 36 | the version, padded, so that texts compare as numbers do |
//! | 37 to 49 | when the table had this value: milliseconds since the epoch |
//! | 50 to 65 | the checksum: the first eight bytes of a SHA-256 of key, version, moment and payload, in hex |
//! | from 66 on | the payload in JSON |
//!
//! Other contents are `L` with the token of a lease; `S`, a mark of a first reader; `F`, a fence: it was written a
//! moment ago; and `B`: nobody may fill this.

use std::{fmt, str, time::Duration};

use ring::digest;
use serde::Serialize;

use super::{ENTRY_BYTES_MAX, KEPT_MAX};
use crate::model::Timestamp;

/// Bytes of a token.
const TOKEN: usize = 16;
const VERSION_AT: usize = 1 + TOKEN;
const VERSION_DIGITS: usize = 20;
const MOMENT_AT: usize = VERSION_AT + VERSION_DIGITS;
const MOMENT_DIGITS: usize = 13;
const CHECKSUM_AT: usize = MOMENT_AT + MOMENT_DIGITS;
const CHECKSUM: usize = 16;
const PAYLOAD_AT: usize = CHECKSUM_AT + CHECKSUM;

/// How long a reader may take to fill an entry.
pub(super) const LEASE: Duration = Duration::from_secs(3);
/// How long it is remembered that somebody has read a value, or that nobody may fill it.
pub(super) const REMEMBERED: Duration = KEPT_MAX;
/// How long an eventually consistent read may be behind a write. DynamoDB says "within one second", as a rule
/// (Developer Guide, "Read consistency").
const REPLICATED: Duration = Duration::from_secs(5);
/// The time that a reader uses what it has found: it keeps cards for two seconds, and a lease for three.
const USED: Duration = Duration::from_secs(5);

/// A kind of entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Its name, as a part of keys.
    pub(crate) name: &'static str,
    /// Whether the first reader fills it. Otherwise the second one within a minute does.
    pub(crate) at_once: bool,
    /// Whether whoever fills it reads the table strongly consistently.
    pub(crate) reads_strongly: bool,
    /// For how long after a write whoever fills it reads strongly consistently in any case. Kinds that are always read
    /// so need no fence.
    pub(crate) fence: Option<Duration>,
    /// The age from which one reader refreshes it, while the others still use it.
    pub(crate) refreshed: Duration,
    /// The age from which nobody uses it.
    pub(crate) kept: Duration,
}

/// The card of a post. Most posts of a page are read by others, too, so the first reader fills it.
pub(crate) static CARD: Kind = Kind {
    name: "card",
    at_once: true,
    reads_strongly: false,
    fence: Some(REPLICATED),
    refreshed: Duration::from_secs(45),
    kept: KEPT_MAX.saturating_sub(USED),
};
/// A viewer item. Most viewers read seldom.
pub(crate) static VIEWER: Kind = Kind { name: "viewer", ..HOT };
/// The newest rows of a viewer's home.
pub(crate) static HOME: Kind = Kind { name: "home", ..HOT };
/// The newest rows of a celebrity. Announcements complete them, so no writer changes them, and a read may be behind.
pub(crate) static ROWS: Kind = Kind { name: "rows", at_once: true, reads_strongly: false, ..HOT };
/// The trending list, which may be two seconds old anyway.
pub(crate) static TRENDING: Kind = Kind {
    name: "trending",
    at_once: true,
    reads_strongly: false,
    fence: None,
    refreshed: Duration::from_secs(1),
    kept: Duration::from_secs(2),
};
/// What belongs to viewers who read often.
const HOT: Kind = Kind {
    name: "",
    at_once: false,
    reads_strongly: true,
    fence: None,
    refreshed: Duration::from_secs(45),
    kept: KEPT_MAX.saturating_sub(USED),
};

/// Tells who wrote or leased an entry.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token(String);

impl Token {
    /// A new one, which nobody else has.
    pub(super) fn new() -> Self {
        Self(format!("{:0TOKEN$x}", rand::random::<u64>()))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value in the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// When the table had it.
    pub(super) read_at: Timestamp,
    /// The value in JSON.
    pub(super) payload: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The entry of this key, if the content is one and its checksum is right.
    pub(super) fn parse(key: &str, content: &'a [u8]) -> Option<Self> {
        let (head, payload) = content.split_at_checked(PAYLOAD_AT)?;
        let is_value = matches!(head.first(), Some(b'V' | b'R'));
        let sealed = head.get(VERSION_AT..CHECKSUM_AT).filter(|_| is_value)?;
        let sum = head.get(CHECKSUM_AT..)?;
        let moment = str::from_utf8(head.get(MOMENT_AT..CHECKSUM_AT)?).ok()?;
        (sum == checksum(key, sealed, payload).as_bytes()).then_some(())?;
        Some(Self { read_at: Timestamp::from_ms(moment.parse().ok()?), payload })
    }

    /// Whether somebody should refresh it.
    pub(super) fn is_due(&self, now: Timestamp, kind: &Kind) -> bool {
        now.since(self.read_at) >= kind.refreshed
    }
}

/// The bytes of an entry. None if it is too large.
pub(super) fn render(key: &str, token: &Token, version: u64, at: Timestamp, value: &impl Serialize) -> Option<Vec<u8>> {
    let payload = serde_json::to_vec(value).ok()?;
    let sealed = format!("{version:0VERSION_DIGITS$}{:0MOMENT_DIGITS$}", at.as_ms());
    let sum = checksum(key, sealed.as_bytes(), &payload);
    let mut entry = format!("V{token}{sealed}{sum}").into_bytes();
    entry.extend(payload);
    (entry.len() <= ENTRY_BYTES_MAX).then_some(entry)
}

/// Whether somebody fills or refreshes this already, or nobody may. Who refreshes a value that is of no use to others
/// has given up.
pub(super) fn is_taken(content: &[u8], is_useful: bool) -> bool {
    match content.first() {
        Some(b'L' | b'B') => true,
        Some(b'R') => is_useful,
        _ => false,
    }
}

/// What stands where an entry has its token.
pub(super) fn seen_token(content: Option<&[u8]>) -> Vec<u8> {
    content.map(|content| content.iter().skip(1).take(TOKEN).copied().collect()).unwrap_or_default()
}

fn checksum(key: &str, sealed: &[u8], payload: &[u8]) -> String {
    let mut sum = digest::Context::new(&digest::SHA256);
    // No key contains a zero byte.
    for part in [key.as_bytes(), b"\0", sealed, payload] {
        sum.update(part);
    }
    let sum = sum.finish();
    hex::encode(sum.as_ref().split_at(CHECKSUM / 2).0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parsing_a_rendered_entry_is_the_identity(
            key in "[a-z:#]{1,20}", version: u64, ms in 0u64..1 << 42, text: String,
        ) {
            let at = Timestamp::from_ms(ms);
            let bytes = render(&key, &Token::new(), version, at, &text).unwrap();
            let entry = Entry::parse(&key, &bytes).unwrap();
            prop_assert_eq!(entry.read_at, at);
            prop_assert_eq!(serde_json::from_slice::<String>(entry.payload).unwrap(), text);
        }

        #[test]
        fn what_was_changed_anywhere_behind_the_token_is_no_entry(at in VERSION_AT..90, by in 1u8..=255) {
            let mut bytes = render("key", &Token::new(), 7, Timestamp::from_ms(7), &"a text of some length").unwrap();
            prop_assume!(at < bytes.len());
            bytes[at] ^= by;
            prop_assert_eq!(Entry::parse("key", &bytes), None);
        }

        #[test]
        fn no_garbage_is_an_entry(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Entry::parse("key", &bytes), None);
        }

        #[test]
        fn versions_compare_as_texts(a: u64, b: u64) {
            let rendered = |version| render("key", &Token::new(), version, Timestamp::from_ms(0), &1).unwrap();
            let version = |bytes: Vec<u8>| bytes[VERSION_AT..MOMENT_AT].to_vec();
            prop_assert_eq!(a.cmp(&b), version(rendered(a)).cmp(&version(rendered(b))));
        }
    }

    #[test]
    fn the_value_of_another_key_is_no_entry() {
        let bytes = render("key", &Token::new(), 7, Timestamp::from_ms(7), &1).unwrap();
        assert_eq!(Entry::parse("other", &bytes), None);
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let large = "x".repeat(ENTRY_BYTES_MAX);
        assert_eq!(render("key", &Token::new(), 7, Timestamp::from_ms(7), &large), None);
    }

    #[test]
    fn nothing_is_used_for_longer_than_a_minute_after_it_was_read() {
        for kind in [&CARD, &VIEWER, &HOME, &ROWS, &TRENDING] {
            assert!(kind.refreshed < kind.kept && kind.kept + USED <= KEPT_MAX, "{}", kind.name);
        }
    }
}
