//! `PATCH /v1/posts/{post}`: the caller replaces the text of a post of their own.

use tidings::{
    command::{self, EditPost},
    error::Error,
    http::{Call, Response, text_body, view::PostView},
    model::Clock,
    query::Conversations,
};

/// Answers a request.
///
/// # Errors
/// Those of the request, of [`command::run`] and of [`Conversations::written`].
pub async fn handle(conversations: &Conversations, clock: &Clock, call: Call) -> Result<Response, Error> {
    let post = call.post()?;
    let text = text_body(&call)?;
    let committed = command::run(&EditPost { post, text }, &call.caller, &conversations.commands, clock).await?;
    let (post, author) = committed.output;
    let written = async || conversations.written(&call.caller, committed.version, post.clone(), author.clone()).await;
    let post = conversations.read_models.reading(written).await?;
    Ok(Response::json(200, &PostView::from(&post)).version(committed.version))
}
