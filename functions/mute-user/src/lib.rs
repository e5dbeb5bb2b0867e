//! `PUT` and `DELETE /v1/users/{user}/mute`: makes the caller see nothing of a user, or no longer so.

use tidings::{
    command::{self, MuteUser},
    error::Error,
    http::{Call, Response},
    model::Clock,
    query,
    store::command_table::CommandTable,
};

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`command::run`].
pub async fn handle(commands: &CommandTable, clock: &Clock, call: Call) -> Result<Response, Error> {
    let muted = query::resolve(commands, &call.user()?).await?;
    let command = MuteUser { muted, mute: call.method() == "PUT" };
    let committed = command::run(&command, &call.caller, commands, clock).await?;
    Ok(Response::no_content().version(committed.version))
}
