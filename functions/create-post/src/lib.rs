//! `POST /v1/posts`: accepts a post, once per idempotency key.

use serde::Deserialize;
use tidings::{
    command::{self, CreatePost},
    error::Error,
    http::{Call, Response, view::PostView},
    model::{Clock, PostId, Text},
    query::FeedPost,
    store::{cards::PostCard, command_table::CommandTable},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    text: String,
}

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`command::run`].
pub async fn handle(commands: &CommandTable, clock: &Clock, call: Call) -> Result<Response, Error> {
    let Body { text } = call.json()?;
    let text = Text::try_from(text).map_err(tidings::error::Rejection::from)?;
    let command = CreatePost { post: PostId::new(clock.now()), text, key: call.idempotency_key()? };
    let committed = command::run(&command, &call.caller, commands, clock).await?;
    let post = FeedPost::new(PostCard::new(committed.output.post, committed.output.author), false);
    Ok(Response::json(201, &PostView::from(&post))
        .header("location", format!("/v1/posts/{}", post.card.post))
        .version(committed.version))
}
