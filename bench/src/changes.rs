//! Commands that change what was before: follows that end and come back, mutes, blocks, and deletions of posts.

use rand::{Rng, rngs::StdRng};

use crate::{
    command::{Anchor, Chain, Command},
    graph::Graph,
    texts::Draft,
};

/// One of so many of these changes is reversed later: a follow comes back, or a mute or block ends.
const TAKEN_BACK: u32 = 2;

/// How many of 1000 change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Follows that end.
    pub unfollows: u32,
    /// Follows whose follower mutes the followee.
    pub mutes: u32,
    /// Follows between two users of whom one blocks the other.
    pub blocks: u32,
    /// Posts that are deleted.
    pub deletes: u32,
}

/// Changes of these follows and posts. Every change makes a difference: users only mute or block users whom they follow
/// or who follow them.
pub fn generate(graph: &Graph, drafts: &[Draft], shares: Shares, random: &mut StdRng) -> Vec<Chain> {
    let mut chains = Vec::new();
    for &(follower, followee) in &graph.edges {
        let mut chain = |commands| chains.push(Chain { after: Anchor::Follow { follower, followee }, commands });
        let follow = |on| Command::Follow { follower, followee, on };
        if is_among(shares.unfollows, random) {
            chain(taken_back([follow(false)], [follow(true)], random));
        }
        if is_among(shares.mutes, random) {
            let mute = |on| Command::Mute { viewer: follower, author: followee, on };
            chain(taken_back([mute(true)], [mute(false)], random));
        }
        if is_among(shares.blocks, random) {
            let (blocker, blocked) = if random.random() { (follower, followee) } else { (followee, follower) };
            let block = |on| Command::Block { blocker, blocked, on };
            // During the block, the follow is refused.
            chain(taken_back([block(true), follow(true)], [block(false), follow(true)], random));
        }
    }
    for (number, draft) in drafts.iter().enumerate() {
        if is_among(shares.deletes, random) {
            let delete = Command::Delete { number, author: draft.author };
            chains.push(Chain { after: Anchor::Post(number), commands: vec![delete] });
        }
    }
    chains
}

fn is_among(share: u32, random: &mut StdRng) -> bool {
    random.random_range(0..1000) < share
}

fn taken_back<const N: usize>(begun: [Command; N], back: [Command; N], random: &mut StdRng) -> Vec<Command> {
    let back = random.random_ratio(1, TAKEN_BACK).then_some(back);
    begun.into_iter().chain(back.into_iter().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_requested_share_changes_and_half_of_it_changes_back() {
        let graph = Graph { users: 101, edges: (0..100).flat_map(|a| (0..100).map(move |b| (a, b + 1))).collect() };
        let drafts: Vec<_> = (0..1000).map(|n| Draft { author: n % 7, text: n.to_string() }).collect();
        let shares = Shares { unfollows: 50, mutes: 20, blocks: 10, deletes: 100 };
        let made = |seed| generate(&graph, &drafts, shares, &mut StdRng::seed_from_u64(seed));
        let chains = made(1);
        let count =
            |is: fn(&Command) -> bool| chains.iter().flat_map(|chain| &chain.commands).filter(|one| is(one)).count();
        for (name, is, expected) in [
            ("unfollows", (|one| matches!(one, Command::Follow { on: false, .. })) as fn(&Command) -> bool, 500),
            ("mutes", |one| matches!(one, Command::Mute { on: true, .. }), 200),
            ("unmutes", |one| matches!(one, Command::Mute { on: false, .. }), 100),
            ("blocks", |one| matches!(one, Command::Block { on: true, .. }), 100),
            ("unblocks", |one| matches!(one, Command::Block { on: false, .. }), 50),
            ("deletes", |one| matches!(one, Command::Delete { .. }), 100),
        ] {
            let counted = count(is);
            assert!((expected * 6 / 10..expected * 14 / 10).contains(&counted), "{name}: {counted}");
        }
        assert_eq!(chains, made(1));
        assert_ne!(chains, made(2));
        let none = Shares { unfollows: 0, mutes: 0, blocks: 0, deletes: 0 };
        assert_eq!(generate(&graph, &drafts, none, &mut StdRng::seed_from_u64(1)), []);
    }
}
