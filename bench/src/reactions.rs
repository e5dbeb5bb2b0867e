//! Generates reactions to posts: likes and comments with a heavy tail, some of them removed later, and edits.

use anyhow::Result;
use rand::{
    Rng,
    distr::weighted::WeightedIndex,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};

use crate::{
    command::{Anchor, Chain, Command, Reaction, ReactionKind},
    graph::power_law,
    texts::Draft,
};

/// One of so many likes and comments is removed later.
const TAKEN_BACK: u32 = 12;

/// How many reactions of each kind to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amounts {
    /// Likes.
    pub likes: usize,
    /// Comments.
    pub comments: usize,
    /// Edits.
    pub edits: usize,
}

/// Reactions to these posts by `users` users, each with its removal if it has one. A few posts get most reactions, and
/// a few users give most, by the same power law as followers.
pub fn generate(drafts: &[Draft], users: usize, amounts: Amounts, random: &mut StdRng) -> Result<Vec<Chain>> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    let mut shuffled = |count| {
        let mut weights = power_law(count);
        weights.shuffle(random);
        WeightedIndex::new(weights)
    };
    let (hot, active) = (shuffled(drafts.len())?, shuffled(users)?);
    let mut reactions = Vec::new();
    for number in 0..amounts.likes + amounts.comments {
        let (sender, post) = (random.sample(&active), random.sample(&hot));
        let command = |what| Command::React(Reaction { sender, post, what });
        let (what, end) = if number < amounts.likes {
            (ReactionKind::Like, ReactionKind::Unlike)
        } else {
            let text = drafts.choose(random).map(|draft| draft.text.clone()).unwrap_or_default();
            (ReactionKind::Comment { number, text }, ReactionKind::DeleteComment { number })
        };
        let end = random.random_ratio(1, TAKEN_BACK).then_some(end);
        let commands = std::iter::once(what).chain(end).map(command).collect();
        reactions.push(Chain { after: Anchor::Post(post), commands });
    }
    for _ in 0..amounts.edits {
        let (post, other) = (random.random_range(..drafts.len()), random.random_range(..drafts.len()));
        let what =
            ReactionKind::Edit { text: format!("{} …", drafts[other].text.chars().take(200).collect::<String>()) };
        let edit = Command::React(Reaction { sender: drafts[post].author, post, what });
        reactions.push(Chain { after: Anchor::Post(post), commands: vec![edit] });
    }
    Ok(reactions)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn reactions_have_a_heavy_tail_and_come_from_their_seed() {
        let drafts: Vec<_> = (0..400).map(|n| Draft { author: n % 7, text: n.to_string() }).collect();
        let amounts = Amounts { likes: 4000, comments: 1000, edits: 50 };
        let made = |seed| generate(&drafts, 100, amounts, &mut StdRng::seed_from_u64(seed)).unwrap();
        let reactions = made(1);
        assert_eq!(reactions.len(), 5050);
        assert_eq!(reactions, made(1));
        assert_ne!(reactions, made(2));
        let first = |chain: &Chain| match chain.commands.first() {
            Some(Command::React(reaction)) => reaction.clone(),
            other => panic!("{other:?}"),
        };
        let mut of_post: BTreeMap<usize, usize> = BTreeMap::new();
        reactions.iter().for_each(|chain| *of_post.entry(first(chain).post).or_default() += 1);
        let most = of_post.values().max().copied().unwrap_or_default();
        assert!(most > 60, "{most}: the first of 400 by the square root gets about 130 of 5000");
        assert!(reactions.iter().all(|chain| chain.after == Anchor::Post(first(chain).post)));
        let ends = reactions.iter().filter(|chain| chain.commands.len() == 2).count();
        assert!((300..550).contains(&ends), "{ends}");
        let mut edits =
            reactions.iter().map(first).filter(|reaction| matches!(reaction.what, ReactionKind::Edit { .. }));
        assert!(edits.all(|edit| edit.sender == drafts[edit.post].author));
    }
}
