//! `PUT /v1/me` and `GET /v1/me`: the caller creates, changes or reads their own profile.

use serde::Deserialize;
use tidings::{
    command::{self, UpdateProfile},
    error::{Error, Rejection},
    http::{Call, Response, view::OwnProfile},
    model::{AvatarUrl, Clock, DisplayName, Handle, PublicProfile, ReservedHandles},
    store::command_table::CommandTable,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    handle: String,
    display_name: String,
    avatar_url: Option<String>,
}

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
    match call.method() {
        "PUT" => put(commands, reserved, clock, call).await,
        _ => get(commands, call).await,
    }
}

async fn put(
    commands: &CommandTable,
    reserved: &ReservedHandles,
    clock: &Clock,
    call: Call,
) -> Result<Response, Error> {
    let profile = public_profile(call.json()?)?;
    let is_reserved = reserved.contains(&profile.handle);
    let command = UpdateProfile { profile, is_reserved };
    let committed = command::run(&command, &call.caller, commands, clock).await?;
    Ok(Response::json(200, &OwnProfile::from(&committed.output)).version(committed.version))
}

fn public_profile(body: Body) -> Result<PublicProfile, Rejection> {
    Ok(PublicProfile {
        handle: Handle::try_from(body.handle)?,
        display_name: DisplayName::try_from(body.display_name)?,
        avatar_url: body.avatar_url.map(AvatarUrl::try_from).transpose()?,
    })
}

async fn get(commands: &CommandTable, call: Call) -> Result<Response, Error> {
    let profile = commands.profile(&call.caller).await?.ok_or(Rejection::ProfileNotFound)?;
    Ok(Response::json(200, &OwnProfile::from(&profile)))
}
