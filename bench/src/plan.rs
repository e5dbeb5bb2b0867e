//! The order in which everything is sent: random, but by a seed, so that a run can be repeated.

use rand::{rngs::StdRng, seq::SliceRandom};

use crate::{graph::Graph, texts::Draft};

/// One command of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `follower` follows `followee`.
    Follow {
        /// Number of the user who sends it.
        follower: usize,
        /// Number of the user followed.
        followee: usize,
    },
    /// A post.
    Post(Draft),
}

impl Command {
    /// Number of the user who sends the command.
    pub fn sender(&self) -> usize {
        match self {
            Self::Follow { follower, .. } => *follower,
            Self::Post(draft) => draft.author,
        }
    }
}

/// Half of the follows in random order, then the other half with the posts strewn in, so that about half of the edges a
/// post travels exist when it is made and the others bring it by backfill. Posts keep their own order.
pub fn plan(graph: Graph, drafts: Vec<Draft>, random: &mut StdRng) -> Vec<Command> {
    let mut follows: Vec<_> = graph.edges;
    follows.shuffle(random);
    let later = follows.split_off(follows.len() / 2);
    let follow = |(follower, followee)| Command::Follow { follower, followee };

    let mut is_post: Vec<bool> = vec![false; later.len()];
    is_post.resize(later.len() + drafts.len(), true);
    is_post.shuffle(random);
    let (mut later, mut drafts) = (later.into_iter().map(follow), drafts.into_iter().map(Command::Post));
    let mixed = is_post.into_iter().filter_map(|is_post| if is_post { drafts.next() } else { later.next() });
    follows.into_iter().map(follow).chain(mixed).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

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
                Command::Follow { follower, followee } => follows.push((follower, followee)),
                Command::Post(draft) => posts.push(draft),
            }
        }
        follows.sort_unstable();
        assert_eq!((follows, posts), (edges.clone(), drafts.clone()));
        assert_eq!(commands, planned(3));
        assert_ne!(commands, planned(4));
    }
}
