//! `PUT` and `DELETE /v1/posts/{post}/like`: makes the caller like a post, or no longer.

use tidings::{
    command,
    error::Error,
    http::{Call, Response},
    model::Clock,
    store::command_table::CommandTable,
};

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`command::react_to_post`].
pub async fn handle(commands: &CommandTable, clock: &Clock, call: Call) -> Result<Response, Error> {
    let liked = call.method() == "PUT";
    let committed = command::react_to_post(&call.caller, call.post()?, liked, commands, clock).await?;
    Ok(Response::no_content().version(committed.version))
}
