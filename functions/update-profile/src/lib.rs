//! The caller creates or changes their own profile: `PUT /v1/me` and `PATCH /v1/me`; and says what they have seen of
//! the notifications, and which kinds are off: `PUT /v1/me/notifications/seen`, `PUT` and `DELETE
//! /v1/me/notifications/off/{kind}`.

use tidings::{
    command::{self, PatchProfile, UpdateProfile},
    error::{Error, Rejection},
    http::{Call, Optional, Response, view::OwnProfile},
    model::{AvatarUrl, Clock, DisplayName, Handle, PublicProfile, ReservedHandles, Timestamp},
    store::command_table::CommandTable,
};

/// The members of a profile.
const MEMBERS: [&str; 3] = ["handle", "display_name", "avatar_url"];

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`command::run`].
pub async fn handle(
    commands: &CommandTable,
    reserved: &ReservedHandles,
    clock: &Clock,
    call: Call,
) -> Result<Response, Error> {
    match call.route() {
        "PUT /v1/me/notifications/seen" => {
            let up_to = call.body(&["up_to"])?.text("up_to")?;
            let up_to = Timestamp::from_rfc3339(&up_to).ok_or(Rejection::InvalidUpTo)?;
            let seen = command::see_notifications(&call.caller, up_to, commands, clock).await?;
            return Ok(Response::no_content().version(seen.version));
        }
        "PUT /v1/me/notifications/off/{kind}" | "DELETE /v1/me/notifications/off/{kind}" => {
            let (kind, on) = (call.notification_kind()?, call.method() == "DELETE");
            let turned = command::turn_notifications(&call.caller, kind, on, commands).await?;
            return Ok(Response::no_content().version(turned.version));
        }
        _ => {}
    }
    let committed = match call.method() {
        "PATCH" => command::run(&patch(&call, reserved)?, &call.caller, commands, clock).await?,
        _ => {
            let profile = whole(&call)?;
            let is_reserved = reserved.contains(&profile.handle);
            command::run(&UpdateProfile { profile, is_reserved }, &call.caller, commands, clock).await?
        }
    };
    Ok(Response::json(200, &OwnProfile::from(&committed.output)).version(committed.version))
}

/// The whole profile. A picture that is left out is removed.
fn whole(call: &Call) -> Result<PublicProfile, Rejection> {
    let mut members = call.body(&MEMBERS)?;
    // All members are read before one is checked, so that a malformed body is always answered as such.
    let (handle, display_name) = (members.text("handle")?, members.text("display_name")?);
    let avatar_url = members.optional("avatar_url")?.text();
    Ok(PublicProfile {
        handle: Handle::try_from(handle)?,
        display_name: DisplayName::try_from(display_name)?,
        avatar_url: avatar_url.map(AvatarUrl::try_from).transpose()?,
    })
}

/// The changes. A member that is left out stays as it is (RFC 7396).
fn patch(call: &Call, reserved: &ReservedHandles) -> Result<PatchProfile, Rejection> {
    let mut members = call.body(&MEMBERS)?;
    let (handle, display_name) = (members.text_if_present("handle")?, members.text_if_present("display_name")?);
    let avatar_url = members.optional("avatar_url")?;
    let handle = handle.map(Handle::try_from).transpose()?;
    Ok(PatchProfile {
        is_reserved: handle.as_ref().is_some_and(|handle| reserved.contains(handle)),
        handle,
        display_name: display_name.map(DisplayName::try_from).transpose()?,
        avatar_url: match avatar_url {
            Optional::Absent => None,
            Optional::Null => Some(None),
            Optional::Text(url) => Some(Some(AvatarUrl::try_from(url)?)),
        },
    })
}
