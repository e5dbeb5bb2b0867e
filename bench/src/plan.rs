//! The order in which commands are sent. It is random, but the same seed gives the same order.

use std::collections::BTreeMap;

use rand::{Rng, rngs::StdRng, seq::SliceRandom};

use crate::{
    command::{Anchor, Chain, Command},
    graph::Graph,
    texts::Draft,
};

/// First comes half of the follows in random order. Then come the other half and the posts, mixed. So about half of the
/// followers exist when their post is made, and the others get it by backfill. The posts keep their own order.
pub fn plan(graph: Graph, drafts: Vec<Draft>, random: &mut StdRng) -> Vec<Command> {
    let mut follows: Vec<_> = graph.edges;
    follows.shuffle(random);
    let later = follows.split_off(follows.len() / 2);
    let follow = |(follower, followee)| Command::Follow { follower, followee, on: true };

    let mut is_post: Vec<bool> = vec![false; later.len()];
    is_post.resize(later.len() + drafts.len(), true);
    is_post.shuffle(random);
    let (mut later, mut drafts) = (later.into_iter().map(follow), drafts.into_iter().enumerate());
    let mixed = is_post.into_iter().filter_map(|is_post| match is_post {
        true => drafts.next().map(|(number, draft)| Command::Post { number, draft }),
        false => later.next(),
    });
    follows.into_iter().map(follow).chain(mixed).collect()
}

/// Puts chains among the commands, each at a random place after what it needs.
pub fn strew(commands: Vec<Command>, chains: Vec<Chain>, random: &mut StdRng) -> Vec<Command> {
    let places: BTreeMap<Anchor, usize> =
        commands.iter().enumerate().filter_map(|(place, command)| Some((Anchor::of(command)?, place))).collect();
    let end = commands.len();
    let mut placed: Vec<_> = commands.into_iter().enumerate().collect();
    for chain in chains {
        let mut place = places.get(&chain.after).copied().unwrap_or(end);
        for command in chain.commands {
            place = random.random_range(place..=end);
            placed.push((place, command));
        }
    }
    // The sort is stable, so an inserted command stays behind the one that had its place.
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, command)| command).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::command::{Reaction, ReactionKind};

    #[test]
    fn everything_is_planned_once_and_posts_come_in_order_after_half_of_the_follows() {
        let edges: Vec<_> = (1..=100).map(|followee| (0, followee)).collect();
        let drafts: Vec<_> = (0..50).map(|n| Draft { author: n % 7, text: n.to_string() }).collect();
        let planned = |seed| {
            let graph = Graph { users: 101, edges: edges.clone() };
            plan(graph, drafts.clone(), &mut StdRng::seed_from_u64(seed))
        };
        let commands = planned(3);
        assert_eq!(commands.len(), 150);
        assert!(commands[..50].iter().all(|command| matches!(command, Command::Follow { .. })));
        let (mut follows, mut posts) = (Vec::new(), Vec::new());
        for command in &commands {
            match command.clone() {
                Command::Follow { follower, followee, .. } => follows.push((follower, followee)),
                Command::Post { number, draft } => {
                    assert_eq!(number, posts.len());
                    posts.push(draft);
                }
                other => panic!("{other:?}"),
            }
        }
        follows.sort_unstable();
        assert_eq!((follows, posts), (edges.clone(), drafts.clone()));
        assert_eq!(commands, planned(3));
        assert_ne!(commands, planned(4));
    }

    #[test]
    fn chains_come_after_what_makes_them_possible_and_keep_their_order() {
        let drafts: Vec<_> = (0..30).map(|n| Draft { author: n % 7, text: n.to_string() }).collect();
        let chain = |post| {
            let react = |what| Command::React(Reaction { sender: 3, post, what });
            Chain { after: Anchor::Post(post), commands: [ReactionKind::Like, ReactionKind::Unlike].map(react).into() }
        };
        let mut random = StdRng::seed_from_u64(5);
        let commands = plan(Graph { users: 10, edges: vec![(0, 1)] }, drafts, &mut random);
        let commands = strew(commands, (0..30).map(chain).collect(), &mut random);
        assert_eq!(commands.len(), 1 + 30 + 60);
        for post in 0..30 {
            let of_post: Vec<_> = commands
                .iter()
                .filter_map(|command| match command {
                    Command::Post { number, .. } if *number == post => Some("post"),
                    Command::React(Reaction { post: about, what: ReactionKind::Like, .. }) if *about == post => {
                        Some("like")
                    }
                    Command::React(Reaction { post: about, .. }) if *about == post => Some("end"),
                    _ => None,
                })
                .collect();
            assert_eq!(of_post, ["post", "like", "end"]);
        }
    }
}
