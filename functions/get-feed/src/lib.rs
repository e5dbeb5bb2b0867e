//! `GET /v1/feeds/home` and `GET /v1/users/{user}/posts`: feeds, page by page.

use tidings::{
    error::{Error, Rejection},
    http::{
        Call, Response,
        view::{Freshness, PostView, PostsView},
    },
    model::PostId,
    query::{
        self, FeedReader, Page,
        cursor::{CursorKeys, Scope},
    },
    store::cards::PostCard,
};

/// The one order there is so far.
const CHRONOLOGICAL: &str = "chronological";

/// Answers a request.
///
/// # Errors
/// Those of the request and of the feeds.
pub async fn handle(feeds: &FeedReader, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    match call.route() {
        "GET /v1/feeds/home" => home(feeds, keys, call).await,
        _ => author(feeds, keys, call).await,
    }
}

async fn home(feeds: &FeedReader, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    if call.query("order").is_some_and(|order| order != CHRONOLOGICAL) {
        return Err(Rejection::UnknownOrder.into());
    }
    let walk = Walk { feeds, keys, scope: Scope { caller: &call.caller, route: "home", order: CHRONOLOGICAL } };
    let home = feeds.home(&call.caller, walk.before(&call)?, call.limit()?).await?;
    walk.answer(&home.page, Some(Freshness { version: home.version }))
}

async fn author(feeds: &FeedReader, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let limit = call.limit()?;
    let author = query::resolve(&feeds.commands, &call.user()?).await?;
    let route = format!("posts of {author}");
    let walk = Walk { feeds, keys, scope: Scope { caller: &call.caller, route: &route, order: CHRONOLOGICAL } };
    let page = feeds.author(&author, walk.before(&call)?, limit).await?;
    walk.answer(&page, None)
}

/// A walk through a feed, from cursor to cursor.
struct Walk<'a> {
    feeds: &'a FeedReader,
    keys: &'a CursorKeys,
    scope: Scope<'a>,
}

impl Walk<'_> {
    fn before(&self, call: &Call) -> Result<Option<PostId>, Error> {
        call.query("cursor").map(|cursor| self.keys.open(self.scope, cursor, self.feeds.clock.now())).transpose()
    }

    fn answer(&self, page: &Page<PostCard, PostId>, freshness: Option<Freshness>) -> Result<Response, Error> {
        let seal = |post| self.keys.seal(self.scope, post, self.feeds.clock.now());
        let body = PostsView {
            posts: page.entries.iter().map(PostView::from).collect(),
            next_cursor: page.next.map(seal).transpose()?,
            freshness,
        };
        Ok(Response::json(200, &body))
    }
}
