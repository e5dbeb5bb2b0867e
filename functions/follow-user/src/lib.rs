//! `PUT` and `DELETE /v1/users/{user}/follow`: makes the caller follow a user, or no longer.

use tidings::{
    command::{self, FollowUser, UnfollowUser},
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
    let followee = query::resolve(commands, &call.user()?).await?;
    let caller = &call.caller;
    let version = match call.method() {
        "PUT" => command::run(&FollowUser { followee }, caller, commands, clock).await?.version,
        _ => command::run(&UnfollowUser { followee }, caller, commands, clock).await?.version,
    };
    Ok(Response::no_content().version(version))
}
