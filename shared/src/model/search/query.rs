//! The language of searches. All words of a query have to be in a post. `"several words"` have to stand there one after
//! the other, `-word` must not be there, `#tag` is a tag of the post, and `from:@handle` names its author.

use std::collections::BTreeSet;

use super::words::{Word, words};
use crate::model::search::name_words;
use crate::model::{
    Handle, PublicProfile, Tag,
    limits::{QUERY_BYTES_MAX, QUERY_TERMS_MAX, QUERY_WORDS_MAX},
    tag::begins_tag,
};

/// A query for posts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PostQuery {
    /// What a post must have.
    pub wanted: Vec<Term>,
    /// What a post must not have.
    pub unwanted: Vec<Term>,
    /// Who must have written it.
    pub from: Option<Handle>,
    /// Who must not have written it.
    pub not_from: BTreeSet<Handle>,
}

/// A part of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// These words stand one after the other. A text without spaces, such as `rock-n-roll` or `東京都`, is such a term,
    /// too.
    Words(Vec<Word>),
    /// The post has this tag.
    Tag(Tag),
}

/// A query for users: each of its words begins a word of the user's handle or display name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameQuery(BTreeSet<Word>);

/// A query that cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuery {
    /// There is nothing to search for.
    #[error("q has no word to search for")]
    Missing,
    /// The query is too long.
    #[error("q has at most {QUERY_BYTES_MAX} bytes, {QUERY_TERMS_MAX} parts and {QUERY_WORDS_MAX} words")]
    TooLong,
    /// The query only says what posts must not have.
    #[error("q only says what posts must not have; add a word that they must have")]
    OnlyNegative,
    /// The query has an operator that does not exist.
    #[error("`{0}:` is no operator; put the text into quotation marks to search for it")]
    UnknownOperator(String),
    /// The query breaks another rule of the language.
    #[error("{0}")]
    Syntax(&'static str),
}

impl Term {
    /// Whether a post with these words and tags has it.
    fn is_in(&self, text: &[Word], tags: &[Tag]) -> bool {
        match self {
            Self::Words(words) => text.windows(words.len()).any(|part| part == words),
            Self::Tag(tag) => tags.contains(tag),
        }
    }
}

impl PostQuery {
    /// The query with this spelling.
    ///
    /// # Errors
    /// [`InvalidQuery`] if it cannot be answered.
    pub fn parse(text: &str) -> Result<Self, InvalidQuery> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(InvalidQuery::TooLong);
        }
        let mut query = Self::default();
        let mut rest = text.trim_start();
        let mut parts = 0;
        while !rest.is_empty() {
            parts += 1;
            if parts > QUERY_TERMS_MAX {
                return Err(InvalidQuery::TooLong);
            }
            rest = query.take_part(rest)?.trim_start();
        }
        let terms = query.wanted.iter().chain(&query.unwanted);
        if terms.map(Term::words).sum::<usize>() > QUERY_WORDS_MAX {
            return Err(InvalidQuery::TooLong);
        }
        match query.wanted.is_empty() && query.from.is_none() {
            false => Ok(query),
            true if query.unwanted.is_empty() && query.not_from.is_empty() => Err(InvalidQuery::Missing),
            true => Err(InvalidQuery::OnlyNegative),
        }
    }

    /// Takes the next part from the text. Returns what is behind it.
    fn take_part<'a>(&mut self, text: &'a str) -> Result<&'a str, InvalidQuery> {
        let (negated, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if let Some(phrase) = text.strip_prefix(is_quotation_mark) {
            let Some(end) = phrase.find(is_quotation_mark) else {
                return Err(InvalidQuery::Syntax("a quotation mark in q is not closed"));
            };
            self.add_words(negated, &phrase[..end]);
            return Ok(phrase[end..].strip_prefix(is_quotation_mark).unwrap_or_default());
        }
        let end = text.find(|c: char| c.is_whitespace() || is_quotation_mark(c)).unwrap_or(text.len());
        let (part, rest) = text.split_at(end);
        if let Some(Ok(tag)) = part.strip_prefix(begins_tag).map(str::parse) {
            self.terms(negated).push(Term::Tag(tag));
            return Ok(rest);
        }
        match operator(part) {
            Some(("from", handle)) => self.add_author(negated, handle)?,
            Some((name, _)) => return Err(InvalidQuery::UnknownOperator(name.to_owned())),
            None => self.add_words(negated, part),
        }
        Ok(rest)
    }

    fn terms(&mut self, negated: bool) -> &mut Vec<Term> {
        if negated { &mut self.unwanted } else { &mut self.wanted }
    }

    fn add_words(&mut self, negated: bool, text: &str) {
        let words = words(text);
        if !words.is_empty() {
            self.terms(negated).push(Term::Words(words));
        }
    }

    fn add_author(&mut self, negated: bool, handle: &str) -> Result<(), InvalidQuery> {
        let handle = Handle::look_up(handle.strip_prefix(['@', '＠']).unwrap_or(handle));
        let handle = handle.map_err(|_| InvalidQuery::Syntax("from: needs a handle, such as from:@ada"))?;
        if negated {
            self.not_from.insert(handle);
        } else if self.from.replace(handle.clone()).is_some_and(|before| before != handle) {
            return Err(InvalidQuery::Syntax("a post has one author, so from: stands once in q"));
        }
        Ok(())
    }

    /// Whether a post with this text and these tags has what is wanted, and nothing of what is not. Its author is
    /// another question.
    pub fn matches(&self, text: &str, tags: &[Tag]) -> bool {
        self.matches_words(&words(text), tags)
    }

    /// The same for the words of a text.
    pub fn matches_words(&self, text: &[Word], tags: &[Tag]) -> bool {
        let has = |term: &Term| term.is_in(text, tags);
        self.wanted.iter().all(has) && !self.unwanted.iter().any(has)
    }

    /// Whether posts of an index that has a list of posts for each word and tag match if they are in the list of the
    /// only word or tag that is wanted.
    pub fn is_one_list(&self) -> bool {
        let is_one = match self.wanted.as_slice() {
            [Term::Words(words)] => words.len() == 1 && self.from.is_none(),
            [Term::Tag(_)] => self.from.is_none(),
            [] => true,
            _ => false,
        };
        is_one && self.unwanted.is_empty() && self.not_from.is_empty()
    }
}

impl Term {
    fn words(&self) -> usize {
        match self {
            Self::Words(words) => words.len(),
            Self::Tag(_) => 1,
        }
    }
}

impl NameQuery {
    /// The query with this spelling. An `@` in front of a handle may be there.
    ///
    /// # Errors
    /// [`InvalidQuery`] if it cannot be answered.
    pub fn parse(text: &str) -> Result<Self, InvalidQuery> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(InvalidQuery::TooLong);
        }
        let words: BTreeSet<_> = words(text).into_iter().collect();
        match words.len() {
            0 => Err(InvalidQuery::Missing),
            1..=QUERY_TERMS_MAX => Ok(Self(words)),
            _ => Err(InvalidQuery::TooLong),
        }
    }

    /// Its longest word, by which the index is read.
    pub fn longest(&self) -> Option<&Word> {
        self.0.iter().max_by_key(|word| word.as_str().chars().count())
    }

    /// Whether it finds a user with this profile.
    pub fn matches(&self, profile: &PublicProfile) -> bool {
        let names = name_words(profile);
        self.0.iter().all(|word| names.iter().any(|name| name.as_str().starts_with(word.as_str())))
    }
}

fn is_quotation_mark(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„' | '«' | '»')
}

/// The name and the value of an operator. A URL is none.
fn operator(part: &str) -> Option<(&str, &str)> {
    let (name, value) = part.split_once(':')?;
    let is_name = !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
    (is_name && !value.is_empty() && !value.starts_with("//")).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<PostQuery, InvalidQuery> {
        PostQuery::parse(text)
    }

    fn matches(query: &str, text: &str) -> bool {
        let tags = crate::model::Text::try_from(text.to_owned()).unwrap().tags();
        parse(query).unwrap().matches(text, &tags)
    }

    proptest! {
        #[test]
        fn no_text_makes_parsing_panic_and_what_is_parsed_wants_something(text in "\\PC{0,60}") {
            if let Ok(query) = parse(&text) {
                prop_assert!(!query.wanted.is_empty() || query.from.is_some());
            }
            let _ = NameQuery::parse(&text);
        }

        #[test]
        fn a_text_has_its_own_words_and_phrases(text in "[a-zà-ü 東京都猫ぁ🎉]{1,40}") {
            let found = words(&text);
            prop_assume!(!found.is_empty() && found.len() <= QUERY_WORDS_MAX);
            let phrase = format!("\"{text}\"");
            prop_assert!(parse(&phrase).unwrap().matches(&text, &[]));
            let query = PostQuery {
                wanted: found.iter().map(|word| Term::Words(vec![word.clone()])).collect(),
                ..PostQuery::default()
            };
            prop_assert!(query.matches(&text, &[]));
            let unwanted = PostQuery { unwanted: query.wanted.clone(), ..query };
            prop_assert!(!unwanted.matches(&text, &[]));
        }
    }

    #[test]
    fn all_words_must_be_there_in_any_order() {
        assert!(matches("world HELLO", "Hello, world!"));
        assert!(!matches("hello there", "Hello, world!"));
        assert!(!matches("hell", "hello"), "no parts of words");
    }

    #[test]
    fn phrases_stand_together_and_text_without_spaces_is_one() {
        assert!(matches("\"the world\" hello", "hello to the world"));
        assert!(!matches("\"world the\"", "the world") && !matches("„to world“", "to the world"));
        assert!(matches("rock-n-roll", "Rock n roll!") && !matches("rock-n-roll", "roll n rock"));
        assert!(matches("京都", "東京都") && !matches("東京都", "京都と東京"));
    }

    #[test]
    fn words_tags_and_phrases_can_be_unwanted() {
        assert!(matches("hello -moon", "hello world") && !matches("hello -world", "hello world"));
        assert!(!matches("hello -\"big world\"", "hello big world"));
        assert!(matches("#rust", "I like #Rust") && !matches("#rust", "I like rust"));
        assert!(!matches("like -#rust", "I like #Rust") && matches("rust", "#rust"));
    }

    #[test]
    fn an_author_can_be_named() {
        let query = parse("hello from:@Ada -from:bob").unwrap();
        assert_eq!(
            (query.from, query.not_from),
            (Some("ada".parse().unwrap()), BTreeSet::from(["bob".parse().unwrap()]))
        );
        assert!(parse("from:ada").is_ok() && parse("from:ada from:@ADA").is_ok());
        assert!(matches!(parse("from:ada from:bob"), Err(InvalidQuery::Syntax(_))));
        assert!(matches!(parse("from:@!"), Err(InvalidQuery::Syntax(_))));
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        for missing in ["", " \n", "!!!", "\"\"", "\"…\"", "- _"] {
            assert_eq!(parse(missing), Err(InvalidQuery::Missing), "{missing:?}");
        }
        for negative in ["-a", "-\"a b\" -#c", "-from:ada", "!! -a"] {
            assert_eq!(parse(negative), Err(InvalidQuery::OnlyNegative), "{negative}");
        }
        for long in
            ["x".repeat(QUERY_BYTES_MAX + 1), "a ".repeat(QUERY_TERMS_MAX + 1), "猫".repeat(QUERY_WORDS_MAX + 2)]
        {
            assert_eq!(parse(&long), Err(InvalidQuery::TooLong), "{long}");
        }
        assert_eq!(parse("lang:en x"), Err(InvalidQuery::UnknownOperator("lang".to_owned())));
        assert!(matches!(parse("\"a b"), Err(InvalidQuery::Syntax(_))));
        for text in ["https://example.com", "12:30", "a:", ":b", "C++: x", "Note:this"] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn users_are_found_by_beginnings() {
        let profile = PublicProfile {
            handle: "countess".parse().unwrap(),
            display_name: "Ada Lovelace".to_owned().try_into().unwrap(),
            avatar_url: None,
        };
        let finds = |query: &str| NameQuery::parse(query).unwrap().matches(&profile);
        assert!(finds("ad") && finds("love ADA") && finds("@count") && finds("lovelace"));
        assert!(!finds("da") && !finds("ada x") && !finds("lovelaces"));
        assert_eq!(NameQuery::parse(" @ "), Err(InvalidQuery::Missing));
        assert_eq!(NameQuery::parse(&"a b c d e f g h i j k l m n o p q".repeat(20)), Err(InvalidQuery::TooLong));
    }
}
