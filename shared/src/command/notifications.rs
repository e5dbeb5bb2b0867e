//! What a user says about notifications: up to when they are seen, and which kinds are turned off. Devices send the
//! first often, and nothing else follows from either, so both are in no log and this is not a [`super::Command`].

use std::time::Duration;

use super::{
    decision::{Committed, require_active},
    run::require_profile,
};
use crate::{
    error::{Error, Rejection},
    model::{Clock, NotificationKind, Timestamp, UserId},
    store::command_table::CommandTable,
};

/// How far a moment may be in the future, because the clocks of functions differ.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// The caller has seen all notifications up to this moment. An earlier moment than one that was sent before changes
/// nothing. The returned version is that of the caller's log, which this does not change.
///
/// # Errors
/// [`Rejection::ProfileRequired`]; [`Rejection::AccountSuspended`], [`Rejection::AccountDeleted`];
/// [`Rejection::UpToInFuture`] if the moment has not come; otherwise as the store's.
pub async fn see_notifications(
    caller: &UserId,
    up_to: Timestamp,
    commands: &CommandTable,
    clock: &Clock,
) -> Result<Committed<()>, Error> {
    if up_to > clock.now().after(AHEAD_MAX) {
        return Err(Rejection::UpToInFuture.into());
    }
    let head = commands.head(caller).await?;
    require_profile(&head)?;
    require_active(head.standing)?;
    commands.put_notifications_seen(caller, up_to).await?;
    Ok(Committed { version: head.version, output: () })
}

/// The caller turns a kind of notifications off, or on again. Repeating this changes nothing. The returned version is
/// that of the caller's log, which this does not change.
///
/// # Errors
/// [`Rejection::ProfileRequired`]; [`Rejection::AccountSuspended`], [`Rejection::AccountDeleted`]; otherwise as the
/// store's.
pub async fn turn_notifications(
    caller: &UserId,
    kind: NotificationKind,
    on: bool,
    commands: &CommandTable,
) -> Result<Committed<()>, Error> {
    let head = commands.head(caller).await?;
    require_profile(&head)?;
    require_active(head.standing)?;
    commands.turn_notifications(caller, kind, on).await?;
    Ok(Committed { version: head.version, output: () })
}
