//! `FollowUser`: the caller follows or unfollows a user. The edge is stored in the partitions of both users,
//! and one transaction changes both.

use super::decision::{Command, Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{
        Counts, Edge, EdgeKey, EdgeKind, EdgeState, LogEvent, PartitionShard, Profile, Standing, TallyShard,
        TallySubject, Timestamp, Totals, UserEvent, UserId, Version, limits::FOLLOWING_MAX,
    },
    store::{
        command_table::{CommandTable, Head},
        edges::Edges,
        transaction::Change,
    },
};

/// The caller follows or unfollows a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUser {
    /// The user to follow or unfollow.
    pub followee: UserId,
    /// Whether the caller wants to follow the user.
    pub wanted: EdgeState,
}

/// What the decision rests on. The transaction does not require that the followed user exists: with that condition, all
/// follows of one user would conflict. If a deletion of the account comes in between, the projection ends the follow.
///
/// If very many users follow one at this moment, their transactions do not require either that this one does not block
/// them: all those conditions are in one partition. A follow may then come some seconds after the block. The projection
/// of the block looks again later, and ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    followee_exists: bool,
    edges: Edges,
    /// Whether the followed user was there, and did not block the caller, when this process read it a moment ago.
    is_recalled: bool,
}

impl Command for FollowUser {
    type State = State;
    type Output = ();

    fn counter(&self) -> Option<TallySubject> {
        Some(TallySubject::User(self.followee.clone()))
    }

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        let [to, from] = EdgeKey::blocks(caller, &self.followee);
        let keys = [EdgeKey::new(caller, EdgeKind::Follows, &self.followee), to, from];
        let (profile, edges) = commands.profile_and_edges(&self.followee, &keys).await?;
        // Nobody can begin to follow a suspended user.
        let is_wanted = |profile: &Profile| !profile.suspended || !self.wanted.is_active();
        let followee_exists = match &profile {
            Some(profile) => is_wanted(profile),
            // The follow may have ended with the account.
            None => !self.wanted.is_active() && commands.head(&self.followee).await?.standing.is_deleted(),
        };
        Ok(State { followee_exists, edges, is_recalled: false })
    }

    async fn recall(&self, caller: &UserId, commands: &CommandTable, at: Timestamp) -> Result<Option<State>, Error> {
        if !self.wanted.is_active() {
            // A follow that stands is all that its end needs.
            let edges = commands.edges(&[EdgeKey::new(caller, EdgeKind::Follows, &self.followee)]).await?;
            let stands = edges.active(caller, EdgeKind::Follows, &self.followee);
            return Ok(stands.then_some(State { followee_exists: true, edges, is_recalled: true }));
        }
        let keys = [EdgeKind::Follows, EdgeKind::Blocks].map(|kind| EdgeKey::new(caller, kind, &self.followee));
        let (standing, is_blocked, edges) = tokio::try_join!(
            commands.recent_standing(&self.followee, at),
            commands.blocked_lately(&self.followee, caller, at),
            commands.edges(&keys)
        )?;
        // A block may be about to end a follow that is there already. A follow that changes nothing is not one of the
        // many, and can read everything.
        let is_new = !edges.active(caller, EdgeKind::Follows, &self.followee);
        let is_open = standing == Some(Standing::Active) && !is_blocked && is_new;
        Ok(is_open.then_some(State { followee_exists: true, edges, is_recalled: true }))
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<()>, Rejection> {
        if *caller == self.followee {
            return Err(Rejection::CannotFollowSelf);
        }
        match self.wanted {
            EdgeState::Active => self.decide_follow(caller, state, turn),
            EdgeState::Ended => self.decide_unfollow(caller, state, turn),
        }
    }
}

impl FollowUser {
    fn decide_follow(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<()>, Rejection> {
        if !state.followee_exists {
            return Err(Rejection::UserNotFound);
        }
        // A follow that a block ends stands until the projection of the block has ended it.
        if state.edges.block_between(caller, &self.followee) {
            return Err(Rejection::Blocked);
        }
        if state.edges.active(caller, EdgeKind::Follows, &self.followee) {
            return Ok(Decision::Unchanged(()));
        }
        if turn.totals.following >= FOLLOWING_MAX {
            return Err(Rejection::FollowingLimitReached);
        }
        let before = state.edges.get(&EdgeKey::new(caller, EdgeKind::Follows, &self.followee));
        let edge = Edge {
            since: before.and_then(|it| it.since).or(Some(turn.at)),
            shard: before.map_or_else(|| PartitionShard::of_edge(turn.shard), |it| it.shard),
            ..Edge::new(EdgeState::Active, turn.version)
        };
        let mut changes = change_edge(&state.edges, caller, &self.followee, edge, turn.shard);
        let mut require_no_block = |by: &UserId, of: &UserId| {
            changes.push(Change::RequireNoBlock { by: by.clone(), of: of.clone() });
        };
        require_no_block(caller, &self.followee);
        if !state.is_recalled {
            require_no_block(&self.followee, caller);
        }
        Ok(Decision::Append {
            event: UserEvent::UserFollowed { followee: self.followee.clone() },
            totals: Totals { following: turn.totals.following + 1, ..turn.totals },
            changes,
            output: (),
        })
    }

    fn decide_unfollow(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<()>, Rejection> {
        // The followed user may have deleted the account. Then the end is still possible.
        let key = EdgeKey::new(caller, EdgeKind::Follows, &self.followee);
        if !state.followee_exists && state.edges.get(&key).is_none() {
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

/// The follower's totals after an unfollow, and its changes. None if there is no follow. `version` is that of the event
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
    let follow = edges.get(&EdgeKey::new(follower, EdgeKind::Follows, followee)).filter(|edge| edge.active)?;
    let ended = Edge { shard: follow.shard, ..Edge::new(EdgeState::Ended, version) };
    Some((totals, change_edge(edges, follower, followee, ended, shard)))
}

/// The event that ends the follow of another user in that user's log, and its changes. `head` is the end of that log.
/// None if there is no such follow.
pub(super) fn end_follow_of(
    edges: &Edges,
    follower: &UserId,
    head: &Head,
    followee: &UserId,
    turn: Turn,
) -> Option<(LogEvent, Vec<Change>)> {
    if head.standing.is_deleted() {
        // The erasure of the follower's account ends the follow. Nothing comes behind the end of a log.
        return None;
    }
    let version = head.version.next();
    let (totals, changes) = unfollow(edges, follower, followee, head.totals, version, turn.shard)?;
    let event = UserEvent::UserUnfollowed { followee: followee.clone() };
    let (user, spent, command, at) = (follower.clone(), head.spent, turn.command, turn.at);
    Some((LogEvent { user, version, command, at, totals, spent, standing: head.standing, event }, changes))
}

/// Changes the edge and the count of followers. The count changes only if the edge does (INV-3).
fn change_edge(edges: &Edges, follower: &UserId, followee: &UserId, edge: Edge, shard: TallyShard) -> Vec<Change> {
    let key = EdgeKey::new(follower, EdgeKind::Follows, followee);
    let replaces = edges.get(&key).map(|edge| edge.version);
    let more = Counts { followers: if edge.active { 1 } else { -1 }, ..Counts::default() };
    vec![
        Change::PutEdge { key, edge, replaces },
        Change::Count { subject: TallySubject::User(followee.clone()), shard, more },
    ]
}

#[cfg(test)]
mod tests {
    use EdgeState::{Active, Ended};

    use super::*;
    use crate::samples::{self, user, version};

    fn state(follow: Option<EdgeState>) -> State {
        let key = EdgeKey::new(&user("ada"), EdgeKind::Follows, &user("bob"));
        let edges = follow.map(|state| (key, Edge::new(state, version(3)))).into_iter().collect();
        State { followee_exists: true, edges, is_recalled: false }
    }

    fn turn(following: u64) -> Turn {
        Turn { totals: Totals { following, ..Totals::default() }, ..samples::turn() }
    }

    fn follow(followee: &str, state: State, following: u64) -> Result<Decision<()>, Rejection> {
        FollowUser { followee: user(followee), wanted: Active }.decide(&user("ada"), &state, turn(following))
    }

    fn unfollow(state: State) -> Result<Decision<()>, Rejection> {
        unfollow_of("bob", state)
    }

    fn unfollow_of(followee: &str, state: State) -> Result<Decision<()>, Rejection> {
        FollowUser { followee: user(followee), wanted: Ended }.decide(&user("ada"), &state, turn(1))
    }

    #[test]
    fn a_first_follow_writes_the_edge_unless_there_is_a_block() {
        let Ok(Decision::Append { changes, totals, .. }) = follow("bob", state(None), 0) else { panic!() };
        assert_eq!(totals.following, 1);
        let key = EdgeKey::new(&user("ada"), EdgeKind::Follows, &user("bob"));
        let edge = Edge { since: Some(turn(0).at), ..Edge::new(Active, version(9)) };
        let more = Counts { followers: 1, ..Counts::default() };
        assert_eq!(
            changes,
            [
                Change::PutEdge { key, edge, replaces: None },
                Change::Count { subject: TallySubject::User(user("bob")), shard: turn(0).shard, more },
                Change::RequireNoBlock { by: user("ada"), of: user("bob") },
                Change::RequireNoBlock { by: user("bob"), of: user("ada") },
            ]
        );
    }

    #[test]
    fn a_follow_after_an_unfollow_replaces_the_edge() {
        let Ok(Decision::Append { changes, .. }) = follow("bob", state(Some(Ended)), 0) else { panic!() };
        assert!(matches!(&changes[0], Change::PutEdge { replaces: Some(version), .. } if version.get() == 3));
    }

    #[test]
    fn doing_it_twice_changes_nothing() {
        assert_eq!(follow("bob", state(Some(Active)), 1), Ok(Decision::Unchanged(())));
        assert_eq!(unfollow(state(Some(Ended))), Ok(Decision::Unchanged(())));
        assert_eq!(unfollow(state(None)), Ok(Decision::Unchanged(())));
    }

    #[test]
    fn an_unfollow_keeps_the_edge_and_counts_down() {
        let Ok(Decision::Append { changes, totals, .. }) = unfollow(state(Some(Active))) else { panic!() };
        assert_eq!(totals.following, 0);
        assert!(matches!(&changes[0], Change::PutEdge { edge: Edge { active: false, .. }, .. }));
        assert!(matches!(&changes[1], Change::Count { more: Counts { followers: -1, .. }, .. }));
    }

    #[test]
    fn what_cannot_be_is_rejected() {
        assert_eq!(follow("ada", state(None), 0), Err(Rejection::CannotFollowSelf));
        assert_eq!(unfollow_of("ada", state(None)), Err(Rejection::CannotFollowSelf));
        let stranger = State { followee_exists: false, ..state(None) };
        assert_eq!(follow("bob", stranger.clone(), 0), Err(Rejection::UserNotFound));
        assert_eq!(unfollow(stranger), Err(Rejection::UserNotFound));
        let gone = |follow| State { followee_exists: false, ..state(Some(follow)) };
        assert_eq!(unfollow(gone(Ended)), Ok(Decision::Unchanged(())), "bob has deleted the account since");
        assert!(matches!(unfollow(gone(Active)), Ok(Decision::Append { .. })));
        assert_eq!(follow("bob", state(None), FOLLOWING_MAX), Err(Rejection::FollowingLimitReached));
        for (from, to) in [("ada", "bob"), ("bob", "ada")] {
            let block = EdgeKey::new(&user(from), EdgeKind::Blocks, &user(to));
            for follow_edge in [None, Some(Active)] {
                let mut edges: Vec<_> = vec![(block.clone(), Edge::new(Active, version(3)))];
                let key = EdgeKey::new(&user("ada"), EdgeKind::Follows, &user("bob"));
                edges.extend(follow_edge.map(|state| (key, Edge::new(state, version(2)))));
                let state = State { edges: edges.into_iter().collect(), ..state(None) };
                assert_eq!(follow("bob", state, 0), Err(Rejection::Blocked));
            }
        }
    }
}
