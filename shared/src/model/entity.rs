//! Entities: the tags, mentions and links in a text. They follow from the text and are found when the text is shown. So
//! nothing has to be stored, changed or deleted with it. Links are not fetched.

use std::ops::Range;

use linkify::{LinkFinder, LinkKind};
use serde::Serialize;
use url::Url;

use super::{
    Handle,
    limits::{HANDLE_CHARS, TAGS_PER_POST_MAX},
    tag::{InvalidTag, Tag, begins_tag, spelling_len},
    unicode::{is_ignorable, is_punctuation, is_word},
};

/// A part of a text that means something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entity {
    /// Number of code points before the part.
    pub start: usize,
    /// Number of code points before the end of the part.
    pub end: usize,
    /// What the part means.
    #[serde(flatten)]
    pub meaning: Meaning,
}

/// What a part of a text means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Meaning {
    /// A tag, by which the post is found.
    Tag {
        /// The tag as it is looked up.
        tag: Tag,
    },
    /// A mention of the user with this handle, if there is one.
    Mention {
        /// The handle in lower case.
        handle: Handle,
    },
    /// A link.
    Link {
        /// The normalised URL, with the scheme `http` or `https`.
        url: String,
    },
}

/// A tag that the post is not found by, because a limit is exceeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IgnoredTag {
    /// Number of code points before the tag and its `#`.
    pub start: usize,
    /// Number of code points before the end of the tag.
    pub end: usize,
    /// The tag as it is written, without its `#`.
    pub tag: String,
    /// Which limit is exceeded.
    pub reason: IgnoredBecause,
}

/// Which limit a tag exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IgnoredBecause {
    /// The tag is too long.
    TooLong,
    /// The text has as many other tags as a post may have.
    TooMany,
}

/// All entities of a text, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entities {
    /// Tags, mentions and links.
    pub entities: Vec<Entity>,
    /// The different tags among them.
    pub tags: Vec<Tag>,
    /// Tags beyond a limit.
    pub ignored_tags: Vec<IgnoredTag>,
}

impl Entities {
    /// Finds the entities of a text.
    pub(super) fn of(text: &str) -> Self {
        let mut found = Self::default();
        let mut urls = urls(text).into_iter().peekable();
        // The character before, without those that nobody sees.
        let mut before = None;
        let (mut at, mut code_points) = (0, 0);
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at + c.len_utf8()..];
            // A tag or a mention before it may have taken its beginning, or all of it. The rest is no entity then.
            let url = urls.next_if(|url| url.start <= at);
            let part = match &url {
                Some(url) => &text[at..url.end.max(at)],
                None if begins_tag(c) && !before.is_some_and(is_word) => {
                    &text[at..][..c.len_utf8() + spelling_len(rest)]
                }
                None if matches!(c, '@' | '＠') => &text[at..][..c.len_utf8() + mention_len(before, rest)],
                None => &text[at..][..c.len_utf8()],
            };
            let (start, end) = (code_points, code_points + part.chars().count());
            if let Some(url) = url {
                let is_whole = url.start == at;
                found.entities.extend(link(part).filter(|_| is_whole).map(|meaning| Entity { start, end, meaning }));
            } else if let Some(word) = part.strip_prefix(begins_tag).filter(|word| !word.is_empty()) {
                found.add_tag(start, end, word);
            } else if let Some(Ok(handle)) = part.strip_prefix(['@', '＠']).map(Handle::look_up) {
                found.entities.push(Entity { start, end, meaning: Meaning::Mention { handle } });
            }
            before = part.chars().rev().find(|c| !is_ignorable(*c)).or(before);
            (at, code_points) = (at + part.len(), end);
        }
        found
    }

    fn add_tag(&mut self, start: usize, end: usize, word: &str) {
        let reason = match word.parse() {
            Ok(tag) if self.tags.contains(&tag) || self.tags.len() < TAGS_PER_POST_MAX => {
                if !self.tags.contains(&tag) {
                    self.tags.push(tag.clone());
                }
                self.entities.push(Entity { start, end, meaning: Meaning::Tag { tag } });
                return;
            }
            Ok(_) => IgnoredBecause::TooMany,
            Err(InvalidTag::TooLong) => IgnoredBecause::TooLong,
            Err(InvalidTag::NoTag) => return,
        };
        self.ignored_tags.push(IgnoredTag { start, end, tag: word.to_owned(), reason });
    }
}

/// The number of bytes of the handle that is mentioned behind an `@`. 0 if the `@` belongs to an address, or if the
/// text there is no handle.
fn mention_len(before: Option<char>, rest: &str) -> usize {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let is_part_of_address = |c: char| is_word(c) || matches!(c, '@' | '＠');
    let is_apart = !before.is_some_and(is_part_of_address) && !rest[end..].starts_with(is_part_of_address);
    if is_apart && HANDLE_CHARS.contains(&end) { end } else { 0 }
}

/// Where URLs and addresses are. Nothing inside of them is a tag or a mention.
fn urls(text: &str) -> Vec<Range<usize>> {
    let mut finder = LinkFinder::new();
    // A URL without its scheme is no link here, but what follows its `#` is no tag either.
    finder.url_must_have_scheme(false);
    let found = finder.links(text).filter_map(|link| {
        let shown = link.as_str();
        // A domain without a path has no `#` in it. Any two words with a full stop between them look like one.
        if *link.kind() == LinkKind::Url && !shown.contains('/') {
            return None;
        }
        let shown = shown.split(char::is_whitespace).next().unwrap_or_default();
        let shown = shown.trim_end_matches(|c: char| !c.is_ascii() && is_punctuation(c));
        Some(link.start()..link.start() + shown.len()).filter(|range| !range.is_empty())
    });
    found.collect()
}

fn link(shown: &str) -> Option<Meaning> {
    let (scheme, _) = shown.split_once("://")?;
    let is_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    let url = Url::parse(shown).ok().filter(|_| is_web)?;
    Some(Meaning::Link { url: url.into() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tags(text: &str) -> Vec<String> {
        Entities::of(text).tags.iter().map(Tag::to_string).collect()
    }

    /// The parts that are entities, each with its kind and its meaning.
    fn entities(text: &str) -> Vec<String> {
        let part = |Entity { start, end, meaning }| {
            let part: String = text.chars().skip(start).take(end - start).collect();
            match meaning {
                Meaning::Tag { tag } => format!("{part} = tag {tag}"),
                Meaning::Mention { handle } => format!("{part} = mention {handle}"),
                Meaning::Link { url } => format!("{part} = link {url}"),
            }
        };
        Entities::of(text).entities.into_iter().map(part).collect()
    }

    proptest! {
        #[test]
        fn entities_stand_in_order_within_the_text(text in "([#@a -]|\\PC|https://|x\\.org/){0,30}") {
            let found = Entities::of(&text);
            let mut last = 0;
            for Entity { start, end, .. } in found.entities {
                prop_assert!(last <= start && start < end && end <= text.chars().count());
                last = end;
            }
        }
    }

    #[test]
    fn tags_are_found_in_every_script_in_their_order() {
        assert_eq!(tags("#Rust is #fun, #rust! #日本語 #a_1"), ["rust", "fun", "日本語", "a_1"]);
        assert_eq!(tags("#हिन्दी #cafe\u{301} #Straße ＃ﾀｸﾞ"), ["हिन्दी", "café", "strasse", "タグ"]);
        assert_eq!(tags("#covid-19, #c++ #🎉 🎉#party ❤\u{fe0f}#love"), ["covid-19", "c++", "🎉", "party", "love"]);
        assert_eq!(tags("(#a)#b .#c ##d *#e*"), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn the_spelling_is_kept_for_display() {
        assert_eq!(entities("ich mag #Straßen"), ["#Straßen = tag strassen"]);
    }

    #[test]
    fn what_only_looks_like_a_tag_is_not_one() {
        assert_eq!(tags("a#b # ## #- c_#d é#e e\u{301}#f #2024 #٢٠ #_ हिन्दी#g #a#h"), ["a"]);
        let urls = "http://x/#frag https://example.org/a?b#c example.org/#d www.example.org/e/#f ftp://x/#g";
        assert_eq!(tags(urls), [""; 0]);
        assert_eq!(tags("https://例え.jp/#タグ HTTPS://EXAMPLE.ORG/#i"), [""; 0]);
    }

    #[test]
    fn a_url_whose_beginning_is_a_tag_or_a_mention_hides_only_its_own_rest() {
        assert_eq!(
            entities("#https://a.org/#x https://b.org/#y #end"),
            ["#https = tag https", "https://b.org/#y = link https://b.org/#y", "#end = tag end"]
        );
        assert_eq!(
            entities("#a.org/@ada https://b.org/@bob"),
            ["#a = tag a", "https://b.org/@bob = link https://b.org/@bob"]
        );
    }

    #[test]
    fn a_tag_behind_a_url_is_one() {
        assert_eq!(
            tags("https://example.org/\u{3000}#a (https://example.org/#b)#c end.Next #d Yes.no?#e"),
            ["a", "c", "d", "e"]
        );
    }

    #[test]
    fn tags_beyond_a_limit_are_reported() {
        let found = Entities::of("#a #b #c #d #e #F #a");
        assert_eq!(found.tags.len(), 5);
        let reason = IgnoredBecause::TooMany;
        assert_eq!(found.ignored_tags, [IgnoredTag { start: 15, end: 17, tag: "F".to_owned(), reason }]);
        assert_eq!(found.entities.len(), 6, "a tag may stand there twice");
        let found = Entities::of(&format!("é #{}", "x".repeat(65)));
        let (tag, reason) = ("x".repeat(65), IgnoredBecause::TooLong);
        assert_eq!(found.ignored_tags, [IgnoredTag { start: 2, end: 68, tag, reason }]);
        assert_eq!(found.entities, []);
    }

    #[test]
    fn mentions_are_handles_in_any_case() {
        assert_eq!(
            entities("😀 @Ada, (@bob_1)! @日本 @ab @cyd-"),
            ["@Ada = mention ada", "@bob_1 = mention bob_1", "@cyd = mention cyd"]
        );
        assert_eq!(entities("＠ada"), ["＠ada = mention ada"]);
    }

    #[test]
    fn addresses_are_no_mentions() {
        let text = "ada@example.org @ada@example.org a@bob é@bob https://x.org/@ada x.org/@ada @adaé @@ada ";
        let links: Vec<_> = entities(text).into_iter().filter(|entity| !entity.contains("= link")).collect();
        assert_eq!(links, [""; 0]);
        assert_eq!(entities(&format!("@{}", "x".repeat(31))), [""; 0]);
    }

    #[test]
    fn links_are_web_addresses_without_the_punctuation_around_them() {
        assert_eq!(
            entities("See (HTTPS://Example.org/a_(b)), or http://例え.jp/。"),
            [
                "HTTPS://Example.org/a_(b) = link https://example.org/a_(b)",
                "http://例え.jp/ = link http://xn--r8jz45g.jp/",
            ]
        );
        assert_eq!(entities("example.org ftp://example.org/ javascript://x/%0aalert(1) https://"), [""; 0]);
    }

    #[test]
    fn ranges_count_code_points() {
        let found = Entities::of("😀é #a");
        assert_eq!((found.entities[0].start, found.entities[0].end), (3, 5));
    }
}
