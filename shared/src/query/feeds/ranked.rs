//! The home feed by rank: the posts of the home feed, best first. [`crate::model::ranking`] has the formulas.
//!
//! A walk goes through the home in windows of 200 rows, newest first. A first score, of what rows tell, divides a
//! window into groups of 60; within a group the score of the posts' cards decides. So neither order nor content of a
//! walk depends on the size of its pages. When a window has nothing left, the next one begins. A page takes two round
//! trips: the viewer state and the rows, then the cards and likes.
//!
//! Scores and rows change during a walk. Its position holds both ends of the window, and which of the posts in it were
//! shown. So no post comes again, and none that was there all along is left out (INV-5), whatever is inserted or
//! removed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    home::{HomePage, HomeWalk, PageBefore, home_sources, only_own, only_trending, with_trending},
    served::Served,
    visits::Completeness,
};
use crate::{
    error::Error,
    metrics,
    model::{CLOCK_DIFFERENCE_MAX, PostId, TableOf, Timestamp, UserId, limits::FEED_AGE_MAX},
    query::{
        pipeline::{FeedPost, Filter, Hydrated, Page, PostsBefore, Ranker, ReadRequest},
        services::Feeds,
    },
    store::{
        command_table::CommandTable,
        timelines::{Range, Row, RowPage},
    },
};

/// Rows of a window.
const WINDOW: usize = 200;
/// Posts of a group.
const GROUP: usize = 60;
/// The newest of the viewer's likes, by which affinity is measured.
const RECENT_LIKES: i32 = 100;
/// Reads of one page at most. More than one is needed only where many rows are hidden or many posts are deleted.
const READS_MAX: usize = 6;
/// Rows of each read after the first, so that a page looks at more than 5000 rows.
const ROWS_AGAIN: usize = 5 * WINDOW;

/// How a home is ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranking {
    /// By recency and engagement.
    Ranked,
    /// Also by how often the viewer likes posts of the author.
    Personalized,
}

/// Where a walk goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankedPosition {
    /// The moment for which posts are scored: when the walk began. The walk shows no posts of later than that, apart
    /// from what clocks may differ.
    at: Timestamp,
    /// The reads of rows must begin after this moment, at which the page before was finished.
    as_of: Option<Timestamp>,
    /// The window begins below this post.
    before: PostId,
    /// The last post of the window, once the walk has looked at it.
    end: Option<PostId>,
    /// The number of posts that are left in the window, as far as is known.
    left: usize,
    /// The posts of the window that need not be looked at again.
    served: Served,
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

/// A part of a window, of up to [`WINDOW`] rows. It is the whole window unless rows were inserted into that.
struct Window<'a> {
    /// The visible rows in the order of the first ranking stage.
    ordered: Vec<&'a Row>,
    /// Where the part ends.
    last: PostId,
    /// Whether the window ends there, too.
    is_whole: bool,
    /// The number of groups whose posts are hydrated for the page.
    groups: usize,
}

impl Feeds {
    /// At most `limit` posts of the viewer's home, best first, from this position on.
    pub async fn ranked_home(
        &self,
        request: ReadRequest<'_>,
        ranking: Ranking,
        walk: Option<HomeWalk<RankedPosition>>,
        limit: usize,
    ) -> Result<HomePage<RankedPosition>, Error> {
        let began = self.clock.now();
        let mut walk = match walk {
            Some(HomeWalk::Trending(position)) => return only_trending(self, request, position, limit).await,
            Some(HomeWalk::Home(position)) => position,
            None => RankedPosition::start(began),
        };
        // Viewer state and sources; for a personal ranking also the viewer's likes.
        let mut count = walk.rows_wanted(limit);
        let before = walk.as_of.map(|finished| PageBefore { finished, home: walk.home, table: walk.table });
        // The first page reads from the top, as any home does: what it reads can be kept for other pages.
        let range = Range { before: walk.range().before.filter(|_| before.is_some()), ..walk.range() };
        let opened = home_sources(self, request, range, before, count + 1);
        let likes = recent_likes(&self.commands, request, ranking);
        let ((state, mut sources, home), likes) = tokio::try_join!(opened, likes)?;
        (walk.home, walk.table) = (home, self.timelines.table_of());
        let ranker = Ranker::new(walk.at, likes);
        let (mut entries, mut home_ends) = (Vec::new(), false);
        for read in 0..READS_MAX {
            let mut rows = cut(sources.next(count + 1).await?, count);
            // Posts of later than the beginning of the walk.
            rows.rows.retain(|row| row.post < walk.before);
            // Filter and first ranking stage.
            let visible = |author: &UserId| Filter::Home.admits_author(&state, author);
            let windows = walk.windows(&rows, &ranker, wanted(limit - entries.len(), read), visible);
            let picked: Vec<_> = windows.iter().flat_map(|window| window.picked(&walk.served)).collect();
            // Hydrate, second ranking stage, page.
            let Hydrated { posts, without_card: mut not_shown, .. } = self.hydrator().hydrate(&state, &picked).await?;
            let hidden: Vec<_> = rows.rows.iter().filter(|row| !visible(&row.author)).map(|row| row.post).collect();
            not_shown.extend(&hidden);
            sources.leave_for_later(&not_shown);
            metrics::PAGE_ROUNDS.add(1);
            metrics::ROWS_READ.add(rows.rows.len());
            metrics::ROWS_HIDDEN.add(hidden.len() + picked.len().saturating_sub(posts.len()));
            let is_full = walk.advance(&mut entries, limit, &ranker, windows, posts);
            home_ends = walk.ends_with(&rows);
            if home_ends || is_full {
                break;
            }
            sources.move_below(walk.before);
            count = ROWS_AGAIN;
        }
        metrics::PAGES.add(1);
        walk.as_of = Some(self.clock.now());
        walk.only_own = only_own(walk.only_own, &entries, &state);
        let only_own = walk.only_own;
        let page = Page { entries, next: (!home_ends).then_some(walk) };
        let newest = sources.newest(began);
        Ok(HomePage { newest, ..with_trending(self, &state, page, only_own, limit).await? })
    }
}

/// How many of the viewer's recent likes each author has; none where the ranking does not depend on them.
async fn recent_likes(
    commands: &CommandTable,
    request: ReadRequest<'_>,
    ranking: Ranking,
) -> Result<HashMap<UserId, u32>, Error> {
    let mut likes = HashMap::new();
    if ranking == Ranking::Personalized {
        let ReadRequest { viewer, .. } = request;
        for author in commands.recently_liked_authors(viewer, RECENT_LIKES, request.consistency()).await? {
            *likes.entry(author).or_default() += 1;
        }
    }
    Ok(likes)
}

/// How many posts to pick in this read of a page, of which the first is 0, to fill so much room. Only a post that is
/// left tells that there is a next page, so one post more is picked. Where most of what was picked is deleted, each
/// further read picks twice as many.
fn wanted(room: usize, read: usize) -> usize {
    (room + 1) << read
}

/// The first `count` rows. One row more was read, only to know whether there are more.
fn cut(read: RowPage, count: usize) -> RowPage {
    let mut rows = read.rows;
    let more = read.more || rows.len() > count;
    rows.truncate(count);
    RowPage { rows, more, visit: read.visit }
}

impl RankedPosition {
    fn start(now: Timestamp) -> Self {
        // The viewer's own post may come from a process whose clock is ahead of this one.
        let before = PostId::lowest(now.after(CLOCK_DIFFERENCE_MAX));
        let served = Served::default();
        Self {
            at: now,
            as_of: None,
            before,
            end: None,
            left: WINDOW,
            served,
            only_own: true,
            home: Completeness::Whole,
            table: TableOf::default(),
        }
    }

    /// The rows of this walk's window and of all windows after it.
    fn range(&self) -> Range {
        Range { before: Some(self.before), since: self.at.before(FEED_AGE_MAX) }
    }

    /// The number of rows to read first for a page with room for so many posts: those of the walk's window, and those
    /// of the next window where this one cannot fill the page.
    fn rows_wanted(&self, room: usize) -> usize {
        if self.left > room { WINDOW } else { 2 * WINDOW }
    }

    /// The windows to rank for a page that wants so many posts: the walk's window and, if it has fewer, those after it
    /// that were read.
    fn windows<'a>(
        &self,
        read: &'a RowPage,
        ranker: &Ranker,
        mut wanted: usize,
        visible: impl Fn(&UserId) -> bool,
    ) -> Vec<Window<'a>> {
        let (mut windows, mut rows, mut end) = (Vec::new(), read.rows.as_slice(), self.end);
        while wanted > 0 {
            let inside = rows.iter().take_while(|row| end.is_none_or(|end| row.post >= end)).take(WINDOW).count();
            let (part, below) = rows.split_at(inside);
            let list_ends = below.is_empty() && !read.more;
            if part.len() < WINDOW && below.is_empty() && !list_ends {
                // The rest of the window was not read.
                break;
            }
            let last_row = part.last().map(|row| row.post);
            let is_whole = end.is_none() || part.len() < WINDOW || last_row == end;
            let last = if is_whole { end.or(last_row) } else { last_row };
            let Some(last) = last else { break };
            let ordered = ranker.order(part.iter().filter(|row| visible(&row.author)).collect());
            let mut window = Window { ordered, last, is_whole, groups: 0 };
            wanted = wanted.saturating_sub(window.pick(&self.served, wanted));
            windows.push(window);
            rows = below;
            end = end.filter(|_| !is_whole);
        }
        windows
    }

    /// Moves the best posts of the windows to the page until it has `limit`, and the walk past them. `posts` are the
    /// picked posts that may be shown. Tells whether a post is left that did not fit.
    fn advance(
        &mut self,
        page: &mut Vec<FeedPost>,
        limit: usize,
        ranker: &Ranker,
        windows: Vec<Window<'_>>,
        mut posts: HashMap<PostId, FeedPost>,
    ) -> bool {
        for window in windows {
            if window.is_whole {
                self.end = Some(window.last);
            }
            let mut before = PostsBefore::new();
            for group in window.ordered.chunks(GROUP).take(window.groups) {
                let mut shown = before.clone();
                let is_served = |row: &&&Row| self.served.contains(row.post);
                group.iter().filter(is_served).for_each(|row| add(&mut shown, &row.author));
                let left = group.iter().filter_map(|row| posts.remove(&row.post)).collect();
                let mut ranked = ranker.rank(left, &shown);
                let rest = ranked.split_off(ranked.len().min(limit - page.len()));
                ranked.iter().for_each(|post| self.served.insert(post.card.post));
                page.extend(ranked);
                if !rest.is_empty() {
                    self.left = window.left(&self.served);
                    return true;
                }
                // Those that may not be shown need not be looked at again. All of them stand before the next group.
                for row in group {
                    self.served.insert(row.post);
                    add(&mut before, &row.author);
                }
            }
            self.left = window.left(&self.served);
            if self.left > 0 {
                return false;
            }
            self.leave(&window);
        }
        false
    }

    /// Goes on below a part of the window, or below the whole of it.
    fn leave(&mut self, window: &Window<'_>) {
        (self.before, self.left) = (window.last, WINDOW);
        if window.is_whole {
            (self.end, self.served) = (None, Served::default());
        } else {
            window.ordered.iter().for_each(|row| self.served.remove(row.post));
        }
    }

    /// Whether the home has no rows below the position. `read` are the rows that were read last.
    fn ends_with(&self, read: &RowPage) -> bool {
        !read.more && read.rows.last().is_none_or(|last| last.post >= self.before)
    }
}

fn add(shown: &mut PostsBefore, author: &UserId) {
    *shown.entry(author.clone()).or_default() += 1;
}

impl Window<'_> {
    /// Picks groups until they have `wanted` posts that were not served, and tells how many they have.
    fn pick(&mut self, served: &Served, wanted: usize) -> usize {
        let mut found = 0;
        for group in self.ordered.chunks(GROUP) {
            if found >= wanted {
                break;
            }
            found += group.iter().filter(|row| !served.contains(row.post)).count();
            self.groups += 1;
        }
        found
    }

    /// The posts of the picked groups that were not served.
    fn picked(&self, served: &Served) -> impl Iterator<Item = PostId> {
        let picked = self.ordered.iter().take(self.groups * GROUP).map(|row| row.post);
        picked.filter(|post| !served.contains(*post))
    }

    /// The number of posts that were not served.
    fn left(&self, served: &Served) -> usize {
        self.ordered.iter().filter(|row| !served.contains(row.post)).count()
    }
}

#[cfg(test)]
mod tests;
