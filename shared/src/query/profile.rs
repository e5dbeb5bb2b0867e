//! A user's public profile, and how caller and user stand to each other.

use super::PeopleReader;
use crate::{
    error::{Error, Rejection},
    model::UserId,
    store::{
        cards::UserCard,
        commands::{Commands, Edge},
    },
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
}

impl PeopleReader {
    /// The profile of a user.
    ///
    /// # Errors
    /// [`Rejection::UserNotFound`] if there is no such user.
    pub async fn profile(&self, caller: &UserId, user: &UserId) -> Result<ProfileView, Error> {
        let ids = [user.clone()];
        let (mut cards, to, from) = tokio::try_join!(
            self.cards.users(&ids),
            self.commands.edge(caller, user),
            self.commands.edge(user, caller)
        )?;
        let card = match cards.remove(user) {
            Some(card) => card,
            None => card_from_truth(&self.commands, user).await?,
        };
        let follows = |edge: Option<Edge>| edge.is_some_and(|edge| edge.following);
        Ok(ProfileView { card, relation: Relation { following: follows(to), followed_by: follows(from) } })
    }
}

/// The card of a user who has made a profile so recently that it is not projected yet.
///
/// # Errors
/// [`Rejection::UserNotFound`] if there is no such user.
pub(super) async fn card_from_truth(commands: &Commands, user: &UserId) -> Result<UserCard, Error> {
    let profile = commands.profile(user).await?.ok_or(Rejection::UserNotFound)?;
    Ok(UserCard {
        user: profile.user,
        profile: profile.public,
        created_at: profile.created_at,
        following: 0,
        followers: 0,
    })
}
