//! Users read from the command table: by handle, or before a projection has made their card.

use std::collections::HashMap;

use super::pipeline::ViewerState;
use crate::{
    error::{Error, Rejection},
    model::{Profile, UserId, UserRef},
    store::{
        cards::{Cards, UserCard},
        command_table::{Claim, CommandTable},
    },
};

/// The id of the user whom a path names. An id is returned unread: the query that uses the id finds out whether the
/// user exists.
///
/// # Errors
/// [`Rejection::HandleNotFound`] if nobody has the handle.
pub async fn resolve(commands: &CommandTable, user: &UserRef) -> Result<UserId, Error> {
    match user {
        UserRef::Id(id) => Ok(id.clone()),
        UserRef::Handle(handle) => {
            let owner = commands.claim(handle).await?.and_then(Claim::owner);
            Ok(owner.ok_or_else(|| Rejection::HandleNotFound { handle: handle.clone() })?)
        }
    }
}

/// Checks that the user exists for this viewer: a suspended user exists for nobody else. Queries call this for an empty
/// page, to distinguish a user without entries from an unknown user.
///
/// # Errors
/// [`Rejection::UserNotFound`] if the user does not exist.
pub(super) async fn require_user(commands: &CommandTable, viewer: &UserId, user: &UserId) -> Result<(), Error> {
    match commands.profile(user).await? {
        Some(profile) if !profile.suspended || user == viewer => Ok(()),
        _ => Err(Rejection::UserNotFound.into()),
    }
}

/// The card of a user, if there still is one. The user may have deleted the account.
pub(super) async fn card_if_exists(commands: &CommandTable, user: &UserId) -> Result<Option<UserCard>, Error> {
    match card_from_truth(commands, user).await {
        Ok(card) => Ok(Some(card)),
        Err(Error::Rejected(Rejection::UserNotFound)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The card of a user whose profile is so new that no projection has made the card yet. Nobody follows such a user.
///
/// # Errors
/// [`Rejection::UserNotFound`] if the user does not exist.
pub(super) async fn card_from_truth(commands: &CommandTable, user: &UserId) -> Result<UserCard, Error> {
    Ok(card(commands.profile(user).await?.ok_or(Rejection::UserNotFound)?))
}

/// The cards of those of the users who have one, as the viewer may rely on them (INV-4): with the viewer's own profile,
/// and in a strongly consistent query also of users whom no projection has reached.
pub(super) async fn cards_for(
    state: &ViewerState<'_>,
    commands: &CommandTable,
    cards: &Cards,
    users: &[UserId],
) -> Result<HashMap<UserId, UserCard>, Error> {
    let mut found = cards.users(users, state.consistency()).await?;
    let is_old = |user: &UserId| user == state.request.viewer && state.has_unfinished_profile();
    let is_new = |user: &UserId| state.consistency().is_strong() && !found.contains_key(user);
    let asked: Vec<_> = users.iter().filter(|user| is_old(user) || is_new(user)).cloned().collect();
    found.extend(cards_from_truth(commands, &asked).await?.into_iter().map(|card| (card.user.clone(), card)));
    Ok(found)
}

/// The cards of those of the users who exist, likewise.
pub(super) async fn cards_from_truth(commands: &CommandTable, users: &[UserId]) -> Result<Vec<UserCard>, Error> {
    Ok(commands.profiles(users).await?.into_iter().map(card).collect())
}

fn card(profile: Profile) -> UserCard {
    UserCard {
        user: profile.user,
        profile: profile.public,
        created_at: profile.created_at,
        suspended: profile.suspended,
        following: 0,
        followers: 0,
    }
}
