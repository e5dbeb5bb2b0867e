//! Posts and their authors: real posts from a file, or generated posts of the same length and variety.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result, ensure};
use rand::{
    Rng,
    distr::weighted::WeightedIndex,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use serde::Deserialize;

use crate::graph::{open_lines, power_law};

/// A post to send: the author's number and the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// From 0 to the number of users − 1.
    pub author: usize,
    /// The text.
    pub text: String,
}

/// The first `count` posts of a file with lines `{"author": …, "text": …}`. Its authors are assigned to `users` users
/// in an order that depends only on `random`. So how much a user posts does not depend on how many followers the user
/// has.
pub fn load(path: &Path, count: usize, users: usize, random: &mut StdRng) -> Result<Vec<Draft>> {
    #[derive(Deserialize)]
    struct Line {
        author: String,
        text: String,
    }
    let mut seats: Vec<usize> = (0..users).collect();
    seats.shuffle(random);
    let mut seat_of = HashMap::new();
    let mut drafts = Vec::new();
    for (number, line) in open_lines(path)?.take(count).enumerate() {
        let place = || format!("{}:{}", path.display(), number + 1);
        let line: Line = serde_json::from_str(&line.with_context(place)?).with_context(place)?;
        let newest = seats[seat_of.len() % users];
        drafts.push(Draft { author: *seat_of.entry(line.author).or_insert(newest), text: line.text });
    }
    ensure!(drafts.len() == count, "{} has only {} posts", path.display(), drafts.len());
    Ok(drafts)
}

/// The words of the generated texts. They have about as many tags and non-ASCII characters as people use.
const WORDS: [&str; 40] = [
    "the",
    "a",
    "to",
    "I",
    "you",
    "for",
    "on",
    "and",
    "my",
    "is",
    "in",
    "it",
    "of",
    "this",
    "just",
    "flight",
    "was",
    "your",
    "get",
    "thanks",
    "gate",
    "hours",
    "delayed",
    "again",
    "morning",
    "coffee",
    "tonight",
    "@somebody",
    "please",
    "great",
    "waiting",
    "weather",
    "really",
    "tomorrow",
    "luggage",
    "service",
    "#travel",
    "#coffee",
    "café",
    "😀",
];

/// Generates `count` posts. A few users post much, most users post little.
pub fn generate(count: usize, users: usize, random: &mut StdRng) -> Result<Vec<Draft>> {
    let mut talkative = power_law(users);
    talkative.shuffle(random);
    let talkative = WeightedIndex::new(talkative)?;
    let draft = |_| {
        let length = random.random_range(30..=140);
        let mut text = String::new();
        while text.len() < length {
            text.push_str(WORDS.choose(random).copied().unwrap_or_default());
            text.push(' ');
        }
        Draft { author: random.sample(&talkative), text }
    };
    Ok((0..count).map(draft).collect())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn authors_of_a_file_become_users_always_the_same_ones() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("posts.jsonl");
        let line = |author, text| {
            format!("{{\"at\": \"2015-02-16T23:36:00Z\", \"author\": \"{author}\", \"text\": \"{text}\"}}\n")
        };
        std::fs::write(&path, [line("a", "1"), line("b", "2"), line("a", "3"), line("c", "4")].concat()).unwrap();
        let load = |count, users, seed| super::load(&path, count, users, &mut StdRng::seed_from_u64(seed));
        let drafts = load(4, 3, 1).unwrap();
        assert_eq!(drafts.iter().map(|draft| draft.text.as_str()).collect::<Vec<_>>(), ["1", "2", "3", "4"]);
        assert_eq!(drafts[0].author, drafts[2].author);
        assert!(drafts[0].author != drafts[1].author && drafts[3].author != drafts[1].author);
        assert_eq!(drafts, load(4, 3, 1).unwrap());
        // There are more authors than users, so some authors share a user.
        assert!(load(4, 2, 1).unwrap().iter().all(|draft| draft.author < 2));
        assert!(load(5, 3, 1).is_err());
    }

    #[test]
    fn generated_texts_are_about_as_long_as_real_ones() {
        let drafts = generate(1000, 50, &mut StdRng::seed_from_u64(1)).unwrap();
        let mean = drafts.iter().map(|draft| draft.text.len()).sum::<usize>() / drafts.len();
        assert!((70..130).contains(&mean), "{mean}");
        assert!(drafts.iter().all(|draft| draft.text.len() < 300 && draft.author < 50));
    }
}
