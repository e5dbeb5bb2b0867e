//! `PUT` and `DELETE /v1/users/{user}/block`: makes the caller have nothing to do with a user, or no longer so.

use tidings::{
    command::{self, BlockUser},
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
    let blocked = query::resolve(commands, &call.user()?).await?;
    let command = BlockUser { blocked, block: call.method() == "PUT" };
    let committed = command::run(&command, &call.caller, commands, clock).await?;
    Ok(Response::no_content().version(committed.version))
}
