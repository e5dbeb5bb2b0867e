//! `MuteUser`: the caller wants to see nothing of a user, or no longer so. The user does not notice.

use super::{Command, Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{Edge, EdgeKey, EdgeKind, Totals, UserEvent, UserId, limits::MUTES_MAX},
    store::{command_table::CommandTable, edges::Edges, transaction::Change},
};

/// The caller wants to see nothing of this user, or no longer so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MuteUser {
    /// Whom.
    pub muted: UserId,
    /// Whether to mute, or to stop that.
    pub mute: bool,
}

/// What the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    exists: bool,
    edges: Edges,
}

impl Command for MuteUser {
    type State = State;
    type Output = ();

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        let keys = [EdgeKey::new(caller, EdgeKind::Mutes, &self.muted)];
        let (profile, edges) = tokio::try_join!(commands.profile(&self.muted), commands.edges(&keys))?;
        Ok(State { exists: profile.is_some(), edges })
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<()>, Rejection> {
        if *caller == self.muted {
            return Err(Rejection::CannotMuteSelf);
        }
        if !state.exists {
            return Err(Rejection::UserNotFound);
        }
        let key = EdgeKey::new(caller, EdgeKind::Mutes, &self.muted);
        let before = state.edges.get(&key);
        if before.is_some_and(|edge| edge.active) == self.mute {
            return Ok(Decision::Unchanged(()));
        }
        if self.mute && turn.totals.muted >= MUTES_MAX {
            return Err(Rejection::MuteLimitReached);
        }
        let (muted, Totals { muted: total, .. }) = (self.muted.clone(), turn.totals);
        let (event, total) = match self.mute {
            true => (UserEvent::UserMuted { muted }, total + 1),
            false => (UserEvent::UserUnmuted { muted }, total.saturating_sub(1)),
        };
        let edge = Edge { active: self.mute, version: turn.version };
        Ok(Decision::Append {
            event,
            totals: Totals { muted: total, ..turn.totals },
            changes: vec![Change::PutEdge { key, edge, replaces: before.map(|edge| edge.version) }],
            output: (),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, user, version};

    fn decide(whom: &str, mute: bool, before: Option<bool>, muted: u64) -> Result<Decision<()>, Rejection> {
        let key = EdgeKey::new(&user("ada"), EdgeKind::Mutes, &user(whom));
        let edges = before.map(|active| (key, Edge { active, version: version(3) })).into_iter().collect();
        let turn = Turn { totals: Totals { muted, ..Totals::default() }, ..samples::turn() };
        MuteUser { muted: user(whom), mute }.decide(&user("ada"), &State { exists: true, edges }, turn)
    }

    #[test]
    fn muting_makes_the_edge_and_counts() {
        let Ok(Decision::Append { totals, changes, .. }) = decide("bob", true, None, 4) else { panic!("not appended") };
        assert_eq!(totals.muted, 5);
        let edge = Edge { active: true, version: version(9) };
        assert!(matches!(&changes[..], [Change::PutEdge { edge: put, replaces: None, .. }] if *put == edge));
        let Ok(Decision::Append { totals, .. }) = decide("bob", false, Some(true), 4) else { panic!("not appended") };
        assert_eq!(totals.muted, 3);
    }

    #[test]
    fn doing_it_twice_changes_nothing() {
        assert_eq!(decide("bob", true, Some(true), 1), Ok(Decision::Unchanged(())));
        assert_eq!(decide("bob", false, Some(false), 0), Ok(Decision::Unchanged(())));
        assert_eq!(decide("bob", false, None, 0), Ok(Decision::Unchanged(())));
    }

    #[test]
    fn what_cannot_be_is_rejected() {
        assert_eq!(decide("ada", true, None, 0), Err(Rejection::CannotMuteSelf));
        assert_eq!(decide("bob", true, None, MUTES_MAX), Err(Rejection::MuteLimitReached));
        let nobody = State { exists: false, edges: Edges::default() };
        let mute = MuteUser { muted: user("bob"), mute: true };
        assert_eq!(mute.decide(&user("ada"), &nobody, samples::turn()), Err(Rejection::UserNotFound));
    }
}
