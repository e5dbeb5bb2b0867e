use std::{collections::HashSet, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    model::limits::CURSOR_BYTES_MAX,
    query::cursor::CursorKeys,
    samples::{NOW, feed_post, user},
};

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
    /// How long a cursor of a walk was at most.
    longest_cursor: usize,
}

/// What a mark of the newest posts takes of a cursor, in bytes.
const NEWEST_BYTES: usize = 900;

impl Home {
    fn of(rows: impl IntoIterator<Item = (Row, Option<i64>)>) -> Self {
        let mut home = Self { rows: Vec::new(), heat: HashMap::new(), hidden: user("hidden"), longest_cursor: 0 };
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
            let read = cut(RowPage { rows: below.take(count + 1).cloned().collect(), ..RowPage::default() }, count);
            let wanted = wanted(room, reads - 1);
            let windows = position.windows(&read, &ranker, wanted, |author| *author != self.hidden);
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
        let keys = CursorKeys::parse("0123456789abcdef0123456789abcdef").unwrap();
        for limit in limits.iter().cycle() {
            let cursor = keys.sign("ada", &position).unwrap();
            self.longest_cursor = self.longest_cursor.max(cursor.len());
            position = match keys.verified("ada", &cursor).unwrap() {
                Some(position) => position,
                // Some walks of these tests are too long for a cursor.
                None => serde_json::from_value(serde_json::to_value(position).unwrap()).unwrap(),
            };
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
        let inserted: usize = changes.iter().filter(|(inserts, ..)| *inserts).map(|(.., count)| count).sum();
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
        let fits = home.longest_cursor + NEWEST_BYTES <= CURSOR_BYTES_MAX;
        prop_assert!(inserted > 2 * WINDOW || fits, "a cursor has {} bytes", home.longest_cursor);
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

#[test]
fn a_thousand_deleted_posts_do_not_end_a_page_early() {
    let deleted = (0..1000).map(|n| (row(n, 0), None));
    let home = Home::of(deleted.chain([(row(3000, 1), Some(0))]));
    for limit in [20, 100] {
        let (page, ends, reads) = home.page(&mut RankedPosition::start(NOW), limit);
        assert_eq!((page.len(), ends), (1, true), "{limit} posts: {reads} reads");
    }
}
