//! Serves `GET /v1/feeds/home`, `/v1/feeds/trending`, `/v1/users/{user}/posts` and `/v1/tags/{tag}/posts`: all feeds,
//! page by page.

use serde::Serialize;
use tidings::{
    error::Error,
    http::{
        Call, Response, Walk,
        view::{Freshness, PostView, PostsView},
    },
    query::{self, FeedPost, Feeds, HomePage, Page, Ranking, cursor::CursorKeys},
};

/// The order of a home feed.
#[derive(Clone, Copy)]
enum HomeOrder {
    Chronological,
    By(Ranking),
}

/// The only order of author and tag feeds.
const CHRONOLOGICAL: &str = "chronological";
/// The only order of the trending feed.
const TRENDING: &str = "trending";
/// The orders of a home feed by their names.
const HOME_ORDERS: [(&str, HomeOrder); 3] = [
    (CHRONOLOGICAL, HomeOrder::Chronological),
    ("ranked", HomeOrder::By(Ranking::Ranked)),
    ("personalized", HomeOrder::By(Ranking::Personalized)),
];

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`Feeds`].
pub async fn handle(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    feeds.read_models.reading(async || answer(feeds, keys, call.clone()).await).await
}

async fn answer(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    match call.route() {
        "GET /v1/feeds/home" => home(feeds, keys, call).await,
        "GET /v1/feeds/trending" => trending(feeds, keys, call).await,
        "GET /v1/tags/{tag}/posts" => tag(feeds, keys, call).await,
        _ => author(feeds, keys, call).await,
    }
}

async fn home(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let (order, by) = call.order(&HOME_ORDERS)?;
    match by {
        HomeOrder::Chronological => {
            let (walk, position) = Walk::new(keys, &feeds.clock, &call, "home", order)?;
            let explain = call.explain()?;
            home_response(&walk, feeds.home(walk.request, position, walk.limit).await?, explain)
        }
        HomeOrder::By(ranking) => {
            let (walk, position) = Walk::new(keys, &feeds.clock, &call, "home", order)?;
            let explain = call.explain()?;
            home_response(&walk, feeds.ranked_home(walk.request, ranking, position, walk.limit).await?, explain)
        }
    }
}

async fn trending(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let (walk, position) = Walk::new(keys, &feeds.clock, &call, "trending", TRENDING)?;
    let explain = call.explain()?;
    let page = feeds.trending(walk.request, Option::unwrap_or_default(position), walk.limit).await?;
    response(&walk, page, None, explain)
}

async fn tag(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let tag = call.tag()?;
    let route = format!("posts with {tag}");
    let (walk, before) = Walk::new(keys, &feeds.clock, &call, &route, CHRONOLOGICAL)?;
    let explain = call.explain()?;
    let page = feeds.tag(walk.request, &tag, before, walk.limit).await?;
    response(&walk, page, None, explain)
}

async fn author(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let user = call.user()?;
    // A request with a wrong limit costs no read.
    call.limit()?;
    let author = query::resolve(&feeds.commands, &user).await?;
    let route = format!("posts of {author}");
    let (walk, before) = Walk::new(keys, &feeds.clock, &call, &route, CHRONOLOGICAL)?;
    let explain = call.explain()?;
    let page = feeds.author(walk.request, &author, before, walk.limit).await?;
    response(&walk, page, None, explain)
}

fn home_response<Position: Serialize>(
    walk: &Walk<'_>,
    home: HomePage<Position>,
    explain: bool,
) -> Result<Response, Error> {
    let HomePage { page, version, overlaid } = home;
    response(walk, page, Some(Freshness { version, overlaid }), explain)
}

fn response<Position: Serialize>(
    walk: &Walk<'_>,
    mut page: Page<FeedPost, Position>,
    freshness: Option<Freshness>,
    explain: bool,
) -> Result<Response, Error> {
    if !explain {
        page.entries.iter_mut().for_each(|post| post.explanation = None);
    }
    let body = PostsView {
        posts: page.entries.iter().map(PostView::from).collect(),
        next_cursor: walk.next_cursor(page.next)?,
        freshness,
    };
    Ok(Response::json(200, &body))
}
