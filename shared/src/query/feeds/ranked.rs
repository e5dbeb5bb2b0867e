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

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    home::{HomePage, HomeWalk, home_sources, only_own, only_trending, with_trending},
    served::Served,
};
use crate::{
    error::Error,
    metrics,
    model::{PostId, Timestamp, UserId, limits::FEED_AGE_MAX},
    query::{
        pipeline::{FeedPost, Filter, Page, Ranker, ReadRequest, Shown},
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
    /// The moment for which posts are scored: when the walk began. The walk does not show later posts.
    at: Timestamp,
    /// Rows must have been read at this moment or later.
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
        let mut walk = match walk {
            Some(HomeWalk::Trending(position)) => return only_trending(self, request, position, limit).await,
            Some(HomeWalk::Home(position)) => position,
            None => RankedPosition::start(self.clock.now()),
        };
        // Viewer state and sources; for a personal ranking also the viewer's likes.
        let mut count = walk.rows_wanted(limit);
        let opened = home_sources(self, request, walk.range(), walk.as_of, count + 1);
        let likes = recent_likes(&self.commands, request, ranking);
        let ((state, mut sources), likes) = tokio::try_join!(opened, likes)?;
        let ranker = Ranker::new(walk.at, likes);
        let (mut entries, mut home_ends) = (Vec::new(), false);
        for _ in 0..READS_MAX {
            let rows = cut(sources.next(count + 1).await?, count);
            // Filter and first ranking stage.
            let visible = |author: &UserId| Filter::Home.admits_author(&state, author);
            let windows = walk.windows(&rows, &ranker, limit - entries.len(), visible);
            let picked: Vec<_> = windows.iter().flat_map(|window| window.picked(&walk.served)).collect();
            // Hydrate, second ranking stage, page.
            let posts = self.hydrator().posts(&state, &picked).await?;
            metrics::PAGE_ROUNDS.add(1);
            metrics::ROWS_READ.add(rows.rows.len());
            let unseen = rows.rows.iter().filter(|row| !visible(&row.author)).count();
            metrics::ROWS_HIDDEN.add(unseen + picked.len().saturating_sub(posts.len()));
            let is_full = walk.advance(&mut entries, limit, &ranker, windows, posts);
            home_ends = walk.ends_with(&rows);
            if home_ends || is_full {
                break;
            }
            sources.move_below(walk.before);
            count = ROWS_AGAIN;
        }
        metrics::PAGES.add(1);
        walk.as_of = Some(sources.as_of());
        walk.only_own = only_own(walk.only_own, &entries, &state);
        let only_own = walk.only_own;
        let page = Page { entries, next: (!home_ends).then_some(walk) };
        with_trending(self, &state, page, only_own, limit).await
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

/// The first `count` rows. One row more was read, only to know whether there are more.
fn cut(read: RowPage, count: usize) -> RowPage {
    let mut rows = read.rows;
    let more = read.more || rows.len() > count;
    rows.truncate(count);
    RowPage { rows, more }
}

impl RankedPosition {
    fn start(now: Timestamp) -> Self {
        let before = PostId::lowest(now.after(Duration::from_millis(1)));
        let served = Served::default();
        Self { at: now, as_of: None, before, end: None, left: WINDOW, served, only_own: true }
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

    /// The windows to rank for a page with room for so many posts: the walk's window and, if it cannot fill the page,
    /// those after it that were read. Only a post that is left tells that there is a next page, so the windows have one
    /// post more, if there is one.
    fn windows<'a>(
        &self,
        read: &'a RowPage,
        ranker: &Ranker,
        room: usize,
        visible: impl Fn(&UserId) -> bool,
    ) -> Vec<Window<'a>> {
        let (mut windows, mut rows, mut end, mut wanted) = (Vec::new(), read.rows.as_slice(), self.end, room + 1);
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
            let mut before = Shown::new();
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

fn add(shown: &mut Shown, author: &UserId) {
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
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::samples::{NOW, feed_post, user};

    fn row(minutes: u64, author: u8) -> Row {
        let at = NOW.before(Duration::from_secs(60 * minutes));
        Row { post: PostId::new(at), author: format!("author-{author}").parse().unwrap() }
    }

    fn post(row: &Row, heat: i64) -> FeedPost {
        feed_post(row.post, row.author.clone(), heat)
    }

    /// A home whose rows may change, and the heat of its posts; a post without heat may not be shown.
    struct Home {
        rows: Vec<Row>,
        heat: HashMap<PostId, Option<i64>>,
        hidden: UserId,
    }

    impl Home {
        fn of(rows: impl IntoIterator<Item = (Row, Option<i64>)>) -> Self {
            let mut home = Self { rows: Vec::new(), heat: HashMap::new(), hidden: user("hidden") };
            rows.into_iter().for_each(|(row, heat)| home.insert(row, heat));
            home
        }

        fn insert(&mut self, row: Row, heat: Option<i64>) {
            self.heat.insert(row.post, heat);
            self.rows.push(row);
            self.rows.sort_by_key(|row| std::cmp::Reverse(row.post));
        }

        fn shown(&self) -> HashSet<PostId> {
            let shown = self.rows.iter().filter(|row| row.author != self.hidden && self.heat[&row.post].is_some());
            shown.map(|row| row.post).collect()
        }

        /// A page as [`Feeds::ranked_home`] fills it, whether the home ends with it, and the reads that it took.
        fn page(&self, position: &mut RankedPosition, limit: usize) -> (Vec<PostId>, bool, usize) {
            let (mut page, ranker) = (Vec::new(), Ranker::new(NOW, HashMap::new()));
            for reads in 1..=READS_MAX {
                let room = limit - page.len();
                let count = if reads == 1 { position.rows_wanted(room) } else { ROWS_AGAIN };
                let range = position.range();
                let below = self.rows.iter().filter(|row| range.contains(row.post));
                let read = cut(RowPage { rows: below.take(count + 1).cloned().collect(), more: false }, count);
                let windows = position.windows(&read, &ranker, room, |author| *author != self.hidden);
                let picked: HashSet<_> = windows.iter().flat_map(|window| window.picked(&position.served)).collect();
                let picked = read.rows.iter().filter(|row| picked.contains(&row.post));
                let posts = picked.filter_map(|row| Some((row.post, post(row, self.heat[&row.post]?)))).collect();
                let is_full = position.advance(&mut page, limit, &ranker, windows, posts);
                let ends = position.ends_with(&read);
                if is_full || ends {
                    return (page.iter().map(|post| post.card.post).collect(), ends, reads);
                }
            }
            (page.iter().map(|post| post.card.post).collect(), false, READS_MAX)
        }

        /// All pages of a walk, with `change` between two of them.
        fn walk(&mut self, limits: &[usize], mut change: impl FnMut(&mut Self, usize)) -> Vec<Vec<PostId>> {
            let (mut position, mut pages) = (RankedPosition::start(NOW), Vec::new());
            for limit in limits.iter().cycle() {
                // As the cursor carries it.
                position = serde_json::from_value(serde_json::to_value(position).unwrap()).unwrap();
                let (page, ends, _) = self.page(&mut position, *limit);
                pages.push(page);
                assert!(pages.len() < 10_000, "the walk does not end");
                if ends {
                    break;
                }
                change(self, pages.len());
            }
            pages
        }
    }

    /// Rows, one a minute: of an author, or of a hidden one; and their heats, or none for deleted posts.
    fn rows() -> impl Strategy<Value = Vec<(Row, Option<i64>)>> {
        let heat = prop_oneof![1 => Just(None), 5 => (0i64..90_000).prop_map(Some)];
        let author = prop_oneof![1 => Just(None), 4 => (0u8..6).prop_map(Some)];
        let rows = proptest::collection::vec((author, heat), 0..700);
        // Hidden ones and deleted ones often come in a row.
        (rows, 0usize..300, 0usize..300).prop_map(|(rows, hidden, deleted)| {
            let row = |(minutes, (author, heat)): (usize, (Option<u8>, Option<i64>))| {
                let author = author.filter(|_| minutes >= hidden);
                let mut row = row(minutes as u64, author.unwrap_or_default());
                if author.is_none() {
                    row.author = user("hidden");
                }
                (row, heat.filter(|_| !(300..300 + deleted).contains(&minutes)))
            };
            rows.into_iter().enumerate().map(row).collect()
        })
    }

    fn limits() -> impl Strategy<Value = Vec<usize>> {
        proptest::collection::vec(prop_oneof![1usize..8, Just(20), Just(100)], 1..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_walk_shows_every_post_once_in_an_order_that_does_not_depend_on_its_pages(
            rows in rows(),
            limits in limits(),
        ) {
            let mut home = Home::of(rows);
            let pages = home.walk(&limits, |_, _| {});
            let (last, full) = pages.split_last().unwrap();
            prop_assert!(full.iter().zip(limits.iter().cycle()).all(|(page, limit)| page.len() == *limit));
            prop_assert!(!last.is_empty() || full.is_empty(), "only an empty home has an empty page");
            let walked = pages.concat();
            prop_assert_eq!(walked.iter().copied().collect::<HashSet<_>>(), home.shown());
            prop_assert_eq!(walked.len(), home.shown().len());
            prop_assert_eq!(walked, home.walk(&[100], |_, _| {}).concat());
        }

        #[test]
        fn whatever_changes_during_a_walk_nothing_comes_twice_and_what_stays_is_shown(
            rows in rows(),
            limits in limits(),
            changes in proptest::collection::vec((any::<bool>(), 0u64..42_000, 1usize..400), 1..8),
            every in 1usize..4,
        ) {
            let mut home = Home::of(rows);
            let (mut stays, mut left) = (home.shown(), changes.into_iter());
            let pages = home.walk(&limits, |home, page| {
                for (post, heat) in &mut home.heat {
                    // Scores change, too. A post that is deleted stays deleted.
                    let salt = NOW.since(post.created_at()).as_secs() as i64 + page as i64;
                    *heat = heat.map(|heat| (heat * 31 + salt * 7919).rem_euclid(90_000));
                }
                if !page.is_multiple_of(every) {
                    return;
                }
                match left.next() {
                    // A follow brings rows, here one every second.
                    Some((true, seconds, count)) => for second in 0..count as u64 {
                        let at = NOW.before(Duration::from_secs(seconds + second));
                        home.insert(Row { post: PostId::new(at), author: user("followed") }, Some(0));
                    },
                    // An unfollow removes rows.
                    Some((false, seconds, count)) => {
                        let first = home.rows.partition_point(|row| {
                            row.post.created_at() > NOW.before(Duration::from_secs(seconds))
                        });
                        let end = home.rows.len().min(first + count);
                        for row in home.rows.drain(first..end) {
                            stays.remove(&row.post);
                        }
                    }
                    None => {}
                }
            });
            let walked = pages.concat();
            let distinct: HashSet<_> = walked.iter().copied().collect();
            prop_assert_eq!(walked.len(), distinct.len(), "nothing comes twice");
            prop_assert_eq!(stays.difference(&distinct).collect::<Vec<_>>(), Vec::<&PostId>::new());
        }
    }

    #[test]
    fn posts_that_a_new_follow_inserts_do_not_bring_back_what_was_read() {
        // B has one post, A fifty; then X, with 210 newer ones, is followed.
        let own = (0..51).map(|n| (row(300 + n, u8::from(n > 0)), Some(0)));
        let mut home = Home::of(own);
        let first = home.rows[0].post;
        let pages = home.walk(&[20], |home, page| {
            if page == 1 {
                (0..210).for_each(|minutes| home.insert(row(minutes, 7), Some(0)));
            }
        });
        assert_eq!(pages.iter().flatten().filter(|post| **post == first).count(), 1);
    }

    #[test]
    fn hidden_rows_by_the_thousand_do_not_end_a_page_early() {
        let hidden = (0..2500).map(|n| (Row { author: user("hidden"), ..row(n, 0) }, Some(0)));
        let home = Home::of(hidden.chain([(row(3000, 1), Some(0))]));
        let (page, ends, reads) = home.page(&mut RankedPosition::start(NOW), 20);
        assert_eq!((page.len(), ends), (1, true));
        assert!(reads <= READS_MAX);
    }
}
