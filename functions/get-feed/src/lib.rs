//! `GET /v1/feeds/home`, `/v1/feeds/trending`, `/v1/users/{user}/posts` and `/v1/tags/{tag}/posts`: feeds, page by page.

use serde::{Serialize, de::DeserializeOwned};
use tidings::{
    error::Error,
    http::{
        Call, Response,
        view::{Freshness, PostView, PostsView},
    },
    query::{
        self, FeedPost, FeedReader, HomePage, Page, Ranking, Served,
        cursor::{CursorKeys, Scope},
    },
};

/// The order of a home feed.
#[derive(Clone, Copy)]
enum HomeOrder {
    Chronological,
    By(Ranking),
}

/// The one order of every other feed of posts.
const CHRONOLOGICAL: &str = "chronological";
/// Orders of a home feed by their names.
const HOME_ORDERS: [(&str, HomeOrder); 3] = [
    (CHRONOLOGICAL, HomeOrder::Chronological),
    ("ranked", HomeOrder::By(Ranking::Ranked)),
    ("personalized", HomeOrder::By(Ranking::Personalized)),
];

/// Answers a request.
///
/// # Errors
/// Those of the request and of the feeds.
pub async fn handle(feeds: &FeedReader, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    match call.route() {
        "GET /v1/feeds/home" => home(feeds, keys, call).await,
        "GET /v1/feeds/trending" => trending(feeds, keys, call).await,
        "GET /v1/tags/{tag}/posts" => tag(feeds, keys, call).await,
        _ => author(feeds, keys, call).await,
    }
}

async fn home(feeds: &FeedReader, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let (order, by) = call.order(&HOME_ORDERS)?;
    let walk = Walk::new(feeds, keys, &call, "home", order)?;
    match by {
        HomeOrder::Chronological => {
            let HomePage { page, version } = feeds.home(&call.caller, walk.position()?, walk.limit).await?;
            walk.answer(page, Some(Freshness { version }))
        }
        HomeOrder::By(ranking) => {
            let home = feeds.ranked_home(&call.caller, ranking, walk.position()?, walk.limit).await?;
            walk.answer(home.page, Some(Freshness { version: home.version }))
        }
    }
}

async fn trending(feeds: &FeedReader, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let walk = Walk::new(feeds, keys, &call, "trending", "trending")?;
    let served: Option<Served> = walk.position()?;
    let page = feeds.trending(&call.caller, served.unwrap_or_default(), walk.limit).await?;
    walk.answer(page, None)
}

async fn tag(feeds: &FeedReader, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let tag = call.tag()?;
    let route = format!("posts with {tag}");
    let walk = Walk::new(feeds, keys, &call, &route, CHRONOLOGICAL)?;
    let page = feeds.tag(&call.caller, &tag, walk.position()?, walk.limit).await?;
    walk.answer(page, None)
}

async fn author(feeds: &FeedReader, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let user = call.user()?;
    // What the request itself has wrong is found before anything is read.
    call.limit()?;
    let author = query::resolve(&feeds.commands, &user).await?;
    let route = format!("posts of {author}");
    let walk = Walk::new(feeds, keys, &call, &route, CHRONOLOGICAL)?;
    let page = feeds.author(&call.caller, &author, walk.position()?, walk.limit).await?;
    walk.answer(page, None)
}

/// A walk through a feed, from cursor to cursor.
struct Walk<'a> {
    feeds: &'a FeedReader,
    keys: &'a CursorKeys,
    scope: Scope<'a>,
    cursor: Option<&'a str>,
    limit: usize,
    explain: bool,
}

impl<'a> Walk<'a> {
    fn new(
        feeds: &'a FeedReader,
        keys: &'a CursorKeys,
        call: &'a Call,
        route: &'a str,
        order: &'a str,
    ) -> Result<Self, Error> {
        let (limit, explain) = (call.limit()?, call.explain()?);
        let scope = Scope { caller: &call.caller, route, order };
        Ok(Self { feeds, keys, scope, cursor: call.query("cursor"), limit, explain })
    }

    fn position<Position: DeserializeOwned>(&self) -> Result<Option<Position>, Error> {
        self.cursor.map(|cursor| self.keys.open(self.scope, cursor, self.feeds.clock.now())).transpose()
    }

    fn answer<Position: Serialize>(
        &self,
        mut page: Page<FeedPost, Position>,
        freshness: Option<Freshness>,
    ) -> Result<Response, Error> {
        if !self.explain {
            page.entries.iter_mut().for_each(|post| post.explanation = None);
        }
        let seal = |position| self.keys.seal(self.scope, position, self.feeds.clock.now());
        let body = PostsView {
            posts: page.entries.iter().map(PostView::from).collect(),
            next_cursor: page.next.map(seal).transpose()?,
            freshness,
        };
        Ok(Response::json(200, &body))
    }
}
