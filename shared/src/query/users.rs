//! Users read from the command table: by handle, or before a projection has made their card.

use crate::{
    error::{Error, Rejection},
    model::{UserId, UserRef},
    store::{
        cards::UserCard,
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
    let profile = commands.profile(user).await?.ok_or(Rejection::UserNotFound)?;
    Ok(UserCard {
        user: profile.user,
        profile: profile.public,
        created_at: profile.created_at,
        suspended: profile.suspended,
        following: 0,
        followers: 0,
    })
}
