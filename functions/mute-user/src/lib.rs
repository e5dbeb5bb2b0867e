//! `PUT` and `DELETE /v1/users/{user}/mute`: the caller mutes or unmutes a user.

use tidings::{
    command::MuteUser,
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
    http::change_edge(commands, clock, call, |muted, wanted| MuteUser { muted, wanted }).await
}
