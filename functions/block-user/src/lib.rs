//! `PUT` and `DELETE /v1/users/{user}/block`: the caller blocks or unblocks a user.

use tidings::{
    command::BlockUser,
    error::Error,
    http::{self, Call, Response},
    model::Clock,
    store::command_table::CommandTable,
};

/// Answers a request.
///
/// # Errors
/// Those of [`http::change_edge`].
pub async fn handle(commands: &CommandTable, clock: &Clock, call: Call) -> Result<Response, Error> {
    http::change_edge(commands, clock, call, |blocked, wanted| BlockUser { blocked, wanted }).await
}
