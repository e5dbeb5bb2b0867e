//! `BlockUser`: the caller wants nothing to do with a user, or no longer so. A block ends the follows between the two, in
//! both directions and both logs, in the one transaction that makes it; while it lasts, no follow and no comment between
//! them is committed (see [`Change::RequireNoBlock`]).

use super::{Command, Decision, Turn, follow_user::unfollow};
use crate::{
    error::{Error, Rejection},
    model::{Edge, EdgeKey, EdgeKind, LogEvent, Totals, UserEvent, UserId, limits::BLOCKS_MAX},
    store::{
        command_table::{CommandTable, Head},
        edges::Edges,
        transaction::Change,
    },
};

/// The caller wants nothing to do with this user, or no longer so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockUser {
    /// Whom.
    pub blocked: UserId,
    /// Whether to block, or to stop that.
    pub block: bool,
}

/// What the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    exists: bool,
    edges: Edges,
    /// Where the other's log ends: the end of their follow belongs there.
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
        if !state.exists {
            return Err(Rejection::UserNotFound);
        }
        let key = EdgeKey::new(caller, EdgeKind::Blocks, &self.blocked);
        let before = state.edges.get(&key);
        if before.is_some_and(|edge| edge.active) == self.block {
            return Ok(Decision::Unchanged(()));
        }
        if self.block && turn.totals.blocked >= BLOCKS_MAX {
            return Err(Rejection::BlockLimitReached);
        }
        let edge = Edge { active: self.block, version: turn.version };
        let mut changes = vec![Change::PutEdge { key, edge, replaces: before.map(|edge| edge.version) }];
        let blocked = self.blocked.clone();
        if !self.block {
            let totals = Totals { blocked: turn.totals.blocked.saturating_sub(1), ..turn.totals };
            return Ok(Decision::Append { event: UserEvent::UserUnblocked { blocked }, totals, changes, output: () });
        }
        let mut totals = Totals { blocked: turn.totals.blocked + 1, ..turn.totals };
        if let Some((after, ends)) = unfollow(&state.edges, caller, &self.blocked, totals, turn.version, turn.shard) {
            totals = after;
            changes.extend(ends);
        }
        let version = state.others.version.next();
        if let Some((totals, ends)) =
            unfollow(&state.edges, &self.blocked, caller, state.others.totals, version, turn.shard)
        {
            let event = UserEvent::UserUnfollowed { followee: caller.clone() };
            let user = self.blocked.clone();
            changes.push(Change::Append(LogEvent { user, version, command: turn.command, at: turn.at, totals, event }));
            changes.extend(ends);
        } else {
            // A follow that the other commits meanwhile would outlive the block. One's own log keeps out one's own.
            let key = EdgeKey::new(&self.blocked, EdgeKind::Follows, caller);
            let version = state.edges.get(&key).map(|edge| edge.version);
            changes.push(Change::RequireEdge { key, version });
        }
        Ok(Decision::Append { event: UserEvent::UserBlocked { blocked }, totals, changes, output: () })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, user, version};

    fn edges(of: &[(&str, EdgeKind, &str)]) -> Edges {
        let edge = |(from, kind, to): &(&str, EdgeKind, &str)| {
            (EdgeKey::new(&user(from), *kind, &user(to)), Edge { active: true, version: version(3) })
        };
        of.iter().map(edge).collect()
    }

    fn decide(whom: &str, block: bool, edges: Edges, totals: Totals) -> Result<Decision<()>, Rejection> {
        let others = Head { version: version(6), totals: Totals { following: 1, ..Totals::default() } };
        let turn = Turn { totals, ..samples::turn() };
        BlockUser { blocked: user(whom), block }.decide(&user("ada"), &State { exists: true, edges, others }, turn)
    }

    #[test]
    fn a_block_ends_both_follows_each_in_its_own_log() {
        let both = edges(&[("ada", EdgeKind::Follows, "bob"), ("bob", EdgeKind::Follows, "ada")]);
        let totals = Totals { following: 2, ..Totals::default() };
        let Ok(Decision::Append { totals, changes, event, .. }) = decide("bob", true, both, totals) else {
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
        assert_eq!(ended("ada"), Some(Edge { active: false, version: version(9) }));
        assert_eq!(ended("bob"), Some(Edge { active: false, version: version(7) }), "of bob's log");
        let appended = changes.iter().find_map(|change| match change {
            Change::Append(event) => Some((event.user.as_str(), event.version, event.totals.following)),
            _ => None,
        });
        assert_eq!(appended, Some(("bob", version(7), 0)));
    }

    #[test]
    fn a_block_among_strangers_is_in_one_log() {
        let Ok(Decision::Append { changes, .. }) = decide("bob", true, Edges::default(), Totals::default()) else {
            panic!("not appended")
        };
        assert!(matches!(&changes[..], [Change::PutEdge { .. }, Change::RequireEdge { version: None, .. }]));
    }

    #[test]
    fn doing_it_twice_changes_nothing() {
        let blocked = edges(&[("ada", EdgeKind::Blocks, "bob")]);
        assert_eq!(decide("bob", true, blocked, Totals::default()), Ok(Decision::Unchanged(())));
        assert_eq!(decide("bob", false, Edges::default(), Totals::default()), Ok(Decision::Unchanged(())));
    }

    #[test]
    fn what_cannot_be_is_rejected() {
        assert_eq!(decide("ada", true, Edges::default(), Totals::default()), Err(Rejection::CannotBlockSelf));
        let full = Totals { blocked: BLOCKS_MAX, ..Totals::default() };
        assert_eq!(decide("bob", true, Edges::default(), full), Err(Rejection::BlockLimitReached));
    }
}
