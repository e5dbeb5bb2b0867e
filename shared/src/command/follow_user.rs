//! `FollowUser` and `UnfollowUser`: both sides of the edge change in one transaction.

use super::{Command, Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{Counts, TallySubject, Totals, UserEvent, UserId, limits::FOLLOWING_MAX},
    store::{
        commands::{Commands, Edge},
        transaction::Change,
    },
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
    edge: Option<Edge>,
}

impl State {
    async fn read(caller: &UserId, followee: &UserId, commands: &Commands) -> Result<Self, Error> {
        let (caller_profile, followee_profile, edge) =
            tokio::try_join!(commands.profile(caller), commands.profile(followee), commands.edge(caller, followee))?;
        Ok(Self { caller_has_profile: caller_profile.is_some(), followee_exists: followee_profile.is_some(), edge })
    }

    fn follows(&self) -> bool {
        self.edge.as_ref().is_some_and(|edge| edge.following)
    }

    /// Both sides of the edge, and the count of followers: it moves only if the edge does (INV-3).
    fn changes(&self, follower: &UserId, followee: &UserId, following: bool, turn: Turn) -> Vec<Change> {
        let put_edge = Change::PutEdge {
            follower: follower.clone(),
            followee: followee.clone(),
            edge: Edge { following, version: turn.version },
            replaces: self.edge.as_ref().map(|edge| edge.version),
        };
        let followers = if following { 1 } else { -1 };
        let more = Counts { followers, ..Counts::default() };
        vec![put_edge, Change::Count { subject: TallySubject::User(followee.clone()), shard: turn.shard, more }]
    }
}

impl Command for FollowUser {
    type State = State;
    type Output = ();

    async fn read(&self, caller: &UserId, commands: &Commands) -> Result<State, Error> {
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
        if state.follows() {
            return Ok(Decision::Unchanged(()));
        }
        if turn.totals.following >= FOLLOWING_MAX {
            return Err(Rejection::FollowingLimitReached);
        }
        Ok(Decision::Append {
            event: UserEvent::UserFollowed { followee: self.followee.clone() },
            totals: Totals { following: turn.totals.following + 1 },
            changes: state.changes(caller, &self.followee, true, turn),
            output: (),
        })
    }
}

impl Command for UnfollowUser {
    type State = State;
    type Output = ();

    async fn read(&self, caller: &UserId, commands: &Commands) -> Result<State, Error> {
        State::read(caller, &self.followee, commands).await
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<()>, Rejection> {
        if !state.followee_exists {
            return Err(Rejection::UserNotFound);
        }
        if !state.follows() {
            return Ok(Decision::Unchanged(()));
        }
        Ok(Decision::Append {
            event: UserEvent::UserUnfollowed { followee: self.followee.clone() },
            totals: Totals { following: turn.totals.following.saturating_sub(1) },
            changes: state.changes(caller, &self.followee, false, turn),
            output: (),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::TallyShard,
        samples::{self, user, version},
    };

    fn state(following: Option<bool>) -> State {
        State {
            caller_has_profile: true,
            followee_exists: true,
            edge: following.map(|following| Edge { following, version: version(3) }),
        }
    }

    fn turn(following: u64) -> Turn {
        Turn { totals: Totals { following }, ..samples::turn() }
    }

    fn follow(followee: &str, state: State, following: u64) -> Result<Decision<()>, Rejection> {
        FollowUser { followee: user(followee) }.decide(&user("ada"), &state, turn(following))
    }

    fn unfollow(state: State) -> Result<Decision<()>, Rejection> {
        UnfollowUser { followee: user("bob") }.decide(&user("ada"), &state, turn(1))
    }

    #[test]
    fn a_first_follow_makes_the_edge() {
        let Ok(Decision::Append { changes, totals, .. }) = follow("bob", state(None), 0) else { panic!() };
        assert_eq!(totals.following, 1);
        let edge = Edge { following: true, version: version(9) };
        assert_eq!(
            changes,
            [
                Change::PutEdge { follower: user("ada"), followee: user("bob"), edge, replaces: None },
                Change::Count {
                    subject: TallySubject::User(user("bob")),
                    shard: TallyShard::default(),
                    more: Counts { followers: 1, ..Counts::default() },
                },
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
        assert!(matches!(&changes[0], Change::PutEdge { edge: Edge { following: false, .. }, .. }));
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
    }
}
