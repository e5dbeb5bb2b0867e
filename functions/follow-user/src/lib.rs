//! `PUT` and `DELETE /v1/users/{user}/follow`: the caller follows or unfollows a user.
//! `DELETE /v1/me/followers/{user}`: the caller removes a follower.

use tidings::{
    command::{FollowUser, RemoveFollower},
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
    match call.route() {
        "DELETE /v1/me/followers/{user}" => {
            http::change_edge(commands, clock, call, |follower, _| RemoveFollower { follower }).await
        }
        _ => http::change_edge(commands, clock, call, |followee, wanted| FollowUser { followee, wanted }).await,
    }
}
