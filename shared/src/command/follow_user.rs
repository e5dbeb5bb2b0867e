//! `FollowUser` and `UnfollowUser`: both sides of the edge change in one transaction.

use super::{Command, Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{
        Counts, Edge, EdgeKey, EdgeKind, TallyShard, TallySubject, Totals, UserEvent, UserId, Version,
        limits::FOLLOWING_MAX,
    },
    store::{command_table::CommandTable, edges::Edges, transaction::Change},
};

/// The caller wants to see this user's posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUser {
    /// Whom to follow.
    pub followee: UserId,
}

/// The caller no longer wants to see this user's posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfollowUser {
    /// Whom not to follow.
    pub followee: UserId,
}

/// What the decisions rest on. Profiles are never deleted, so that their existence needs no condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    caller_has_profile: bool,
    followee_exists: bool,
    edges: Edges,
}

impl State {
    async fn read(caller: &UserId, followee: &UserId, commands: &CommandTable) -> Result<Self, Error> {
        let [to, from] = EdgeKey::blocks(caller, followee);
        let keys = [EdgeKey::new(caller, EdgeKind::Follows, followee), to, from];
        let (caller_profile, followee_profile, edges) =
            tokio::try_join!(commands.profile(caller), commands.profile(followee), commands.edges(&keys))?;
        Ok(Self { caller_has_profile: caller_profile.is_some(), followee_exists: followee_profile.is_some(), edges })
    }
}

impl Command for FollowUser {
    type State = State;
    type Output = ();

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        State::read(caller, &self.followee, commands).await
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<()>, Rejection> {
        if *caller == self.followee {
            return Err(Rejection::CannotFollowSelf);
        }
        if !state.caller_has_profile {
            return Err(Rejection::ProfileRequired);
        }
        if !state.followee_exists {
            return Err(Rejection::UserNotFound);
        }
        if state.edges.active(caller, EdgeKind::Follows, &self.followee) {
            return Ok(Decision::Unchanged(()));
        }
        if state.edges.block_between(caller, &self.followee) {
            return Err(Rejection::Blocked);
        }
        if turn.totals.following >= FOLLOWING_MAX {
            return Err(Rejection::FollowingLimitReached);
        }
        let mut changes = follow(&state.edges, caller, &self.followee, true, turn.version, turn.shard);
        changes.push(Change::RequireNoBlock { between: [caller.clone(), self.followee.clone()] });
        Ok(Decision::Append {
            event: UserEvent::UserFollowed { followee: self.followee.clone() },
            totals: Totals { following: turn.totals.following + 1, ..turn.totals },
            changes,
            output: (),
        })
    }
}

impl Command for UnfollowUser {
    type State = State;
    type Output = ();

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        State::read(caller, &self.followee, commands).await
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<()>, Rejection> {
        if !state.followee_exists {
            return Err(Rejection::UserNotFound);
        }
        match unfollow(&state.edges, caller, &self.followee, turn.totals, turn.version, turn.shard) {
            None => Ok(Decision::Unchanged(())),
            Some((totals, changes)) => {
                let event = UserEvent::UserUnfollowed { followee: self.followee.clone() };
                Ok(Decision::Append { event, totals, changes, output: () })
            }
        }
    }
}

/// What ends a follow, if there is one: the follower's totals after it, and the changes. `version` is that of the event
/// in the follower's log.
pub(super) fn unfollow(
    edges: &Edges,
    follower: &UserId,
    followee: &UserId,
    totals: Totals,
    version: Version,
    shard: TallyShard,
) -> Option<(Totals, Vec<Change>)> {
    let totals = Totals { following: totals.following.saturating_sub(1), ..totals };
    let follows = edges.active(follower, EdgeKind::Follows, followee);
    follows.then(|| (totals, follow(edges, follower, followee, false, version, shard)))
}

/// The edge, and the count of followers: it moves only if the edge does (INV-3).
fn follow(
    edges: &Edges,
    follower: &UserId,
    followee: &UserId,
    active: bool,
    version: Version,
    shard: TallyShard,
) -> Vec<Change> {
    let key = EdgeKey::new(follower, EdgeKind::Follows, followee);
    let replaces = edges.get(&key).map(|edge| edge.version);
    let more = Counts { followers: if active { 1 } else { -1 }, ..Counts::default() };
    vec![
        Change::PutEdge { key, edge: Edge { active, version }, replaces },
        Change::Count { subject: TallySubject::User(followee.clone()), shard, more },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, user, version};

    fn state(following: Option<bool>) -> State {
        let key = EdgeKey::new(&user("ada"), EdgeKind::Follows, &user("bob"));
        let edges = following.map(|active| (key, Edge { active, version: version(3) })).into_iter().collect();
        State { caller_has_profile: true, followee_exists: true, edges }
    }

    fn turn(following: u64) -> Turn {
        Turn { totals: Totals { following, ..Totals::default() }, ..samples::turn() }
    }

    fn follow(followee: &str, state: State, following: u64) -> Result<Decision<()>, Rejection> {
        FollowUser { followee: user(followee) }.decide(&user("ada"), &state, turn(following))
    }

    fn unfollow(state: State) -> Result<Decision<()>, Rejection> {
        UnfollowUser { followee: user("bob") }.decide(&user("ada"), &state, turn(1))
    }

    #[test]
    fn a_first_follow_makes_the_edge_unless_there_is_a_block() {
        let Ok(Decision::Append { changes, totals, .. }) = follow("bob", state(None), 0) else { panic!() };
        assert_eq!(totals.following, 1);
        let (key, edge) =
            (EdgeKey::new(&user("ada"), EdgeKind::Follows, &user("bob")), Edge { active: true, version: version(9) });
        let more = Counts { followers: 1, ..Counts::default() };
        assert_eq!(
            changes,
            [
                Change::PutEdge { key, edge, replaces: None },
                Change::Count { subject: TallySubject::User(user("bob")), shard: turn(0).shard, more },
                Change::RequireNoBlock { between: [user("ada"), user("bob")] },
            ]
        );
    }

    #[test]
    fn a_follow_after_an_unfollow_replaces_the_edge() {
        let Ok(Decision::Append { changes, .. }) = follow("bob", state(Some(false)), 0) else { panic!() };
        assert!(matches!(&changes[0], Change::PutEdge { replaces: Some(version), .. } if version.get() == 3));
    }

    #[test]
    fn doing_it_twice_changes_nothing() {
        assert_eq!(follow("bob", state(Some(true)), 1), Ok(Decision::Unchanged(())));
        assert_eq!(unfollow(state(Some(false))), Ok(Decision::Unchanged(())));
        assert_eq!(unfollow(state(None)), Ok(Decision::Unchanged(())));
    }

    #[test]
    fn an_unfollow_keeps_the_edge_and_counts_down() {
        let Ok(Decision::Append { changes, totals, .. }) = unfollow(state(Some(true))) else { panic!() };
        assert_eq!(totals.following, 0);
        assert!(matches!(&changes[0], Change::PutEdge { edge: Edge { active: false, .. }, .. }));
        assert!(matches!(&changes[1], Change::Count { more: Counts { followers: -1, .. }, .. }));
    }

    #[test]
    fn what_cannot_be_is_rejected() {
        assert_eq!(follow("ada", state(None), 0), Err(Rejection::CannotFollowSelf));
        let stranger = State { followee_exists: false, ..state(None) };
        assert_eq!(follow("bob", stranger.clone(), 0), Err(Rejection::UserNotFound));
        assert_eq!(unfollow(stranger), Err(Rejection::UserNotFound));
        let nobody = State { caller_has_profile: false, ..state(None) };
        assert_eq!(follow("bob", nobody, 0), Err(Rejection::ProfileRequired));
        assert_eq!(follow("bob", state(None), FOLLOWING_MAX), Err(Rejection::FollowingLimitReached));
        for (from, to) in [("ada", "bob"), ("bob", "ada")] {
            let block = EdgeKey::new(&user(from), EdgeKind::Blocks, &user(to));
            let edges = [(block, Edge { active: true, version: version(3) })].into_iter().collect();
            assert_eq!(follow("bob", State { edges, ..state(None) }, 0), Err(Rejection::Blocked));
        }
    }
}
