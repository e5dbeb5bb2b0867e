//! `RemoveFollower`: the caller ends the follow of a user who follows them. The end of the follow is in the log of the
//! follower, as if the follower had ended it. The caller's log says who was removed. Both are one transaction. The
//! follower may follow the caller again: a block prevents that.

use super::{
    decision::{Command, Decision, Turn},
    follow_user::end_follow_of,
};
use crate::{
    error::{Error, Rejection},
    model::{EdgeKey, EdgeKind, UserEvent, UserId},
    store::{
        command_table::{CommandTable, Head},
        edges::Edges,
        transaction::Change,
    },
};

/// The caller removes a follower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveFollower {
    /// The user who follows the caller.
    pub follower: UserId,
}

/// What the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    exists: bool,
    edges: Edges,
    /// The end of the follower's log, to which the unfollow is appended.
    followers: Head,
}

impl Command for RemoveFollower {
    type State = State;
    type Output = ();

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        let keys = [EdgeKey::new(&self.follower, EdgeKind::Follows, caller)];
        let (profile, edges, followers) =
            tokio::try_join!(commands.profile(&self.follower), commands.edges(&keys), commands.head(&self.follower))?;
        // The follow may have ended with the account.
        Ok(State { exists: profile.is_some() || followers.standing.is_deleted(), edges, followers })
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<()>, Rejection> {
        if *caller == self.follower {
            return Err(Rejection::CannotFollowSelf);
        }
        if !state.exists {
            // The erasure of the follower's account ends the follow.
            let follow = state.edges.get(&EdgeKey::new(&self.follower, EdgeKind::Follows, caller));
            return follow.map(|_| Decision::Unchanged(())).ok_or(Rejection::UserNotFound);
        }
        Ok(match end_follow_of(&state.edges, &self.follower, &state.followers, caller, turn) {
            None => Decision::Unchanged(()),
            Some((end, mut changes)) => {
                changes.push(Change::Append(end));
                let event = UserEvent::FollowerRemoved { follower: self.follower.clone() };
                Decision::Append { event, totals: turn.totals, changes, output: () }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Counts, Edge, EdgeState, TallySubject, Totals},
        samples::{turn, user, version},
    };

    fn state(follow: Option<EdgeState>) -> State {
        let key = EdgeKey::new(&user("bob"), EdgeKind::Follows, &user("ada"));
        let edges = follow.map(|state| (key, Edge::new(state, version(3)))).into_iter().collect();
        let followers =
            Head { version: version(6), totals: Totals { following: 1, ..Totals::default() }, ..Head::default() };
        State { exists: true, edges, followers }
    }

    fn decide(follower: &str, follow: Option<EdgeState>) -> Result<Decision<()>, Rejection> {
        let state = State { exists: follower != "ghost", ..state(follow) };
        RemoveFollower { follower: user(follower) }.decide(&user("ada"), &state, turn())
    }

    #[test]
    fn the_follow_ends_in_the_log_of_the_follower_and_the_removal_is_in_that_of_the_caller() {
        let Ok(Decision::Append { event, totals, changes, .. }) = decide("bob", Some(EdgeState::Active)) else {
            panic!("not appended")
        };
        assert_eq!(event, UserEvent::FollowerRemoved { follower: user("bob") });
        assert_eq!(totals, turn().totals, "the caller follows as many as before");
        let [Change::PutEdge { key, edge, .. }, Change::Count { subject, more, .. }, Change::Append(end)] =
            &changes[..]
        else {
            panic!("{changes:?}")
        };
        assert_eq!((&key.from, &key.to), (&user("bob"), &user("ada")));
        assert_eq!(*edge, Edge::new(EdgeState::Ended, version(7)), "the version of the follower's event");
        assert_eq!(*subject, TallySubject::User(user("ada")));
        assert_eq!(*more, Counts { followers: -1, ..Counts::default() });
        assert_eq!((&end.user, end.version, end.totals.following), (&user("bob"), version(7), 0));
        assert_eq!(end.event, UserEvent::UserUnfollowed { followee: user("ada") });
    }

    #[test]
    fn who_does_not_follow_need_not_be_removed() {
        for follow in [None, Some(EdgeState::Ended)] {
            assert_eq!(decide("bob", follow), Ok(Decision::Unchanged(())));
        }
    }

    #[test]
    fn what_cannot_be_is_rejected() {
        assert_eq!(decide("ada", None), Err(Rejection::CannotFollowSelf));
        assert_eq!(decide("ghost", None), Err(Rejection::UserNotFound));
        for follow in [EdgeState::Active, EdgeState::Ended] {
            let gone = State { exists: false, ..state(Some(follow)) };
            let decided = RemoveFollower { follower: user("bob") }.decide(&user("ada"), &gone, turn());
            assert_eq!(decided, Ok(Decision::Unchanged(())), "the erasure ends the follow");
        }
    }
}
