//! `DELETE /v1/posts/{post}`: the caller deletes a post of their own.

use tidings::{
    command::{self, DeletePost},
    error::Error,
    http::{Call, Response},
    model::Clock,
    store::command_table::CommandTable,
};

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`command::run`].
pub async fn handle(commands: &CommandTable, clock: &Clock, call: Call) -> Result<Response, Error> {
    let command = DeletePost { post: call.post()? };
    let committed = command::run(&command, &call.caller, commands, clock).await?;
    Ok(Response::no_content().version(committed.version))
}
