//! The home feed: posts of the last 30 days by the viewer and by those whom the viewer follows, newest first (INV-2).
//!
//! A page takes two round trips: first the viewer state, the rows and what celebrities have announced, then the cards
//! and the viewer's likes. Rows of celebrities that are not cached take a third one between the two. The viewer state
//! decides whom the viewer follows, and the rows do not. So an unfollow takes effect at once, although its rows are
//! removed later.
//!
//! The home of a viewer who follows nobody, or only authors who have not posted for 30 days, is nearly empty. There,
//! trending posts come after the viewer's own posts, in whatever order the home is read.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    trending::{TrendingPosition, trending_page},
    visits::Completeness,
};
use crate::{
    error::Error,
    model::{PostId, TableOf, Timestamp, Version, limits::FEED_AGE_MAX},
    query::{
        newest::Newest,
        pipeline::{FeedPost, Filter, Origin, Page, PageDraft, ReadRequest, Sources, ViewerState, posts_page},
        services::Feeds,
    },
    store::{
        Consistency,
        timelines::{Range, Timeline},
    },
};

/// A page of a home feed.
#[derive(Debug, Clone, PartialEq)]
pub struct HomePage<Position> {
    /// The posts.
    pub page: Page<FeedPost, HomeWalk<Position>>,
    /// The page shows the effects of the viewer's own commands up to this version.
    pub version: Version,
    /// Whether some of these effects were laid over the read models, because projections had not reached them.
    pub overlaid: bool,
    /// What is newest: on the first page of a walk, the mark of the walk.
    pub newest: Option<Newest>,
}

/// Where a walk through a home feed goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HomeWalk<Position> {
    /// In the home itself.
    Home(Position),
    /// In the trending posts that come after the home.
    Trending(TrendingPosition),
}

/// Where a walk through a home in the order of creation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomePosition {
    /// Below this post.
    before: PostId,
    /// With rows whose reads began after this moment, at which the page before was finished. Otherwise a process that
    /// knows less than the one before would skip what that one has left for later.
    as_of: Timestamp,
    /// Whether the walk has shown only posts by the viewer. A cursor of an older release does not say.
    #[serde(default)]
    only_own: bool,
    /// Whether the home had all rows when the walk began.
    #[serde(default, skip_serializing_if = "Completeness::is_whole")]
    home: Completeness,
    /// In which table.
    #[serde(default, skip_serializing_if = "TableOf::is_first")]
    table: TableOf,
}

impl Feeds {
    /// At most `limit` posts of the viewer's home, newest first, from this position on.
    pub async fn home(
        &self,
        request: ReadRequest<'_>,
        walk: Option<HomeWalk<HomePosition>>,
        limit: usize,
    ) -> Result<HomePage<HomePosition>, Error> {
        let position = match walk {
            Some(HomeWalk::Trending(position)) => return only_trending(self, request, position, limit).await,
            Some(HomeWalk::Home(position)) => Some(position),
            None => None,
        };
        // Viewer state and sources.
        let draft = PageDraft::new(limit);
        let before = position.map(|position| position.before);
        let began = self.clock.now();
        let range = Range { before, since: began.before(FEED_AGE_MAX) };
        let before =
            position.map(|HomePosition { as_of, home, table, .. }| PageBefore { finished: as_of, home, table });
        let (state, mut sources, home) = home_sources(self, request, range, before, draft.wanted()).await?;
        // Filter, hydrate, page.
        let page = posts_page(draft, &mut sources, &Filter::Home, self.hydrator(), &state).await?;
        let only_own = only_own(position.is_none_or(|position| position.only_own), &page.entries, &state);
        let as_of = self.clock.now();
        let page =
            page.map_next(|before| HomePosition { before, as_of, only_own, home, table: self.timelines.table_of() });
        let newest = sources.newest(began);
        Ok(HomePage { newest, ..with_trending(self, &state, page, only_own, limit).await? })
    }
}

/// The page before one of the same walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageBefore {
    /// When it was finished.
    pub(super) finished: Timestamp,
    /// Whether the home had all rows.
    pub(super) home: Completeness,
    /// In which table. A process may read another one.
    pub(super) table: TableOf,
}

/// The viewer state and the sources of a home, from which `count` rows are to be read first, and whether the home has
/// all rows.
pub(super) async fn home_sources<'a>(
    feeds: &'a Feeds,
    request: ReadRequest<'a>,
    range: Range,
    page_before: Option<PageBefore>,
    count: usize,
) -> Result<(ViewerState<'a>, Sources<'a>, Completeness), Error> {
    let timeline = Timeline::Home(request.viewer.clone());
    let mut sources = Sources::new(&feeds.timelines, timeline, range, request.consistency());
    let finished = page_before.map(|page| page.finished);
    let celebrities = async {
        // If the last list had celebrities, their announcements are read without waiting for the new list.
        let at_once = async {
            match feeds.celebrities.were_any() {
                true => feeds.announcements.read(finished).await.map(Some),
                false => Ok(None),
            }
        };
        let (list, announced) = tokio::try_join!(feeds.celebrities.list(), at_once)?;
        let announced = match announced {
            None if !list.is_empty() => Some(feeds.announcements.read(finished).await?),
            announced => announced,
        };
        Ok((list, announced))
    };
    // Rows from the end of the home on come with its visit. Only the first page of a walk needs that.
    let table = feeds.timelines.table_of();
    let known = page_before.filter(|page| page.table == table).map(|page| page.home);
    let reads_visit = known.is_none() && (range.before.is_some() || request.consistency().is_strong());
    let visit = async {
        match reads_visit {
            true => feeds.timelines.visit(request.viewer, Consistency::Eventual).await,
            false => Ok(None),
        }
    };
    let (state, (), (celebrities, announced), visit) = tokio::try_join!(
        ViewerState::read(request, &feeds.viewers, &feeds.commands),
        sources.read_ahead(count),
        celebrities,
        visit
    )?;
    let home = match known {
        Some(home) => home,
        None => feeds.note_visit(request.viewer, visit.or(sources.visit())).await,
    };
    sources.add_unprojected_posts(&state);
    sources.add_unfinished_follows(&state);
    if home == Completeness::Incomplete {
        let followed = feeds.followed(request.viewer).await?;
        let pushed = followed.into_iter().filter(|author| !celebrities.announces(author) && state.may_pull(author));
        pushed.for_each(|author| sources.add_stored(author));
    }
    let (policy, now) = (feeds.celebrities.policy(), feeds.clock.now());
    for celebrity in celebrities.among(&state.viewer.followed) {
        let author = celebrity.author.clone();
        match &announced {
            _ if !state.may_pull(&author) => {}
            Some(announced) if policy.is_known(celebrity, now) => {
                sources.add_pulled(author, &feeds.pulled_rows, Arc::clone(announced));
            }
            _ => sources.add_stored(author),
        }
    }
    Ok((state, sources, home))
}

/// Whether a walk has shown only posts by the viewer, which it had `before` this page.
pub(super) fn only_own(before: bool, page: &[FeedPost], state: &ViewerState<'_>) -> bool {
    before && page.iter().all(|post| post.card.author == *state.request.viewer)
}

/// The page of a home. If it is the last one, and the home has only posts by the viewer, trending posts fill it up.
pub(super) async fn with_trending<Position>(
    feeds: &Feeds,
    state: &ViewerState<'_>,
    page: Page<FeedPost, Position>,
    only_own: bool,
    limit: usize,
) -> Result<HomePage<Position>, Error> {
    let is_last = page.next.is_none();
    let mut page = page.map_next(HomeWalk::Home);
    if is_last && only_own {
        let room = limit - page.entries.len();
        let trending = trending_after_home(feeds, state, TrendingPosition::default(), room).await?;
        page.entries.extend(trending.entries);
        page.next = trending.next.map(HomeWalk::Trending);
    }
    Ok(home_page(page, state))
}

/// A page of a walk that has left the home itself.
pub(super) async fn only_trending<Position>(
    feeds: &Feeds,
    request: ReadRequest<'_>,
    position: TrendingPosition,
    limit: usize,
) -> Result<HomePage<Position>, Error> {
    let state = ViewerState::read(request, &feeds.viewers, &feeds.commands).await?;
    let page = trending_after_home(feeds, &state, position, limit).await?;
    Ok(home_page(page.map_next(HomeWalk::Trending), &state))
}

/// At most `limit` trending posts, marked as such. The viewer's own posts are left out: the walk has shown them
/// already.
async fn trending_after_home(
    feeds: &Feeds,
    state: &ViewerState<'_>,
    position: TrendingPosition,
    limit: usize,
) -> Result<Page<FeedPost, TrendingPosition>, Error> {
    let list = feeds.trending_list.posts(position.as_of, state.consistency()).await?;
    let draft = PageDraft::new(limit);
    let mut page = trending_page(draft, list, position, &Filter::VisibleOfOthers, feeds.hydrator(), state).await?;
    page.entries.iter_mut().for_each(|post| post.origin = Some(Origin::Trending));
    Ok(page)
}

fn home_page<Position>(page: Page<FeedPost, HomeWalk<Position>>, state: &ViewerState<'_>) -> HomePage<Position> {
    HomePage { page, version: state.viewer.applied, overlaid: state.is_overlaid(), newest: None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cursor_of_an_older_release_is_still_read() {
        let post = "014bc853-e807-7000-8000-000000000000";
        let old = json!({"home": {"before": post, "as_of": 7}});
        let walk: HomeWalk<HomePosition> = serde_json::from_value(old).unwrap();
        let as_of = Timestamp::from_ms(7);
        assert_eq!(
            walk,
            HomeWalk::Home(HomePosition {
                before: post.parse().unwrap(),
                as_of,
                only_own: false,
                home: Completeness::Whole,
                table: TableOf::A,
            })
        );
    }
}
