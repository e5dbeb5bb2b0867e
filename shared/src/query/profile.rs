//! The public profile of a user, and the relation between the caller and the user.

use super::{
    pipeline::{ReadRequest, ViewerState},
    services::People,
    users::card_from_truth,
};
use crate::{
    error::{Error, Rejection},
    model::{EdgeKey, EdgeKind, Profile, Totals, UserId},
    store::{Consistency, cards::UserCard},
};

/// A profile as the caller sees it. Where one of the two blocks the other, only the ids and the relation are for the
/// caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileView {
    /// The user.
    pub card: UserCard,
    /// The relation between the caller and the user.
    pub relation: Relation,
}

/// The relation between the caller and another user, as the command table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation {
    /// Whether the caller follows the user.
    pub following: bool,
    /// Whether the user follows the caller.
    pub followed_by: bool,
    /// Whether the caller mutes the user.
    pub muted: bool,
    /// Whether the caller blocks the user.
    pub blocked: bool,
    /// Whether the user blocks the caller.
    pub blocked_by: bool,
}

impl Relation {
    /// Whether one of the two blocks the other.
    pub fn has_block(&self) -> bool {
        self.blocked || self.blocked_by
    }
}

/// The caller's own profile and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnProfileView {
    /// The profile, as the command table has it.
    pub profile: Profile,
    /// The counts that only the caller changes, as the command table has them.
    pub totals: Totals,
    /// The number of followers. It can lag behind.
    pub followers: u64,
}

impl People {
    /// The profile of the caller, which shows all of the caller's commands.
    ///
    /// # Errors
    /// [`Rejection::ProfileNotFound`] if the caller has none.
    pub async fn own_profile(&self, caller: &UserId) -> Result<OwnProfileView, Error> {
        let ids = [caller.clone()];
        let (profile, head, mut cards) = tokio::try_join!(
            self.commands.profile(caller),
            self.commands.head(caller),
            self.cards.users(&ids, Consistency::Eventual)
        )?;
        let profile = profile.ok_or(Rejection::ProfileNotFound)?;
        let followers = cards.remove(caller).map_or(0, |card| card.followers);
        Ok(OwnProfileView { profile, totals: head.totals, followers })
    }

    /// The profile of a user.
    ///
    /// # Errors
    /// [`Rejection::UserNotFound`] if the user does not exist.
    pub async fn profile(&self, request: ReadRequest<'_>, user: &UserId) -> Result<ProfileView, Error> {
        let caller = request.viewer;
        let ids = [user.clone()];
        let keys = [
            EdgeKey::new(caller, EdgeKind::Follows, user),
            EdgeKey::new(user, EdgeKind::Follows, caller),
            EdgeKey::new(caller, EdgeKind::Mutes, user),
            EdgeKey::new(caller, EdgeKind::Blocks, user),
            EdgeKey::new(user, EdgeKind::Blocks, caller),
        ];
        let state = ViewerState::read_own_writes(request, &self.viewers, &self.commands).await?;
        let (mut cards, edges) =
            tokio::try_join!(self.cards.users(&ids, request.consistency()), self.commands.edges(&keys))?;
        let card = match cards.remove(user) {
            Some(card) => card,
            None => card_from_truth(&self.commands, user).await?,
        };
        if !card.is_shown_to(caller) {
            return Err(Rejection::UserNotFound.into());
        }
        // The log of the caller tells nothing about other users.
        let card = match state.unprojected_totals().filter(|_| user == caller) {
            Some(totals) => UserCard {
                following: totals.following,
                followers: card.followers,
                ..card_from_truth(&self.commands, user).await?
            },
            None => card,
        };
        // A block ends both follows. The follow of the blocked user stands until a projection has ended it.
        let is_blocked = edges.block_between(caller, user);
        let relation = Relation {
            following: !is_blocked && edges.active(caller, EdgeKind::Follows, user),
            followed_by: !is_blocked && edges.active(user, EdgeKind::Follows, caller),
            muted: edges.active(caller, EdgeKind::Mutes, user),
            blocked: edges.active(caller, EdgeKind::Blocks, user),
            blocked_by: edges.active(user, EdgeKind::Blocks, caller),
        };
        Ok(ProfileView { card, relation })
    }
}
