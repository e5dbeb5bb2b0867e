//! The home feed: what the viewer and those whom the viewer follows posted in the last 30 days, newest first (INV-2).
//!
//! Two round trips: the viewer and the rows at once, then the cards and the viewer's likes; one more in between where rows
//! of celebrities are not cached. Whom the viewer follows is asked of the viewer's own item, not of the rows: an unfollow
//! takes effect at once and leaves rows behind that nobody sees.
//!
//! A viewer who follows nobody has little to see: after their own posts, in whatever order, come those that trend, marked.

use serde::{Deserialize, Serialize};

use super::{
    FeedPost, Feeds, Page, ReadRequest, Sight, Source, TrendingPosition,
    page::{Admit, rows_for},
};
use crate::{
    error::Error,
    model::{PostId, Timestamp, Version, Viewer, limits::FEED_AGE_MAX},
    store::timelines::{Range, Row, Timeline},
};

/// A page of a home feed.
#[derive(Debug, Clone, PartialEq)]
pub struct HomePage<Position> {
    /// The posts.
    pub page: Page<FeedPost, HomeWalk<Position>>,
    /// How far the viewer's own commands are in it.
    pub version: Version,
    /// Whether some of them were laid over what projections have written.
    pub overlaid: bool,
}

/// Where a walk through a home feed is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HomeWalk<Position> {
    /// Among what belongs there.
    Home(Position),
    /// Past it, among what trends.
    Trending(TrendingPosition),
}

/// Where a walk from the newest post on is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomePosition {
    /// It goes on below this post.
    before: PostId,
    /// With what was there at this moment, or later.
    as_of: Timestamp,
}

impl<Position> HomePage<Position> {
    fn new(page: Page<FeedPost, HomeWalk<Position>>, sight: &Sight) -> Self {
        Self { page, version: sight.viewer.applied, overlaid: sight.overlaid() }
    }
}

impl Feeds {
    /// At most `limit` posts of the viewer's home, from this place on.
    pub async fn home(
        &self,
        reader: ReadRequest<'_>,
        walk: Option<HomeWalk<HomePosition>>,
        limit: usize,
    ) -> Result<HomePage<HomePosition>, Error> {
        let position = match walk {
            Some(HomeWalk::Trending(position)) => return self.home_beyond(reader, position, limit).await,
            Some(HomeWalk::Home(position)) => Some(position),
            None => None,
        };
        let timeline = Timeline::Home(reader.user.clone());
        let before = position.map(|position| position.before);
        let range = Range { before, since: self.clock.now().before(FEED_AGE_MAX) };
        let not_before = position.map(|position| position.as_of);
        let (mut view, rows) = self.view(reader, timeline, range, rows_for(limit), not_before).await?;
        let row = |viewer: &Viewer, row: &Row| viewer.sees(reader.user, &row.author);
        let page = self.cut_page(&mut view, range, rows, limit, Admit { row, card: |_: &_| true }).await?;
        let page = page.map_next(|before| HomePosition { before, as_of: view.as_of });
        self.home_page(reader, &view.sight, page, limit).await
    }

    /// A page of a home, filled up with what trends if it is the last one of a viewer who follows nobody.
    pub(super) async fn home_page<Position>(
        &self,
        reader: ReadRequest<'_>,
        sight: &Sight,
        page: Page<FeedPost, Position>,
        limit: usize,
    ) -> Result<HomePage<Position>, Error> {
        let ends = page.next.is_none();
        let mut page = page.map_next(HomeWalk::Home);
        if ends && sight.viewer.followed.is_empty() {
            let room = limit - page.entries.len();
            let trending = self.beyond_home(reader, sight, TrendingPosition::default(), room).await?;
            page.entries.extend(trending.entries);
            page.next = trending.next.map(HomeWalk::Trending);
        }
        Ok(HomePage::new(page, sight))
    }

    /// A page of a home whose walk is among what trends.
    pub(super) async fn home_beyond<Position>(
        &self,
        reader: ReadRequest<'_>,
        position: TrendingPosition,
        limit: usize,
    ) -> Result<HomePage<Position>, Error> {
        let sight = Sight::of(reader, &self.viewers, &self.commands).await?;
        let page = self.beyond_home(reader, &sight, position, limit).await?;
        Ok(HomePage::new(page.map_next(HomeWalk::Trending), &sight))
    }

    /// What trends and is not the viewer's own, which has been before.
    async fn beyond_home(
        &self,
        reader: ReadRequest<'_>,
        sight: &Sight,
        position: TrendingPosition,
        limit: usize,
    ) -> Result<Page<FeedPost, TrendingPosition>, Error> {
        let trending = self.what_trends(position.as_of()).await?;
        let is_own = |post: &FeedPost| post.card.author == *reader.user;
        let mut page = self.cut_trending(reader, sight, trending, position, limit, |post| !is_own(post)).await?;
        page.entries.iter_mut().for_each(|post| post.source = Some(Source::Trending));
        Ok(page)
    }
}
