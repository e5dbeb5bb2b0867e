//! `GET /v1/me/export`: everything that the command table holds about the caller, page by page.

use tidings::{
    error::Error,
    http::{Call, PageWalk, Response, view::ExportView},
    model::Clock,
    query::{cursor::CursorKeys, export},
    store::command_table::CommandTable,
};

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`export`].
pub async fn handle(commands: &CommandTable, keys: &CursorKeys, clock: &Clock, call: Call) -> Result<Response, Error> {
    let (walk, at) = PageWalk::new(keys, clock, &call, "export", "stored")?;
    let page = export(commands, &call.caller, at, walk.limit).await?;
    let body = ExportView { entries: page.entries, next_cursor: walk.next_cursor(page.next)? };
    Ok(Response::json(200, &body))
}
