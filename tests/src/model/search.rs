//! What searches must find.

use std::collections::BTreeSet;

use super::{Difference, Judge, judge::differences, tags};
use crate::client::{Person, Post};

/// A search for posts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// Parts of texts that a post must have, as words one after the other.
    pub phrases: Vec<String>,
    /// A part that it must not have.
    pub without: Option<String>,
    /// A tag that it must have.
    pub tag: Option<String>,
    /// The handle of its author.
    pub from: Option<String>,
}

impl Search {
    /// The query, as it is sent.
    pub fn spelling(&self) -> String {
        let phrases = self.phrases.iter().map(|phrase| match phrase.chars().all(|c| c.is_ascii_alphanumeric()) {
            true => phrase.clone(),
            false => format!("\"{phrase}\""),
        });
        let without = self.without.iter().map(|phrase| format!("-\"{phrase}\""));
        let tag = self.tag.iter().map(|tag| format!("#{tag}"));
        let from = self.from.iter().map(|handle| format!("from:@{handle}"));
        phrases.chain(without).chain(tag).chain(from).collect::<Vec<_>>().join(" ")
    }

    fn finds(&self, text: &str) -> bool {
        let said = words(text);
        let has = |phrase: &String| {
            let phrase = words(phrase);
            said.windows(phrase.len().max(1)).any(|part| part == phrase)
        };
        self.phrases.iter().all(has)
            && !self.without.iter().any(has)
            && self.tag.iter().all(|tag| tags(text).contains(tag))
    }
}

impl Judge<'_> {
    /// Compares everything that the viewer finds, newest first.
    pub fn compare_search(&self, viewer: &str, search: &Search, shown: &[Post]) -> Vec<Difference> {
        let place = format!("search for {}", search.spelling());
        differences(viewer, &place, &self.found(viewer, search), shown, true)
    }

    /// Compares everything that the viewer finds by a word, for texts that [`words`] may cut otherwise than the system.
    /// A post in which the word stands between spaces has to be found, and one of ASCII letters that does not have it
    /// must not.
    pub fn compare_word(&self, viewer: &str, word: &str, shown: &[Post]) -> Vec<Difference> {
        let of = |is_in: &dyn Fn(&str) -> bool| -> BTreeSet<&str> {
            let visible = self.posts.iter().filter(|(id, (author, said))| {
                !self.hides(viewer, author) && self.is_shown(viewer, id) && is_in(&said.text.to_lowercase())
            });
            visible.map(|(id, _)| *id).collect()
        };
        let (must, may) = (
            of(&|text| text.split_whitespace().any(|part| part == word)),
            of(&|text| !text.is_ascii() || text.contains(word)),
        );
        let found: BTreeSet<&str> = shown.iter().map(|post| post.id.as_str()).collect();
        let (missing, wrong): (Vec<_>, Vec<_>) = (must.difference(&found).collect(), found.difference(&may).collect());
        let is_sorted = shown.is_sorted_by(|newer, older| newer.id > older.id);
        let problem = format!("missing are {missing:?}, wrong are {wrong:?}, sorted: {is_sorted}");
        let is_right = missing.is_empty() && wrong.is_empty() && is_sorted;
        let place = format!("search for {word}");
        (!is_right).then(|| Difference { viewer: viewer.to_owned(), place, problem }).into_iter().collect()
    }

    /// The posts that the viewer finds, newest first. Who names an author looks that author up, muted or not.
    pub fn found(&self, viewer: &str, search: &Search) -> Vec<Post> {
        let is_of = |author: &str, handle: &String| {
            let profile = self.model.members.get(author).and_then(|member| member.profile.as_ref());
            profile.is_some_and(|profile| profile.handle == *handle)
        };
        let hides = |author: &str| match search.from {
            Some(_) => self.has_block(viewer, author),
            None => self.hides(viewer, author),
        };
        let all = self.posts.iter().rev();
        all.filter(|(id, (author, said))| {
            let by_author = search.from.iter().all(|handle| is_of(author, handle));
            by_author && !hides(author) && self.is_shown(viewer, id) && search.finds(&said.text)
        })
        .filter_map(|(id, _)| self.post(viewer, id))
        .collect()
    }

    /// Compares all users whom the viewer finds by the beginning of a word. `counts`: whether the model knows all
    /// followers, so that the order can be compared, too.
    pub fn compare_people(&self, viewer: &str, beginning: &str, shown: &[Person], counts: bool) -> Vec<Difference> {
        let begins = |text: &str| words(text).iter().any(|word| word.starts_with(beginning));
        let is_found = |id: &&String| {
            let profile = self.model.members.get(*id).and_then(|member| member.profile.as_ref());
            profile.is_some_and(|it| begins(&it.handle) || begins(&it.display_name))
                && !self.has_block(viewer, id)
                && self.shows_user(viewer, id)
        };
        let expected = self.model.members.keys().filter(is_found).filter_map(|id| self.person(id));
        let mut expected: Vec<_> = expected.collect();
        let ranks: Vec<_> = shown.iter().map(|person| self.rank(&person.id)).collect();
        let mut found = shown.to_vec();
        for people in [&mut expected, &mut found] {
            people.sort_by(|a, b| a.id.cmp(&b.id));
        }
        let is_sorted = !counts || ranks.is_sorted_by(|a, b| a >= b);
        let place = format!("search for users {beginning}");
        let problem = format!("expected {expected:?}, got {shown:?} with the ranks {ranks:?}");
        let is_right = is_sorted && expected == found;
        (!is_right).then(|| Difference { viewer: viewer.to_owned(), place, problem }).into_iter().collect()
    }

    /// Two for each doubling of the followers.
    fn rank(&self, user: &str) -> u32 {
        let followers = self.model.members.values().filter(|member| member.follows.contains(user)).count() as u64 + 1;
        (0..u64::BITS).take_while(|rank| followers.pow(2) >= 1 << rank).last().unwrap_or_default()
    }
}

/// The words of a text of letters, digits, spaces and ASCII punctuation without apostrophes, `é` and Japanese letters.
/// Of the latter, each two that stand together are a word. Unit tests of the system are about all other texts.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut run) = (String::new(), Vec::new());
    for c in text.to_lowercase().replace('é', "e").chars().chain([' ']) {
        let is_japanese = c >= '\u{3040}' && c.is_alphanumeric();
        if !is_japanese {
            match run.as_slice() {
                [alone] => words.push(String::from(*alone)),
                run => words.extend(run.windows(2).map(|pair| pair.iter().collect())),
            }
            run.clear();
        }
        let belongs = !is_japanese && (c.is_alphanumeric() || c == '_');
        if !belongs && word.chars().any(char::is_alphanumeric) {
            words.push(word.clone());
        }
        match (is_japanese, belongs) {
            (true, _) => run.push(c),
            (false, true) => word.push(c),
            (false, false) => {}
        }
        if !belongs {
            word.clear();
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::judge;

    #[test]
    fn texts_are_cut_into_words() {
        assert_eq!(
            words("Ada says 1 to @bob_1 #café #日本語 _"),
            ["ada", "says", "1", "to", "bob_1", "cafe", "日本", "本語"]
        );
        assert_eq!(words("a日b"), ["a", "日", "b"]);
    }

    #[test]
    fn searches_find_what_they_say() {
        let model = judge::tests::model();
        let judge = Judge::new(&model);
        let ids = |viewer: &str, search: Search| -> Vec<String> {
            judge.found(viewer, &search).into_iter().map(|post| post.id).collect()
        };
        let phrase = |text: &str| Search { phrases: vec![text.to_owned()], ..Search::default() };
        assert_eq!(ids("ada", phrase("two")), ["2"]);
        assert_eq!(ids("ada", Search { tag: Some("two".to_owned()), ..Search::default() }), ["2"]);
        assert_eq!(ids("ada", Search { from: Some("ada".to_owned()), ..Search::default() }), ["3", "1"]);
        let without = Search { without: Some("one".to_owned()), from: Some("ada".to_owned()), ..Search::default() };
        assert_eq!(
            (ids("ada", without.clone()), without.spelling()),
            (vec!["3".to_owned()], "-\"one\" from:@ada".to_owned())
        );
    }

    #[test]
    fn more_followers_come_first() {
        let model = judge::tests::model();
        let judge = Judge::new(&model);
        assert_eq!((judge.rank("bob"), judge.rank("ada")), (2, 0));
        let people = |ids: &[&str]| ids.iter().filter_map(|id| judge.person(id)).collect::<Vec<_>>();
        assert_eq!(judge.compare_people("ada", "bo", &people(&["bob"]), true), []);
        assert_eq!(judge.compare_people("ada", "bo", &[], true).len(), 1);
    }
}
