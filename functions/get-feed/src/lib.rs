//! Serves all lists of posts, page by page: `GET /v1/feeds/home`, `/v1/feeds/trending`, `/v1/users/{user}/posts`,
//! `/v1/tags/{tag}/posts` and `/v1/me/likes`. It also serves what is new in a home, and who likes a post:
//! `GET /v1/posts/{post}/likes`.

use std::time::Duration;

use serde::Serialize;
use tidings::{
    error::Error,
    http::{
        Call, PageWalk, Response,
        view::{Freshness, NewPostsView, PostView},
    },
    model::Timestamp,
    query::{self, Feeds, HomePage, Newest, Ranking, cursor::CursorKeys},
    shared_cache::within_page,
};

/// The order of a home feed.
#[derive(Clone, Copy)]
enum HomeOrder {
    Chronological,
    By(Ranking),
}

/// The only order of author and tag feeds, and of the posts that the caller likes.
const CHRONOLOGICAL: &str = "chronological";
/// The only order of the trending feed.
const TRENDING: &str = "trending";
/// The only order of those who like a post.
const LAST_LIKE: &str = "last like";
/// The orders of a home feed by their names.
const HOME_ORDERS: [(&str, HomeOrder); 3] = [
    (CHRONOLOGICAL, HomeOrder::Chronological),
    ("ranked", HomeOrder::By(Ranking::Ranked)),
    ("personalized", HomeOrder::By(Ranking::Personalized)),
];
/// After this time, a home has another entity tag although nothing has changed. So the cursor of a page that a client
/// kept does not expire before the client has a new one.
const TAG_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Answers a request.
///
/// # Errors
/// Those of the request and of [`Feeds`].
pub async fn handle(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    // The tables may turn out to be others than this process knew. Then the page is read twice, within one allowance.
    within_page(feeds.read_models.reading(async || answer(feeds, keys, call.clone()).await)).await
}

async fn answer(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    match call.route() {
        "GET /v1/feeds/home" => match call.newer_than()? {
            Some(newer_than) => newer(feeds, keys, &call, &newer_than).await,
            None => home(feeds, keys, call).await,
        },
        "GET /v1/feeds/trending" => trending(feeds, keys, call).await,
        "GET /v1/tags/{tag}/posts" => tag(feeds, keys, call).await,
        "GET /v1/me/likes" => liked(feeds, keys, call).await,
        "GET /v1/posts/{post}/likes" => likers(feeds, keys, call).await,
        _ => author(feeds, keys, call).await,
    }
}

async fn newer(feeds: &Feeds, keys: &CursorKeys, call: &Call, newer_than: &str) -> Result<Response, Error> {
    let limit = call.query("limit").map(|_| call.limit()).transpose()?;
    let mark = keys.open_newest(&call.caller, newer_than)?;
    let found = feeds.newer(call.read_request()?, &mark, limit).await?;
    let body = NewPostsView {
        new: found.count,
        posts: found.posts.iter().map(PostView::from).collect(),
        newest: keys.seal_newest(&call.caller, &found.newest)?,
    };
    Ok(Response::json(200, &body).tagged(&body, call.if_none_match()))
}

async fn home(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let (order, by) = call.order(&HOME_ORDERS)?;
    match by {
        HomeOrder::Chronological => {
            let (walk, position) = PageWalk::new(keys, &feeds.clock, &call, "home", order)?;
            let explain = call.explain()?;
            let page = feeds.home(walk.request, position, walk.limit).await?;
            home_response(keys, &call, walk, page, explain, feeds.clock.now())
        }
        HomeOrder::By(ranking) => {
            let (walk, position) = PageWalk::new(keys, &feeds.clock, &call, "home", order)?;
            let explain = call.explain()?;
            let page = feeds.ranked_home(walk.request, ranking, position, walk.limit).await?;
            home_response(keys, &call, walk, page, explain, feeds.clock.now())
        }
    }
}

async fn trending(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let (walk, position) = PageWalk::new(keys, &feeds.clock, &call, "trending", TRENDING)?;
    let explain = call.explain()?;
    let page = feeds.trending(walk.request, Option::unwrap_or_default(position), walk.limit).await?;
    Ok(Response::json(200, &walk.posts(&page, explain)?))
}

async fn tag(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let tag = call.tag()?;
    let route = format!("posts with {tag}");
    let (walk, before) = PageWalk::new(keys, &feeds.clock, &call, &route, CHRONOLOGICAL)?;
    let explain = call.explain()?;
    let page = feeds.tag(walk.request, &tag, before, walk.limit).await?;
    Ok(Response::json(200, &walk.posts(&page, explain)?))
}

async fn author(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let user = call.user()?;
    // A request with a wrong limit costs no read.
    call.limit()?;
    let author = query::resolve(&feeds.commands, &user).await?;
    let route = format!("posts of {author}");
    let (walk, before) = PageWalk::new(keys, &feeds.clock, &call, &route, CHRONOLOGICAL)?;
    let explain = call.explain()?;
    let page = feeds.author(walk.request, &author, before, walk.limit).await?;
    Ok(Response::json(200, &walk.posts(&page, explain)?))
}

async fn liked(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let (walk, before) = PageWalk::new(keys, &feeds.clock, &call, "liked posts", CHRONOLOGICAL)?;
    let page = feeds.liked(walk.request, before, walk.limit).await?;
    Ok(Response::json(200, &walk.posts(&page, false)?))
}

async fn likers(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let post = call.post()?;
    let route = format!("likes of {post}");
    let (walk, after) = PageWalk::new(keys, &feeds.clock, &call, &route, LAST_LIKE)?;
    let page = feeds.likers(walk.request, post, after, walk.limit).await?;
    walk.people(&page)
}

/// The page of a home. Its entity tag is that of what it shows, and to whom: without the cursor, which differs in every
/// answer, and without `newest`, which differs every minute. A client that has the same page may go on with the older
/// ones. The next pages have to show the version that this one was asked for, so it is part of the tag.
fn home_response<Position: Serialize>(
    keys: &CursorKeys,
    call: &Call,
    mut walk: PageWalk<'_>,
    home: HomePage<Position>,
    explain: bool,
    now: Timestamp,
) -> Result<Response, Error> {
    let HomePage { page, version, overlaid, newest } = home;
    // A cursor of a release before 0.3 does not say.
    let newest = walk.newest.take().or(newest).unwrap_or_else(|| Newest::as_of(now));
    let text = keys.seal_newest(&call.caller, &newest)?;
    walk.newest = Some(newest);
    let mut body = walk.posts(&page, explain)?;
    body.freshness = Some(Freshness { version, overlaid });
    body.newest = Some(text);
    let whole = Response::json(200, &body);
    let has_next = body.next_cursor.take().is_some();
    body.newest = None;
    let period = now.as_secs() / TAG_LIFETIME.as_secs();
    let for_whom = (&call.caller, walk.request.min_version);
    Ok(whole.tagged(&(for_whom, body, has_next, period), call.if_none_match()))
}
