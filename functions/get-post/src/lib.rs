//! `GET /v1/posts/{post}` and `/comments`: a post, and what was said about it.

use tidings::{
    error::Error,
    http::{
        Call, Response,
        view::{CommentView, CommentsView, PostView},
    },
    model::Clock,
    query::{
        ConversationReader,
        cursor::{CursorKeys, Scope},
    },
    store::reactions::CommentOrder,
};

/// Orders of comments by their names.
const ORDERS: [(&str, CommentOrder); 2] =
    [("oldest", CommentOrder::OldestFirst), ("newest", CommentOrder::NewestFirst)];

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`ConversationReader`].
pub async fn handle(
    reader: &ConversationReader,
    keys: &CursorKeys,
    clock: &Clock,
    call: Call,
) -> Result<Response, Error> {
    match call.route() {
        "GET /v1/posts/{post}/comments" => comments(reader, keys, clock, call).await,
        _ => {
            let post = reader.post(&call.caller, call.post()?).await?;
            Ok(Response::json(200, &PostView::from(&post)))
        }
    }
}

async fn comments(
    reader: &ConversationReader,
    keys: &CursorKeys,
    clock: &Clock,
    call: Call,
) -> Result<Response, Error> {
    let post = call.post()?;
    let (name, order) = call.order(&ORDERS)?;
    let limit = call.limit()?;
    let route = format!("comments on {post}");
    let scope = Scope { caller: &call.caller, route: &route, order: name };
    let after = call.query("cursor").map(|cursor| keys.open(scope, cursor, clock.now())).transpose()?;
    let page = reader.comments(&call.caller, post, order, after, limit).await?;
    let body = CommentsView {
        comments: page.entries.iter().map(|entry| CommentView::new(&entry.comment, &entry.author.profile)).collect(),
        next_cursor: page.next.map(|comment| keys.seal(scope, comment, clock.now())).transpose()?,
    };
    Ok(Response::json(200, &body))
}
