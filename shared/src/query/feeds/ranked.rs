//! The home feed by rank: the posts of the home feed, best first. [`crate::model::ranking`] has the formulas.
//!
//! A walk goes through the home in windows of 200 rows, newest first. It ranks a window in two stages: a first score,
//! of what rows tell, picks 60 rows, and the score of their cards decides. Posts that were shown do not come again.
//! When a window has nothing left, the next one begins. So a walk shows every post of the home exactly once, however
//! scores change meanwhile (INV-5). A page takes two round trips: the viewer state and the rows, then the cards and
//! likes.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    home::{HomePage, HomeWalk, home_sources, only_trending, with_trending},
    served::Served,
};
use crate::{
    error::Error,
    model::{PostId, Timestamp, UserId, limits::FEED_AGE_MAX},
    query::{
        pipeline::{FeedPost, Filter, Page, Ranker, ReadRequest},
        services::Feeds,
    },
    store::{
        command_table::CommandTable,
        timelines::{Range, Row, RowPage},
    },
};

/// Rows of a window.
const WINDOW: usize = 200;
/// Posts of a window whose cards are read; more where the page has room for more.
const CANDIDATES: usize = 60;
/// The newest of the viewer's likes, by which affinity is measured.
const RECENT_LIKES: i32 = 100;
/// Reads of one page at most. More than one is needed only where many posts are deleted.
const READS_MAX: usize = 8;

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
    /// The moment for which posts are scored: when the walk began. The walk does not show later posts.
    at: Timestamp,
    /// Rows must have been read at this moment or later.
    as_of: Option<Timestamp>,
    /// The window begins below this post.
    before: PostId,
    /// The number of posts that are left in the window, as far as is known.
    left: usize,
    /// The posts of the window that need not be looked at again.
    served: Served,
}

/// The part of a window that is left to rank.
struct Window<'a> {
    /// The last row of the window. The next window begins below it.
    end: PostId,
    /// The rows that were not served.
    left: Vec<&'a Row>,
    /// The posts among them whose cards are read.
    picked: Vec<PostId>,
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
        let mut walk = match walk {
            Some(HomeWalk::Trending(position)) => return only_trending(self, request, position, limit).await,
            Some(HomeWalk::Home(position)) => position,
            None => RankedPosition::start(self.clock.now()),
        };
        // Viewer state and sources; for a personal ranking also the viewer's likes.
        let mut count = walk.rows_wanted(limit);
        let opened = home_sources(self, request, walk.range(), walk.as_of, count + 1);
        let likes = recent_likes(&self.commands, request.viewer, ranking);
        let ((state, mut sources), likes) = tokio::try_join!(opened, likes)?;
        let mut ranker = Ranker::new(walk.at, likes);
        let (mut entries, mut home_ends) = (Vec::new(), false);
        for _ in 0..READS_MAX {
            let rows = whole_windows(sources.next(count + 1).await?, count);
            // Filter and first ranking stage.
            let visible = |author: &UserId| Filter::Home.admits_author(&state, author);
            let windows = walk.windows(&rows.rows, &ranker, limit - entries.len(), visible);
            let picked: Vec<_> = windows.iter().flat_map(|window| &window.picked).copied().collect();
            // Hydrate, second ranking stage, page.
            let posts = self.hydrator().posts(&state, &picked).await?;
            walk.advance(&mut entries, limit, &mut ranker, windows, posts);
            home_ends = walk.ends_with(&rows);
            if home_ends || entries.len() == limit {
                break;
            }
            sources.move_below(walk.before);
            count = walk.rows_wanted(limit - entries.len());
        }
        walk.as_of = Some(sources.as_of());
        let page = Page { entries, next: (!home_ends).then_some(walk) };
        with_trending(self, &state, page, limit).await
    }
}

/// How many of the viewer's recent likes each author has; none where the ranking does not depend on them.
async fn recent_likes(
    commands: &CommandTable,
    viewer: &UserId,
    ranking: Ranking,
) -> Result<HashMap<UserId, u32>, Error> {
    let mut likes = HashMap::new();
    if ranking == Ranking::Personalized {
        for author in commands.recently_liked_authors(viewer, RECENT_LIKES).await? {
            *likes.entry(author).or_default() += 1;
        }
    }
    Ok(likes)
}

/// The first `count` rows, which fill whole windows. One row more was read, only to know whether there are more.
fn whole_windows(read: RowPage, count: usize) -> RowPage {
    let mut rows = read.rows;
    let more = rows.len() > count;
    rows.truncate(count);
    RowPage { rows, more }
}

impl RankedPosition {
    fn start(now: Timestamp) -> Self {
        let before = PostId::lowest(now.after(Duration::from_millis(1)));
        Self { at: now, as_of: None, before, left: WINDOW, served: Served::default() }
    }

    /// The rows of this walk's window and of all windows after it.
    fn range(&self) -> Range {
        Range { before: Some(self.before), since: self.at.before(FEED_AGE_MAX) }
    }

    /// The number of rows to read for a page with room for so many posts: those of the walk's window, and those of the
    /// next window where this one cannot fill the page.
    fn rows_wanted(&self, room: usize) -> usize {
        if self.left > room { WINDOW } else { 2 * WINDOW }
    }

    /// The windows to rank for a page with room for so many posts: the walk's window and, if it cannot fill the page,
    /// the next one.
    fn windows<'a>(
        &self,
        rows: &'a [Row],
        ranker: &Ranker,
        room: usize,
        visible: impl Fn(&UserId) -> bool,
    ) -> Vec<Window<'a>> {
        let mut windows = Vec::new();
        for (number, rows) in rows.chunks(WINDOW).take(2).enumerate() {
            let served = |row: &Row| number == 0 && self.served.contains(row.post);
            let left: Vec<_> = rows.iter().filter(|row| visible(&row.author) && !served(row)).collect();
            let picked = ranker.pick(&left, CANDIDATES.max(room));
            let fills_page = left.len() > room;
            windows.extend(rows.last().map(|last| Window { end: last.post, left, picked }));
            if fills_page {
                break;
            }
        }
        windows
    }

    /// Moves the best posts of the windows to the page until it has `limit`, and the walk past them. `posts` are the
    /// picked posts that may be shown.
    fn advance(
        &mut self,
        page: &mut Vec<FeedPost>,
        limit: usize,
        ranker: &mut Ranker,
        windows: Vec<Window<'_>>,
        mut posts: HashMap<PostId, FeedPost>,
    ) {
        for window in windows {
            let (shown, gone): (Vec<_>, Vec<_>) = window.picked.iter().partition(|post| posts.contains_key(post));
            let shown = shown.into_iter().filter_map(|post| posts.remove(post)).collect();
            let ranked = ranker.rank(shown, limit - page.len());
            // A post that may not be shown need not be looked at again.
            let served = ranked.iter().map(|post| post.card.post).chain(gone.into_iter().copied());
            served.for_each(|post| self.served.insert(post));
            page.extend(ranked);
            self.left = window.left.iter().filter(|row| !self.served.contains(row.post)).count();
            if self.left > 0 {
                return;
            }
            self.enter_window_below(window.end);
        }
    }

    fn enter_window_below(&mut self, end: PostId) {
        (self.before, self.left, self.served) = (end, WINDOW, Served::default());
    }

    /// Whether the home has no rows below the position. `read` are the rows that were read last.
    fn ends_with(&self, read: &RowPage) -> bool {
        !read.more && read.rows.last().is_none_or(|last| last.post == self.before)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::samples::{NOW, feed_post};

    fn row(minutes: u64, author: u8) -> Row {
        let at = NOW.before(Duration::from_secs(60 * minutes));
        Row { post: PostId::new(at), author: format!("author-{author}").parse().unwrap() }
    }

    fn post(row: &Row, heat: i64) -> FeedPost {
        feed_post(row.post, row.author.clone(), heat)
    }

    /// Walks a home of these rows to its end as [`Feeds::ranked_home`] does, for a viewer who follows all authors but
    /// one. `heat` is the heat of a post whenever its card is read; a post without heat may not be shown.
    fn walk(
        rows: &[Row],
        limit: usize,
        hidden: &UserId,
        mut heat: impl FnMut(&Row) -> Option<i64>,
    ) -> Vec<Vec<FeedPost>> {
        let mut position = RankedPosition::start(NOW);
        let mut pages = Vec::new();
        loop {
            let (mut page, mut ranker) = (Vec::new(), Ranker::new(NOW, HashMap::new()));
            for _ in 0..READS_MAX {
                let room = limit - page.len();
                let (range, count) = (position.range(), position.rows_wanted(room));
                let below = rows.iter().filter(|row| range.contains(row.post));
                let read_rows = RowPage { rows: below.take(count + 1).cloned().collect(), more: false };
                let read_rows = whole_windows(read_rows, count);
                let windows = position.windows(&read_rows.rows, &ranker, room, |author| author != hidden);
                let picked: HashSet<_> = windows.iter().flat_map(|window| window.picked.clone()).collect();
                let picked = read_rows.rows.iter().filter(|row| picked.contains(&row.post));
                let read = picked.filter_map(|row| Some((row.post, post(row, heat(row)?)))).collect();
                position.advance(&mut page, limit, &mut ranker, windows, read);
                if position.ends_with(&read_rows) {
                    pages.push(page);
                    return pages;
                }
                if page.len() == limit {
                    break;
                }
            }
            pages.push(page);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_walk_shows_every_post_once_however_scores_change(
            rows in proptest::collection::vec((0u8..6, any::<bool>()), 0..700),
            // The first posts are by an author whom the viewer does not follow.
            hidden in 0usize..300,
            limit in prop_oneof![1usize..8, Just(20), Just(100)],
            mut heat in any::<u32>(),
        ) {
            let author = |minutes: usize, author: u8| if minutes < hidden { 9 } else { author };
            let deleted: HashMap<_, _> = rows.iter().enumerate().map(|(minutes, (by, gone))| {
                (row(minutes as u64, author(minutes, *by)), *gone && *by == 0)
            }).collect();
            let mut rows: Vec<_> = deleted.keys().cloned().collect();
            rows.sort_by_key(|row| std::cmp::Reverse(row.post));
            let hidden = row(0, 9).author;
            let pages = walk(&rows, limit, &hidden, |row| {
                heat = heat.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (!deleted[row]).then_some(i64::from(heat >> 12))
            });
            let (last, full) = pages.split_last().unwrap();
            prop_assert!(full.iter().all(|page| page.len() == limit) && last.len() <= limit);
            let mut walked: Vec<_> = pages.iter().flatten().map(|post| post.card.post).collect();
            let visible = rows.iter().filter(|row| !deleted[*row] && row.author != hidden);
            let mut expected: Vec<_> = visible.map(|row| row.post).collect();
            walked.sort();
            expected.sort();
            prop_assert_eq!(walked, expected);
        }
    }
}
