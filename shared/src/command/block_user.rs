//! `BlockUser`: the caller blocks or unblocks a user. A block hides the content of each from the other, and ends the
//! follows between the two, each in the log of its follower.
//!
//! A block is a transaction on the caller's log alone. So nothing that the other user does can delay it. It ends the
//! caller's follow. The follow of the other user is ended by the projection of the block
//! ([`super::end_follow`]) or by the end of the block, whichever comes first. Until then the block itself hides
//! the follow. While the block lasts, no follow and no comment between the two is committed (see
//! [`Change::RequireNoBlock`]). The exceptions are follows of a user whom very many follow at this moment, and comments
//! on a post on which very many comment: these may come up to two seconds after the block. The projection looks for
//! such a follow a minute later, and ends it. Such a comment stays, and the block hides it.

use super::{
    decision::{Command, Decision, Turn},
    follow_user::{end_follow_of, unfollow},
    own_edge::{OwnEdge, Refusals},
};
use crate::{
    error::{Error, Rejection},
    model::{EdgeKey, EdgeKind, EdgeState, Totals, UserEvent, UserId, limits::BLOCKS_MAX},
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
    /// The end of the other user's log, where a block is to end. If the other user's follow still stands, its end is
    /// appended there.
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
        let others = async {
            match self.wanted {
                EdgeState::Active => Ok(Head::default()),
                EdgeState::Ended => commands.head(&self.blocked).await,
            }
        };
        let (profile, edges, others) =
            tokio::try_join!(commands.profile(&self.blocked), commands.edges(&keys), others)?;
        Ok(State { exists: profile.is_some(), edges, others })
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<()>, Rejection> {
        let key = EdgeKey::new(caller, EdgeKind::Blocks, &self.blocked);
        let block = OwnEdge { key, wanted: self.wanted, exists: state.exists, edges: &state.edges };
        let is_full = turn.totals.blocked >= BLOCKS_MAX;
        let refusals =
            Refusals { to_self: Rejection::CannotBlockSelf, full: is_full.then_some(Rejection::BlockLimitReached) };
        let Some(change) = block.change(caller, turn.version, refusals)? else { return Ok(Decision::Unchanged(())) };
        let mut changes = vec![change];
        let blocked = self.blocked.clone();
        if !self.wanted.is_active() {
            if let Some((end, ends)) = end_follow_of(&state.edges, &self.blocked, &state.others, caller, turn) {
                changes.extend(ends);
                changes.push(Change::Append(end));
            }
            let totals = Totals { blocked: turn.totals.blocked.saturating_sub(1), ..turn.totals };
            return Ok(Decision::Append { event: UserEvent::UserUnblocked { blocked }, totals, changes, output: () });
        }
        let mut totals = Totals { blocked: turn.totals.blocked + 1, ..turn.totals };
        // The caller cannot commit another follow meanwhile, because its event would take the same version.
        if let Some((after, ends)) = unfollow(&state.edges, caller, &self.blocked, totals, turn.version, turn.shard) {
            totals = after;
            changes.extend(ends);
        }
        Ok(Decision::Append { event: UserEvent::UserBlocked { blocked }, totals, changes, output: () })
    }
}

#[cfg(test)]
mod tests {
    use EdgeState::{Active, Ended};

    use super::*;
    use crate::{
        model::Edge,
        samples::{self, user, version},
    };

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

    /// The changes of a decision in which ada's total of followed accounts becomes this.
    fn changes(decision: Result<Decision<()>, Rejection>, event: &UserEvent, following: u64) -> Vec<Change> {
        let Ok(Decision::Append { totals, changes, event: appended, .. }) = decision else { panic!("not appended") };
        assert_eq!((&appended, totals.following), (event, following));
        changes
    }

    fn ended(changes: &[Change], from: &str) -> Option<Edge> {
        changes.iter().find_map(|change| match change {
            Change::PutEdge { key, edge, .. } if key.from == user(from) && key.kind == EdgeKind::Follows => Some(*edge),
            _ => None,
        })
    }

    #[test]
    fn a_block_ends_the_callers_follow_and_touches_no_other_log() {
        let both = edges(&[("ada", EdgeKind::Follows, "bob"), ("bob", EdgeKind::Follows, "ada")]);
        let decided = decide("bob", Active, both, Totals { following: 2, ..Totals::default() });
        let changes = changes(decided, &UserEvent::UserBlocked { blocked: user("bob") }, 1);
        assert_eq!((ended(&changes, "ada"), ended(&changes, "bob")), (Some(Edge::new(Ended, version(9))), None));
        assert!(!changes.iter().any(|change| matches!(change, Change::Append(_))), "{changes:?}");
    }

    #[test]
    fn the_end_of_a_block_ends_a_follow_that_still_stands_in_the_log_of_its_follower() {
        let still = edges(&[("ada", EdgeKind::Blocks, "bob"), ("bob", EdgeKind::Follows, "ada")]);
        let decided = decide("bob", Ended, still, Totals { blocked: 1, ..Totals::default() });
        let changes = changes(decided, &UserEvent::UserUnblocked { blocked: user("bob") }, 0);
        assert_eq!(ended(&changes, "bob"), Some(Edge::new(Ended, version(7))), "in bob's log");
        let appended = changes.iter().find_map(|change| match change {
            Change::Append(event) => Some((event.user.as_str(), event.version, event.totals.following)),
            _ => None,
        });
        assert_eq!(appended, Some(("bob", version(7), 0)));
    }

    #[test]
    fn a_block_between_users_without_follows_is_one_edge() {
        let decided = decide("bob", Active, Edges::default(), Totals::default());
        let changes = changes(decided, &UserEvent::UserBlocked { blocked: user("bob") }, 0);
        assert!(matches!(&changes[..], [Change::PutEdge { .. }]), "{changes:?}");
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
