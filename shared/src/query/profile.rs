//! A user's public profile, and how caller and user stand to each other.

use super::{People, ReadRequest, Sight};
use crate::{
    error::{Error, Rejection},
    model::{EdgeKey, EdgeKind, UserId},
    store::{cards::UserCard, command_table::CommandTable},
};

/// A profile as the caller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileView {
    /// The user.
    pub card: UserCard,
    /// How they stand to each other.
    pub relation: Relation,
}

/// How the caller and another user stand to each other; read from the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation {
    /// Whether the caller follows the user.
    pub following: bool,
    /// Whether the user follows the caller.
    pub followed_by: bool,
    /// Whether the caller mutes the user.
    pub muted: bool,
    /// Whether the caller blocks the user. Whether the user blocks the caller is not told.
    pub blocked: bool,
}

impl People {
    /// The profile of a user.
    ///
    /// # Errors
    /// [`Rejection::UserNotFound`] if there is no such user.
    pub async fn profile(&self, reader: ReadRequest<'_>, user: &UserId) -> Result<ProfileView, Error> {
        let caller = reader.user;
        let ids = [user.clone()];
        let keys = [
            EdgeKey::new(caller, EdgeKind::Follows, user),
            EdgeKey::new(user, EdgeKind::Follows, caller),
            EdgeKey::new(caller, EdgeKind::Mutes, user),
            EdgeKey::new(caller, EdgeKind::Blocks, user),
        ];
        let sight = match reader.consistent() {
            true => Sight::of(reader, &self.viewers, &self.commands).await?,
            false => Sight::default(),
        };
        let (mut cards, edges) =
            tokio::try_join!(self.cards.users(&ids, reader.consistent()), self.commands.edges(&keys))?;
        let card = match cards.remove(user) {
            Some(card) => card,
            None => card_from_truth(&self.commands, user).await?,
        };
        // Only of themselves have readers anything to lay over.
        let card = match sight.overlay.totals.filter(|_| user == caller) {
            Some(totals) => UserCard {
                following: totals.following,
                followers: card.followers,
                ..card_from_truth(&self.commands, user).await?
            },
            None => card,
        };
        let relation = Relation {
            following: edges.active(caller, EdgeKind::Follows, user),
            followed_by: edges.active(user, EdgeKind::Follows, caller),
            muted: edges.active(caller, EdgeKind::Mutes, user),
            blocked: edges.active(caller, EdgeKind::Blocks, user),
        };
        Ok(ProfileView { card, relation })
    }
}

/// The card of a user who has made a profile so recently that it is not projected yet.
///
/// # Errors
/// [`Rejection::UserNotFound`] if there is no such user.
pub(super) async fn card_from_truth(commands: &CommandTable, user: &UserId) -> Result<UserCard, Error> {
    let profile = commands.profile(user).await?.ok_or(Rejection::UserNotFound)?;
    Ok(UserCard {
        user: profile.user,
        profile: profile.public,
        created_at: profile.created_at,
        following: 0,
        followers: 0,
    })
}
