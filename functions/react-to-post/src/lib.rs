//! `PUT` and `DELETE /v1/posts/{post}/like`: the caller likes or unlikes a post.

use tidings::{
    command,
    error::Error,
    http::{Call, Response, wanted_edge},
    model::Clock,
    store::command_table::CommandTable,
};

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`command::react_to_post`].
pub async fn handle(commands: &CommandTable, clock: &Clock, call: Call) -> Result<Response, Error> {
    let wanted = wanted_edge(&call);
    let committed = command::react_to_post(&call.caller, call.post()?, wanted, commands, clock).await?;
    Ok(Response::no_content().version(committed.version))
}
