//! `GET /v1/posts/{post}` and `/comments`: a post, and what was said about it.

use tidings::{
    error::Error,
    http::{
        Call, Response,
        view::{CommentView, CommentsView, PostView},
    },
    model::Clock,
    query::{
        Conversations,
        cursor::{CursorKeys, Place, Scope},
    },
    store::comments::CommentOrder,
};

/// Orders of comments by their names.
const ORDERS: [(&str, CommentOrder); 2] =
    [("oldest", CommentOrder::OldestFirst), ("newest", CommentOrder::NewestFirst)];

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`Conversations`].
pub async fn handle(reader: &Conversations, keys: &CursorKeys, clock: &Clock, call: Call) -> Result<Response, Error> {
    match call.route() {
        "GET /v1/posts/{post}/comments" => comments(reader, keys, clock, call).await,
        _ => {
            let post = reader.post(call.reader()?, call.post()?).await?;
            Ok(Response::json(200, &PostView::from(&post)))
        }
    }
}

async fn comments(reader: &Conversations, keys: &CursorKeys, clock: &Clock, call: Call) -> Result<Response, Error> {
    let post = call.post()?;
    let (name, order) = call.order(&ORDERS)?;
    let limit = call.limit()?;
    let route = format!("comments on {post}");
    let scope = Scope { caller: &call.caller, route: &route, order: name };
    let place: Option<Place<_>> =
        call.query("cursor").map(|cursor| keys.open(scope, cursor, clock.now())).transpose()?;
    let asked = call.reader()?.at_least(place.as_ref().and_then(|place| place.min_version));
    let page = reader.comments(asked, post, order, place.map(|place| place.position), limit).await?;
    let seal = |position| keys.seal(scope, Place { position, min_version: asked.min_version }, clock.now());
    let body = CommentsView {
        comments: page.entries.iter().map(|entry| CommentView::new(&entry.comment, &entry.author.profile)).collect(),
        next_cursor: page.next.map(seal).transpose()?,
    };
    Ok(Response::json(200, &body))
}
