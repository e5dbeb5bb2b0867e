//! `MuteUser`: the caller mutes or unmutes a user. A muted user's content is hidden from the caller. The user does not
//! notice.

use super::{
    decision::{Command, Decision, Turn},
    own_edge::{OwnEdge, Refusals},
};
use crate::{
    error::{Error, Rejection},
    model::{EdgeKey, EdgeKind, EdgeState, Totals, UserEvent, UserId, limits::MUTES_MAX},
    store::{command_table::CommandTable, edges::Edges},
};

/// The caller mutes or unmutes a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MuteUser {
    /// The user to mute or unmute.
    pub muted: UserId,
    /// Whether the caller wants to mute the user.
    pub wanted: EdgeState,
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
        let key = EdgeKey::new(caller, EdgeKind::Mutes, &self.muted);
        let mute = OwnEdge { key, wanted: self.wanted, exists: state.exists, edges: &state.edges };
        let is_full = turn.totals.muted >= MUTES_MAX;
        let refusals =
            Refusals { to_self: Rejection::CannotMuteSelf, full: is_full.then_some(Rejection::MuteLimitReached) };
        let Some(change) = mute.change(caller, turn.version, refusals)? else { return Ok(Decision::Unchanged(())) };
        let (muted, Totals { muted: total, .. }) = (self.muted.clone(), turn.totals);
        let (event, total) = match self.wanted {
            EdgeState::Active => (UserEvent::UserMuted { muted }, total + 1),
            EdgeState::Ended => (UserEvent::UserUnmuted { muted }, total.saturating_sub(1)),
        };
        let totals = Totals { muted: total, ..turn.totals };
        Ok(Decision::Append { event, totals, changes: vec![change], output: () })
    }
}

#[cfg(test)]
mod tests {
    use EdgeState::{Active, Ended};

    use super::*;
    use crate::{
        model::Edge,
        samples::{self, user, version},
        store::transaction::Change,
    };

    fn decide(whom: &str, wanted: EdgeState, before: Option<EdgeState>, muted: u64) -> Result<Decision<()>, Rejection> {
        let key = EdgeKey::new(&user("ada"), EdgeKind::Mutes, &user(whom));
        let edges = before.map(|state| (key, Edge::new(state, version(3)))).into_iter().collect();
        let turn = Turn { totals: Totals { muted, ..Totals::default() }, ..samples::turn() };
        MuteUser { muted: user(whom), wanted }.decide(&user("ada"), &State { exists: true, edges }, turn)
    }

    #[test]
    fn a_mute_writes_the_edge_and_changes_the_total() {
        let Ok(Decision::Append { totals, changes, .. }) = decide("bob", Active, None, 4) else {
            panic!("not appended")
        };
        assert_eq!(totals.muted, 5);
        let edge = Edge::new(Active, version(9));
        assert!(matches!(&changes[..], [Change::PutEdge { edge: put, replaces: None, .. }] if *put == edge));
        let Ok(Decision::Append { totals, .. }) = decide("bob", Ended, Some(Active), 4) else { panic!("not appended") };
        assert_eq!(totals.muted, 3);
    }

    #[test]
    fn doing_it_twice_changes_nothing() {
        assert_eq!(decide("bob", Active, Some(Active), 1), Ok(Decision::Unchanged(())));
        assert_eq!(decide("bob", Ended, Some(Ended), 0), Ok(Decision::Unchanged(())));
        assert_eq!(decide("bob", Ended, None, 0), Ok(Decision::Unchanged(())));
    }

    #[test]
    fn what_cannot_be_is_rejected() {
        assert_eq!(decide("ada", Active, None, 0), Err(Rejection::CannotMuteSelf));
        assert_eq!(decide("bob", Active, None, MUTES_MAX), Err(Rejection::MuteLimitReached));
        let nobody = State { exists: false, edges: Edges::default() };
        let mute = MuteUser { muted: user("bob"), wanted: Active };
        assert_eq!(mute.decide(&user("ada"), &nobody, samples::turn()), Err(Rejection::UserNotFound));
    }
}
