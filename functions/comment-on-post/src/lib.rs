//! `POST /v1/posts/{post}/comments` and `DELETE …/{comment}`: the caller comments on a post, or deletes a comment.

use tidings::{
    command::{self, CommentOnPost, DeleteComment},
    error::Error,
    http::{Call, Response, text_body, view::CommentView},
    model::{Clock, CommentId},
    store::command_table::CommandTable,
};

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`command::run`].
pub async fn handle(commands: &CommandTable, clock: &Clock, call: Call) -> Result<Response, Error> {
    match call.method() {
        "POST" => comment(commands, clock, call).await,
        _ => delete(commands, clock, call).await,
    }
}

async fn comment(commands: &CommandTable, clock: &Clock, call: Call) -> Result<Response, Error> {
    let post = call.post()?;
    let text = text_body(&call)?;
    let command = CommentOnPost { post, comment: CommentId::new(clock.now()), text, key: call.idempotency_key()? };
    let committed = command::run(&command, &call.caller, commands, clock).await?;
    let (comment, author) = (&committed.output.comment, &committed.output.author);
    Ok(Response::json(201, &CommentView::new(comment, &author.public))
        .header("location", format!("/v1/posts/{post}/comments/{}", comment.comment))
        .version(committed.version))
}

async fn delete(commands: &CommandTable, clock: &Clock, call: Call) -> Result<Response, Error> {
    let command = DeleteComment { post: call.post()?, comment: call.comment()? };
    let committed = command::run(&command, &call.caller, commands, clock).await?;
    Ok(Response::no_content().version(committed.version))
}
