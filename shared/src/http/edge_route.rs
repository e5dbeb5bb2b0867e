//! Routes that change an edge from the caller: `PUT` makes it, `DELETE` ends it.

use super::{request::Call, response::Response};
use crate::{
    command::{self, Command},
    error::Error,
    model::{Clock, EdgeState, UserId},
    query,
    store::command_table::CommandTable,
};

/// Whether the caller wants the edge: `PUT` asks for it, `DELETE` for its end.
pub fn wanted_edge(call: &Call) -> EdgeState {
    if call.method() == "PUT" { EdgeState::Active } else { EdgeState::Ended }
}

/// Answers a request that changes an edge from the caller to the user in the path. `command` builds the command of the
/// route.
///
/// # Errors
/// Those of the request and of [`command::run`].
pub async fn change_edge<C: Command>(
    commands: &CommandTable,
    clock: &Clock,
    call: Call,
    command: impl FnOnce(UserId, EdgeState) -> C,
) -> Result<Response, Error> {
    let user = query::resolve(commands, &call.user()?).await?;
    let command = command(user, wanted_edge(&call));
    let committed = command::run(&command, &call.caller, commands, clock).await?;
    Ok(Response::no_content().version(committed.version))
}
