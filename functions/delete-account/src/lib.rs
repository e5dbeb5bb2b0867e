//! `DELETE /v1/me`: the caller deletes the account. Deliver then erases it, step by step.

use tidings::{
    command::{self, DeleteAccount},
    error::Error,
    http::{Call, Response},
    model::Clock,
    store::command_table::CommandTable,
};

/// Answers a request.
///
/// # Errors
/// Those of [`command::run`].
pub async fn handle(commands: &CommandTable, clock: &Clock, call: Call) -> Result<Response, Error> {
    let committed = command::run(&DeleteAccount, &call.caller, commands, clock).await?;
    Ok(Response::no_content().version(committed.version))
}
