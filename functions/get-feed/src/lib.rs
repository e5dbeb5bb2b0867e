//! `GET /v1/feeds/home`, `/v1/feeds/trending`, `/v1/users/{user}/posts` and `/v1/tags/{tag}/posts`: feeds, page by page.

use serde::{Serialize, de::DeserializeOwned};
use tidings::{
    error::Error,
    http::{
        Call, Response,
        view::{Freshness, PostView, PostsView},
    },
    query::{
        self, FeedPost, Feeds, HomePage, Page, Ranking, ReadRequest, TrendingPosition,
        cursor::{CursorKeys, Place, Scope},
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
pub async fn handle(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    match call.route() {
        "GET /v1/feeds/home" => home(feeds, keys, call).await,
        "GET /v1/feeds/trending" => trending(feeds, keys, call).await,
        "GET /v1/tags/{tag}/posts" => tag(feeds, keys, call).await,
        _ => author(feeds, keys, call).await,
    }
}

async fn home(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let (order, by) = call.order(&HOME_ORDERS)?;
    let walk = Walk::new(feeds, keys, &call, "home", order)?;
    match by {
        HomeOrder::Chronological => {
            let (reader, position) = walk.place()?;
            walk.answer_home(reader, feeds.home(reader, position, walk.limit).await?)
        }
        HomeOrder::By(ranking) => {
            let (reader, position) = walk.place()?;
            walk.answer_home(reader, feeds.ranked_home(reader, ranking, position, walk.limit).await?)
        }
    }
}

async fn trending(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let walk = Walk::new(feeds, keys, &call, "trending", "trending")?;
    let (reader, position) = walk.place::<TrendingPosition>()?;
    let page = feeds.trending(reader, position.unwrap_or_default(), walk.limit).await?;
    walk.answer(reader, page, None)
}

async fn tag(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let tag = call.tag()?;
    let route = format!("posts with {tag}");
    let walk = Walk::new(feeds, keys, &call, &route, CHRONOLOGICAL)?;
    let (reader, before) = walk.place()?;
    let page = feeds.tag(reader, &tag, before, walk.limit).await?;
    walk.answer(reader, page, None)
}

async fn author(feeds: &Feeds, keys: &CursorKeys, call: Call) -> Result<Response, Error> {
    let user = call.user()?;
    // What the request itself has wrong is found before anything is read.
    call.limit()?;
    let author = query::resolve(&feeds.commands, &user).await?;
    let route = format!("posts of {author}");
    let walk = Walk::new(feeds, keys, &call, &route, CHRONOLOGICAL)?;
    let (reader, before) = walk.place()?;
    let page = feeds.author(reader, &author, before, walk.limit).await?;
    walk.answer(reader, page, None)
}

/// A walk through a feed, from cursor to cursor.
struct Walk<'a> {
    feeds: &'a Feeds,
    keys: &'a CursorKeys,
    scope: Scope<'a>,
    reader: ReadRequest<'a>,
    cursor: Option<&'a str>,
    limit: usize,
    explain: bool,
}

impl<'a> Walk<'a> {
    fn new(
        feeds: &'a Feeds,
        keys: &'a CursorKeys,
        call: &'a Call,
        route: &'a str,
        order: &'a str,
    ) -> Result<Self, Error> {
        let (limit, explain) = (call.limit()?, call.explain()?);
        let scope = Scope { caller: &call.caller, route, order };
        Ok(Self { feeds, keys, scope, reader: call.reader()?, cursor: call.query("cursor"), limit, explain })
    }

    /// Who reads what is asked for or was at the walk's beginning, and from where on.
    fn place<Position: DeserializeOwned>(&self) -> Result<(ReadRequest<'a>, Option<Position>), Error> {
        let open = |cursor| self.keys.open(self.scope, cursor, self.feeds.clock.now());
        let place: Option<Place<Position>> = self.cursor.map(open).transpose()?;
        Ok(match place {
            None => (self.reader, None),
            Some(Place { position, min_version }) => (self.reader.at_least(min_version), Some(position)),
        })
    }

    fn answer_home<Position: Serialize>(
        &self,
        reader: ReadRequest<'_>,
        home: HomePage<Position>,
    ) -> Result<Response, Error> {
        let HomePage { page, version, overlaid } = home;
        self.answer(reader, page, Some(Freshness { version, overlaid }))
    }

    fn answer<Position: Serialize>(
        &self,
        reader: ReadRequest<'_>,
        mut page: Page<FeedPost, Position>,
        freshness: Option<Freshness>,
    ) -> Result<Response, Error> {
        if !self.explain {
            page.entries.iter_mut().for_each(|post| post.explanation = None);
        }
        let seal = |position| {
            let place = Place { position, min_version: reader.min_version };
            self.keys.seal(self.scope, place, self.feeds.clock.now())
        };
        let body = PostsView {
            posts: page.entries.iter().map(PostView::from).collect(),
            next_cursor: page.next.map(seal).transpose()?,
            freshness,
        };
        Ok(Response::json(200, &body))
    }
}
