//! Serves `GET /v1/posts`, `/v1/posts/{post}`, `/v1/posts/{post}/comments` and `/v1/posts/{post}/comments/{comment}`:
//! posts, the comments on one, and one comment.

use tidings::{
    error::Error,
    http::{
        Call, PageWalk, Response,
        view::{CommentView, CommentsView, PostView, PostsByIdView},
    },
    model::Clock,
    query::{CommentsOf, Conversations, HiddenComments, cursor::CursorKeys},
    store::comments::CommentOrder,
};

/// The orders of comments by their names.
const ORDERS: [(&str, CommentOrder); 2] =
    [("oldest", CommentOrder::OldestFirst), ("newest", CommentOrder::NewestFirst)];

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`Conversations`].
pub async fn handle(
    conversations: &Conversations,
    keys: &CursorKeys,
    clock: &Clock,
    call: Call,
) -> Result<Response, Error> {
    conversations.read_models.reading(async || answer(conversations, keys, clock, call.clone()).await).await
}

async fn answer(
    conversations: &Conversations,
    keys: &CursorKeys,
    clock: &Clock,
    call: Call,
) -> Result<Response, Error> {
    match call.route() {
        "GET /v1/posts/{post}/comments" => comments(conversations, keys, clock, call).await,
        "GET /v1/posts/{post}/comments/{comment}" => {
            let (post, comment) = (call.post()?, call.comment()?);
            let found = conversations.comment(call.read_request()?, post, comment).await?;
            Ok(Response::json(200, &CommentView::new(&found.comment, &found.author.profile)))
        }
        "GET /v1/posts" => {
            let posts = conversations.posts(call.read_request()?, &call.ids()?).await?;
            Ok(Response::json(200, &PostsByIdView { posts: posts.iter().map(PostView::from).collect() }))
        }
        _ => {
            let post = conversations.post(call.read_request()?, call.post()?).await?;
            Ok(Response::json(200, &PostView::from(&post)))
        }
    }
}

async fn comments(
    conversations: &Conversations,
    keys: &CursorKeys,
    clock: &Clock,
    call: Call,
) -> Result<Response, Error> {
    let post = call.post()?;
    let (name, order) = call.order(&ORDERS)?;
    let hidden = if call.include_hidden()? { HiddenComments::Mark } else { HiddenComments::LeaveOut };
    let route = match hidden {
        HiddenComments::LeaveOut => format!("comments on {post}"),
        HiddenComments::Mark => format!("all comments on {post}"),
    };
    let (walk, after) = PageWalk::new(keys, clock, &call, &route, name)?;
    let page = conversations.comments(walk.request, CommentsOf { post, order, hidden }, after, walk.limit).await?;
    let views = page.entries.iter().map(|entry| {
        let view = CommentView::new(&entry.comment, &entry.author.profile);
        match hidden {
            HiddenComments::LeaveOut => view,
            HiddenComments::Mark => view.marked(entry.hidden),
        }
    });
    let body = CommentsView { comments: views.collect(), next_cursor: walk.next_cursor(page.next)? };
    Ok(Response::json(200, &body))
}
