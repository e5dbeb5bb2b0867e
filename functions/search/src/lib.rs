//! Serves `GET /v1/search/posts` and `/v1/search/users`. Both answer 404 `search_off` where the parameter `SearchDays`
//! is 0.

use tidings::{
    error::{Error, Rejection},
    http::{Call, PageWalk, Response},
    model::search::{NameQuery, PostQuery},
    query::{cursor::CursorKeys, search::Search},
};

/// The order of posts.
#[derive(Clone, Copy)]
enum Order {
    Newest,
    Top,
}

/// The orders of posts by their names.
const ORDERS: [(&str, Order); 2] = [("newest", Order::Newest), ("top", Order::Top)];
/// The only order of users.
const BY_FOLLOWERS: &str = "followers";

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`Search`].
pub async fn handle(search: &Search, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    search.kept()?;
    search.read_models.reading(async || answer(search, keys, call.clone()).await).await
}

async fn answer(search: &Search, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    match call.route() {
        "GET /v1/search/users" => users(search, keys, call).await,
        _ => posts(search, keys, call).await,
    }
}

async fn posts(search: &Search, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let (text, explain) = (call.query("q").unwrap_or_default(), call.explain()?);
    let query = PostQuery::parse(&text).map_err(Rejection::from)?;
    let (name, order) = call.order(&ORDERS)?;
    // A cursor belongs to the query for which it was made.
    let route = format!("search for {text}");
    match order {
        Order::Newest => {
            let (walk, before) = PageWalk::new(keys, &search.clock, &call, &route, name)?;
            let page = search.newest(walk.request, &query, before, walk.limit).await?;
            Ok(Response::json(200, &walk.posts(&page, explain)?))
        }
        Order::Top => {
            let (walk, position) = PageWalk::new(keys, &search.clock, &call, &route, name)?;
            let page = search.top(walk.request, &query, position, walk.limit).await?;
            Ok(Response::json(200, &walk.posts(&page, explain)?))
        }
    }
}

async fn users(search: &Search, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let text = call.query("q").unwrap_or_default();
    let query = NameQuery::parse(&text).map_err(Rejection::from)?;
    let route = format!("search for users {text}");
    let (walk, position) = PageWalk::new(keys, &search.clock, &call, &route, BY_FOLLOWERS)?;
    let page = search.users(walk.request, &query, position, walk.limit).await?;
    walk.people(&page)
}
