//! `BlockUser`: the caller blocks or unblocks a user. A block hides the content of each from the other. It also
//! removes the follows between the two, in both directions, each in the log of its follower. All of this is one
//! transaction.
//! While the block lasts, no follow and no comment between the two is committed (see [`Change::RequireNoBlock`]).

use super::{
    decision::{Command, Decision, Turn},
    follow_user::{end_follow_of, unfollow},
};
use crate::{
    error::{Error, Rejection},
    model::{Edge, EdgeKey, EdgeKind, EdgeState, Totals, UserEvent, UserId, limits::BLOCKS_MAX},
    store::{
        command_table::{CommandTable, Head},
        edges::Edges,
        transaction::Change,
    },
};

/// The caller blocks or unblocks a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockUser {
    /// The user to block or unblock.
    pub blocked: UserId,
    /// Whether the caller wants to block the user.
    pub wanted: EdgeState,
}

/// What the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    exists: bool,
    edges: Edges,
    /// The end of the other user's log. If the other user follows the caller, the unfollow is appended there.
    others: Head,
}

impl Command for BlockUser {
    type State = State;
    type Output = ();

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        let keys = [
            EdgeKey::new(caller, EdgeKind::Blocks, &self.blocked),
            EdgeKey::new(caller, EdgeKind::Follows, &self.blocked),
            EdgeKey::new(&self.blocked, EdgeKind::Follows, caller),
        ];
        let (profile, edges, others) =
            tokio::try_join!(commands.profile(&self.blocked), commands.edges(&keys), commands.head(&self.blocked))?;
        Ok(State { exists: profile.is_some(), edges, others })
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<()>, Rejection> {
        if *caller == self.blocked {
            return Err(Rejection::CannotBlockSelf);
        }
        let key = EdgeKey::new(caller, EdgeKind::Blocks, &self.blocked);
        let before = state.edges.get(&key);
        // The other user may have deleted the account. Then the end is still possible.
        let is_end = !self.wanted.is_active() && before.is_some();
        if !state.exists && !is_end {
            return Err(Rejection::UserNotFound);
        }
        if before.map_or(EdgeState::Ended, |edge| edge.state()) == self.wanted {
            return Ok(Decision::Unchanged(()));
        }
        if self.wanted.is_active() && turn.totals.blocked >= BLOCKS_MAX {
            return Err(Rejection::BlockLimitReached);
        }
        let edge = Edge::new(self.wanted, turn.version);
        let mut changes = vec![Change::PutEdge { key, edge, replaces: before.map(|edge| edge.version) }];
        let blocked = self.blocked.clone();
        if !self.wanted.is_active() {
            let totals = Totals { blocked: turn.totals.blocked.saturating_sub(1), ..turn.totals };
            return Ok(Decision::Append { event: UserEvent::UserUnblocked { blocked }, totals, changes, output: () });
        }
        let mut totals = Totals { blocked: turn.totals.blocked + 1, ..turn.totals };
        if let Some((after, ends)) = unfollow(&state.edges, caller, &self.blocked, totals, turn.version, turn.shard) {
            totals = after;
            changes.extend(ends);
        }
        if let Some(ends) = end_follow_of(&state.edges, &self.blocked, &state.others, caller, turn) {
            changes.extend(ends);
        } else {
            // A follow that the other user commits meanwhile would outlive the block. The caller cannot commit a follow
            // meanwhile, because its event would take the same version in the caller's log.
            let key = EdgeKey::new(&self.blocked, EdgeKind::Follows, caller);
            let version = state.edges.get(&key).map(|edge| edge.version);
            changes.push(Change::RequireEdge { key, version });
        }
        Ok(Decision::Append { event: UserEvent::UserBlocked { blocked }, totals, changes, output: () })
    }
}

#[cfg(test)]
mod tests {
    use EdgeState::{Active, Ended};

    use super::*;
    use crate::samples::{self, user, version};

    fn edges(of: &[(&str, EdgeKind, &str)]) -> Edges {
        let edge = |(from, kind, to): &(&str, EdgeKind, &str)| {
            (EdgeKey::new(&user(from), *kind, &user(to)), Edge::new(Active, version(3)))
        };
        of.iter().map(edge).collect()
    }

    fn decide(whom: &str, wanted: EdgeState, edges: Edges, totals: Totals) -> Result<Decision<()>, Rejection> {
        let others =
            Head { version: version(6), totals: Totals { following: 1, ..Totals::default() }, ..Head::default() };
        let turn = Turn { totals, ..samples::turn() };
        BlockUser { blocked: user(whom), wanted }.decide(&user("ada"), &State { exists: true, edges, others }, turn)
    }

    #[test]
    fn a_block_removes_both_follows_each_in_the_log_of_its_follower() {
        let both = edges(&[("ada", EdgeKind::Follows, "bob"), ("bob", EdgeKind::Follows, "ada")]);
        let totals = Totals { following: 2, ..Totals::default() };
        let Ok(Decision::Append { totals, changes, event, .. }) = decide("bob", Active, both, totals) else {
            panic!("not appended")
        };
        assert_eq!(event, UserEvent::UserBlocked { blocked: user("bob") });
        assert_eq!((totals.following, totals.blocked), (1, 1));
        let ended = |from: &str| {
            changes.iter().find_map(|change| match change {
                Change::PutEdge { key, edge, .. } if key.from == user(from) && key.kind == EdgeKind::Follows => {
                    Some(*edge)
                }
                _ => None,
            })
        };
        assert_eq!(ended("ada"), Some(Edge::new(Ended, version(9))));
        assert_eq!(ended("bob"), Some(Edge::new(Ended, version(7))), "in bob's log");
        let appended = changes.iter().find_map(|change| match change {
            Change::Append(event) => Some((event.user.as_str(), event.version, event.totals.following)),
            _ => None,
        });
        assert_eq!(appended, Some(("bob", version(7), 0)));
    }

    #[test]
    fn a_block_between_users_without_follows_is_in_one_log() {
        let Ok(Decision::Append { changes, .. }) = decide("bob", Active, Edges::default(), Totals::default()) else {
            panic!("not appended")
        };
        assert!(matches!(&changes[..], [Change::PutEdge { .. }, Change::RequireEdge { version: None, .. }]));
    }

    #[test]
    fn doing_it_twice_changes_nothing() {
        let blocked = edges(&[("ada", EdgeKind::Blocks, "bob")]);
        assert_eq!(decide("bob", Active, blocked, Totals::default()), Ok(Decision::Unchanged(())));
        assert_eq!(decide("bob", Ended, Edges::default(), Totals::default()), Ok(Decision::Unchanged(())));
    }

    #[test]
    fn what_cannot_be_is_rejected() {
        assert_eq!(decide("ada", Active, Edges::default(), Totals::default()), Err(Rejection::CannotBlockSelf));
        let full = Totals { blocked: BLOCKS_MAX, ..Totals::default() };
        assert_eq!(decide("bob", Active, Edges::default(), full), Err(Rejection::BlockLimitReached));
    }
}
