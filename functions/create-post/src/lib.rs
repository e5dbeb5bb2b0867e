//! `POST /v1/posts`: the caller writes a post, once for each idempotency key.

use tidings::{
    command::{self, CreatePost},
    error::Error,
    http::{Call, Response, text_body, view::PostView},
    model::{Clock, PostId},
    query::FeedPost,
    store::{cards::PostCard, command_table::CommandTable},
};

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`command::run`].
pub async fn handle(commands: &CommandTable, clock: &Clock, call: Call) -> Result<Response, Error> {
    let text = text_body(&call)?;
    let command = CreatePost { post: PostId::new(clock.now()), text, key: call.idempotency_key()? };
    let committed = command::run(&command, &call.caller, commands, clock).await?;
    let post = FeedPost::new(PostCard::new(committed.output.post, committed.output.author), false);
    Ok(Response::json(201, &PostView::from(&post))
        .header("location", format!("/v1/posts/{}", post.card.post))
        .version(committed.version))
}
