//! `PATCH /v1/posts/{post}`: makes a post of the caller's say something else.

use serde::Deserialize;
use tidings::{
    command::{self, EditPost},
    error::{Error, Rejection},
    http::{Call, Response, view::PostView},
    model::{Clock, Text},
    query::Conversations,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    text: String,
}

/// Answers a request.
///
/// # Errors
/// Those of the request, of [`command::run`] and of [`Conversations::written`].
pub async fn handle(reader: &Conversations, clock: &Clock, call: Call) -> Result<Response, Error> {
    let post = call.post()?;
    let Body { text } = call.json()?;
    let text = Text::try_from(text).map_err(Rejection::from)?;
    let committed = command::run(&EditPost { post, text }, &call.caller, &reader.commands, clock).await?;
    let (post, author) = committed.output;
    let post = reader.written(&call.caller, post, author).await?;
    Ok(Response::json(200, &PostView::from(&post)).version(committed.version))
}
