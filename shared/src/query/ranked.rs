//! The home feed by rank: what the chronological order holds, the best first. The formulas stand in
//! [`crate::model::ranking`].
//!
//! A walk goes through windows of 200 rows, newest first. In a window it ranks in two stages: a first score, of what the
//! rows alone tell, picks 60; their cards' scores decide. What was served does not come again; when a window has nothing
//! left, the next begins. So a walk shows every post of the home exactly once (INV-5), whatever happens to the scores
//! meanwhile, and one page takes two round trips: the viewer and the rows at once, then the cards and likes.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{FeedPost, Feeds, HomePage, HomeWalk, Page, ReadRequest, served::Served};
use crate::{
    error::Error,
    model::{
        PostId, Timestamp, UserId,
        limits::FEED_AGE_MAX,
        ranking::{Explanation, affinity, diversity, engagement, recency},
    },
    store::timelines::{Range, Row, RowPage, Timeline},
};

/// Rows of a window.
const WINDOW: usize = 200;
/// Posts whose cards are read to rank them; more if more are asked for.
const CANDIDATES: usize = 60;
/// The viewer's likes that affinity is measured by: those of the newest posts.
const RECENT_LIKES: i32 = 100;
/// Rounds of one page at most. A further one is needed only where many posts are deleted.
const ROUNDS_MAX: usize = 8;

/// By what posts are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranking {
    /// By what is the same for everybody.
    Ranked,
    /// Also by how much the viewer likes the author.
    Personalized,
}

/// Where a walk is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankedPosition {
    /// The moment for which posts are scored: when the walk began. Later posts are not part of it.
    at: Timestamp,
    /// The walk goes on with what was there at this moment, or later.
    as_of: Option<Timestamp>,
    /// The window begins below this post.
    before: PostId,
    /// Posts of the window that are left, as far as is known.
    left: usize,
    /// Posts of the window that were served.
    served: Served,
}

impl RankedPosition {
    fn start(now: Timestamp) -> Self {
        let before = PostId::lowest(now.after(Duration::from_millis(1)));
        Self { at: now, as_of: None, before, left: WINDOW, served: Served::default() }
    }

    fn serve(&mut self, posts: impl Iterator<Item = PostId>) {
        posts.for_each(|post| self.served.insert(post));
    }

    /// Which rows to read, and how many: those of the walk's window, and those of the next, too, where this one will not
    /// fill the page.
    fn rows(&self, room: usize) -> (Range, usize) {
        let windows = if self.left > room { 1 } else { 2 };
        (Range { before: Some(self.before), since: self.at.before(FEED_AGE_MAX) }, windows * WINDOW)
    }

    /// Whether nothing is left: what was read ends where the walk is.
    fn ends_with(&self, read: &RowPage) -> bool {
        !read.more && read.rows.last().is_none_or(|last| last.post == self.before)
    }

    fn enter_window_below(&mut self, end: PostId) {
        (self.before, self.left, self.served) = (end, WINDOW, Served::default());
    }
}

/// Rows that are ranked against each other.
struct Window<'a> {
    /// The last of its rows, where the next window begins.
    end: PostId,
    /// Rows that were not served.
    left: Vec<&'a Row>,
    /// Those of them whose cards decide.
    picked: Vec<PostId>,
}

impl Feeds {
    /// At most `limit` posts of the viewer's home by rank, from this position on.
    pub async fn ranked_home(
        &self,
        reader: ReadRequest<'_>,
        ranking: Ranking,
        walk: Option<HomeWalk<RankedPosition>>,
        limit: usize,
    ) -> Result<HomePage<RankedPosition>, Error> {
        let mut walk = match walk {
            Some(HomeWalk::Trending(position)) => return self.home_beyond(reader, position, limit).await,
            Some(HomeWalk::Home(position)) => position,
            None => RankedPosition::start(self.clock.now()),
        };
        let home = Timeline::Home(reader.user.clone());
        let (range, count) = walk.rows(limit);
        let view = self.view(reader, home, range, count + 1, walk.as_of);
        let ((mut view, first), likes) = tokio::try_join!(view, self.recent_likes(reader.user, ranking))?;
        let mut rows = of_windows(first, count);
        let mut ranker = Ranker { at: walk.at, likes, shown: HashMap::new() };
        let mut entries = Vec::new();
        for round in 0..ROUNDS_MAX {
            if round > 0 {
                let (range, count) = walk.rows(limit - entries.len());
                rows = of_windows(self.rows(&mut view, range, count + 1).await?, count);
            }
            let sees = |author: &UserId| view.sight.viewer.sees(reader.user, author);
            let windows = ranker.windows(&rows.rows, &walk, limit - entries.len(), sees);
            let picked: Vec<_> = windows.iter().flat_map(|window| &window.picked).copied().collect();
            let read = self.posts(reader, &view.sight, &picked).await?;
            ranker.fill(&mut entries, limit, &mut walk, windows, read);
            if walk.ends_with(&rows) {
                return self.home_page(reader, &view.sight, Page { entries, next: None }, limit).await;
            }
            if entries.len() == limit {
                break;
            }
        }
        walk.as_of = Some(view.as_of);
        self.home_page(reader, &view.sight, Page { entries, next: Some(walk) }, limit).await
    }

    async fn recent_likes(&self, viewer: &UserId, ranking: Ranking) -> Result<HashMap<UserId, u32>, Error> {
        let mut likes = HashMap::new();
        if ranking == Ranking::Personalized {
            for author in self.commands.recently_liked_authors(viewer, RECENT_LIKES).await? {
                *likes.entry(author).or_default() += 1;
            }
        }
        Ok(likes)
    }
}

/// The first `count` rows, which whole windows are made of. One more was read, only to know whether there is more.
fn of_windows(read: RowPage, count: usize) -> RowPage {
    let mut rows = read.rows;
    let more = rows.len() > count;
    rows.truncate(count);
    RowPage { rows, more }
}

/// What the ranks on a page depend on.
struct Ranker {
    at: Timestamp,
    /// How many of the viewer's recent likes went to an author.
    likes: HashMap<UserId, u32>,
    /// How many posts of an author are on the page.
    shown: HashMap<UserId, u32>,
}

impl Ranker {
    /// The walk's window and, if that will not fill the page, the one after it.
    fn windows<'a>(
        &self,
        rows: &'a [Row],
        walk: &RankedPosition,
        room: usize,
        sees: impl Fn(&UserId) -> bool,
    ) -> Vec<Window<'a>> {
        let mut windows = Vec::new();
        for (number, rows) in rows.chunks(WINDOW).take(2).enumerate() {
            let served = |row: &Row| number == 0 && walk.served.contains(row.post);
            let left: Vec<_> = rows.iter().filter(|row| sees(&row.author) && !served(row)).collect();
            let picked = self.pick(&left, CANDIDATES.max(room));
            let fills = left.len() > room;
            windows.extend(rows.last().map(|last| Window { end: last.post, left, picked }));
            if fills {
                break;
            }
        }
        windows
    }

    /// Takes posts from the windows until the page has `limit`; `read` are those of the picked that can be shown.
    fn fill(
        &mut self,
        page: &mut Vec<FeedPost>,
        limit: usize,
        walk: &mut RankedPosition,
        windows: Vec<Window<'_>>,
        mut read: HashMap<PostId, FeedPost>,
    ) {
        for window in windows {
            let (shown, gone): (Vec<_>, Vec<_>) = window.picked.iter().partition(|post| read.contains_key(post));
            let shown = shown.into_iter().filter_map(|post| read.remove(post)).collect();
            let ranked = self.rank(shown, limit - page.len());
            // What has nothing to show need not be looked at again.
            walk.serve(ranked.iter().map(|post| post.card.post).chain(gone.into_iter().copied()));
            page.extend(ranked);
            walk.left = window.left.iter().filter(|row| !walk.served.contains(row.post)).count();
            if walk.left > 0 {
                return;
            }
            walk.enter_window_below(window.end);
        }
    }

    /// The first stage: the best by what rows tell, which are from newest to oldest.
    fn pick(&self, rows: &[&Row], count: usize) -> Vec<PostId> {
        let mut of_author = self.shown.clone();
        let score = |row: &&Row| {
            let before = of_author.entry(row.author.clone()).or_default();
            let score = recency(row.post.created_at(), self.at) * self.affinity(&row.author) * diversity(*before);
            *before += 1;
            (score, row.post)
        };
        let mut scored: Vec<_> = rows.iter().map(score).collect();
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        scored.into_iter().take(count).map(|(_, post)| post).collect()
    }

    /// The second stage: the best by what cards tell, best first. An author's posts count less the more of them stand
    /// before.
    fn rank(&mut self, mut posts: Vec<FeedPost>, count: usize) -> Vec<FeedPost> {
        let explain = |post: &FeedPost, before: u32| {
            let card = &post.card;
            let recency = recency(card.post.created_at(), self.at);
            Explanation::new(recency, engagement(card.heat), self.affinity(&card.author), diversity(before))
        };
        let best_first = |posts: &mut Vec<FeedPost>| {
            let score = |post: &FeedPost| post.explanation.map_or(0.0, |explanation| explanation.score);
            posts.sort_by(|a, b| score(b).total_cmp(&score(a)).then(b.card.post.cmp(&a.card.post)));
        };
        posts.iter_mut().for_each(|post| post.explanation = Some(explain(post, 0)));
        best_first(&mut posts);
        let mut of_author = self.shown.clone();
        for post in &mut posts {
            let before = of_author.entry(post.card.author.clone()).or_default();
            post.explanation = Some(explain(post, *before));
            *before += 1;
        }
        best_first(&mut posts);
        posts.truncate(count);
        for post in &posts {
            *self.shown.entry(post.card.author.clone()).or_default() += 1;
        }
        posts
    }

    fn affinity(&self, author: &UserId) -> f64 {
        affinity(self.likes.get(author).copied().unwrap_or_default())
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

    fn ranker(likes: &[(&Row, u32)]) -> Ranker {
        let likes = likes.iter().map(|(row, count)| (row.author.clone(), *count)).collect();
        Ranker { at: NOW, likes, shown: HashMap::new() }
    }

    /// Walks a home of these rows to its end as [`Feeds::ranked_home`] does, for a viewer who follows all authors but
    /// one; `heats` are those of the posts that can be shown, anew for each page.
    fn walk(
        rows: &[Row],
        limit: usize,
        hidden: &UserId,
        mut heats: impl FnMut(&Row) -> Option<i64>,
    ) -> Vec<Vec<FeedPost>> {
        let mut position = RankedPosition::start(NOW);
        let mut pages = Vec::new();
        loop {
            let (mut page, mut ranker) = (Vec::new(), ranker(&[]));
            for _ in 0..ROUNDS_MAX {
                let room = limit - page.len();
                let (range, count) = position.rows(room);
                let below = rows.iter().filter(|row| range.contains(row.post));
                let read_rows = RowPage { rows: below.take(count + 1).cloned().collect(), more: false };
                let read_rows = of_windows(read_rows, count);
                let windows = ranker.windows(&read_rows.rows, &position, room, |author| author != hidden);
                let picked: HashSet<_> = windows.iter().flat_map(|window| window.picked.clone()).collect();
                let picked = read_rows.rows.iter().filter(|row| picked.contains(&row.post));
                let read = picked.filter_map(|row| Some((row.post, post(row, heats(row)?)))).collect();
                ranker.fill(&mut page, limit, &mut position, windows, read);
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
            // Which author's posts, in a row at the top, the viewer does not see.
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
            let mut expected: Vec<_> = rows.iter().filter(|row| !deleted[*row] && row.author != hidden).map(|row| row.post).collect();
            walked.sort();
            expected.sort();
            prop_assert_eq!(walked, expected);
        }

        #[test]
        fn an_order_is_that_of_the_scores_it_explains(heats in proptest::collection::vec((0i64..50_000, 0u8..4), 1..60)) {
            let posts = heats.iter().enumerate().map(|(n, (heat, author))| post(&row(n as u64 * 10, *author), *heat));
            let ranked = ranker(&[]).rank(posts.collect(), 100);
            let scores: Vec<_> = ranked.iter().map(|post| post.explanation.unwrap().score).collect();
            prop_assert!(scores.is_sorted_by(|a, b| a >= b), "{:?}", scores);
        }
    }

    #[test]
    fn what_is_liked_comes_first_and_authors_take_turns() {
        let rows = [row(1, 1), row(2, 1), row(3, 1), row(4, 2), row(90, 3)];
        let order = |ranker: &mut Ranker, heat_of_last: i64| -> Vec<usize> {
            let posts = rows.iter().enumerate().map(|(n, row)| post(row, if n == 4 { heat_of_last } else { 0 }));
            let ranked = ranker.rank(posts.collect(), 4);
            ranked.iter().map(|post| rows.iter().position(|row| row.post == post.card.post).unwrap()).collect()
        };
        assert_eq!(order(&mut ranker(&[]), 0), [0, 3, 4, 1]);
        assert_eq!(order(&mut ranker(&[]), 3000), [4, 0, 3, 1], "three likes make up for an hour and a half");
        assert_eq!(order(&mut ranker(&[(&rows[3], 3)]), 3000), [4, 3, 0, 1], "the viewer likes author 2");
    }

    #[test]
    fn the_first_stage_picks_by_what_rows_tell() {
        let rows: Vec<_> = (0..100).map(|minutes| row(minutes, u8::from(minutes >= 90))).collect();
        let picked = ranker(&[]).pick(&rows.iter().collect::<Vec<_>>(), CANDIDATES);
        let late = rows[90..].iter().filter(|row| picked.contains(&row.post)).count();
        assert_eq!((picked.len(), late), (60, 6), "an author of ninety newer posts does not drown one of ten");
    }
}
