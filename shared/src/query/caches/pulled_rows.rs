//! The newest rows of celebrities. Posts of a celebrity are not pushed to followers: readers pull them from the
//! author's own timeline. Many readers pull the same few authors, so a process keeps the newest rows of each for a
//! minute. Announcements complete them.

use std::sync::Arc;

use super::announced::{Announced, ROWS_LIFETIME};
use crate::{
    cache::{Cache, Read},
    error::Error,
    metrics,
    model::{Clock, PostId, UserId, limits::FOLLOWING_MAX},
    store::{
        Consistency,
        timelines::{Range, Row, RowPage, Timeline, Timelines},
    },
};

/// Authors whose rows are kept: more than a viewer can follow. So the later reads of a page find what the first one has
/// read.
const AUTHORS_MAX: usize = 6000;
const _: () = assert!(FOLLOWING_MAX < AUTHORS_MAX as u64);
/// Rows that are read of an author at least: as many as half a read unit pays for.
const ROWS_MIN: usize = 30;

/// The newest rows of celebrities, for all requests of a process.
#[derive(Debug, Clone)]
pub(crate) struct PulledRows {
    timelines: Timelines,
    clock: Clock,
    /// By the name of the table and the author. After a switch of tables, rows are read anew: announcements complete
    /// only the rows of their own table.
    newest: Cache<(Arc<str>, UserId), Arc<Newest>>,
}

/// The newest rows of an author.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Newest {
    rows: Vec<Row>,
    /// Whether the author's timeline has no further rows in the range that feeds cover.
    all: bool,
}

impl PulledRows {
    /// An empty cache of rows in this table.
    pub(crate) fn new(timelines: Timelines, clock: Clock) -> Self {
        Self { timelines, clock, newest: Cache::new(AUTHORS_MAX, ROWS_LIFETIME) }
    }

    /// At most `count` rows of the author within the range, with those that were announced.
    pub(crate) async fn newest(
        &self,
        author: &UserId,
        range: Range,
        count: usize,
        announced: &Announced,
    ) -> Result<RowPage, Error> {
        let now = self.clock.now();
        let key = (Arc::clone(self.timelines.table_name()), author.clone());
        if let Some(Read { value: kept, at }) = self.newest.get(&key, now, None)
            && announced.complete(at)
            && let Some(page) = kept.with(author, announced).page(range, count)
        {
            metrics::CACHE_HITS.add(1);
            return Ok(page);
        }
        metrics::CACHE_MISSES.add(1);
        let timeline = Timeline::Author(author.clone());
        if range.before.is_some() {
            return self.timelines.newest(&timeline, range, count, Consistency::Eventual).await;
        }
        let wanted = count.max(ROWS_MIN);
        let RowPage { rows, more } = self.timelines.newest(&timeline, range, wanted, Consistency::Eventual).await?;
        let newest = Arc::new(Newest { rows, all: !more });
        self.newest.put(key, Arc::clone(&newest), now);
        Ok(newest.page(range, count).unwrap_or_else(|| RowPage { rows: newest.rows.clone(), more }))
    }
}

impl Newest {
    /// The rows together with those that were announced. An announced row that is older than the last of the rows is
    /// left out: between the two there may be unknown ones.
    fn with(&self, author: &UserId, announced: &Announced) -> Self {
        let last = self.rows.last().map(|row| row.post);
        let is_known = |post: &PostId| self.all || last.is_some_and(|last| *post > last);
        let mut rows = self.rows.clone();
        rows.extend(announced.posts_of(author).filter(is_known).map(|post| Row { post, author: author.clone() }));
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.post));
        rows.dedup();
        Self { rows, all: self.all }
    }

    /// The answer of a read of the range, if the kept rows are enough to know it.
    fn page(&self, range: Range, count: usize) -> Option<RowPage> {
        let within: Vec<_> = self.rows.iter().filter(|row| range.contains(row.post)).take(count + 1).collect();
        let reaches_end = self.all || self.rows.last().is_some_and(|last| last.post < PostId::lowest(range.since));
        if within.len() < count && !reaches_end {
            return None;
        }
        let more = within.len() > count || !reaches_end;
        Some(RowPage { rows: within.into_iter().take(count).cloned().collect(), more })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{model::Timestamp, samples::user};

    fn post(ms: u64) -> PostId {
        PostId::lowest(Timestamp::from_ms(ms))
    }

    proptest! {
        #[test]
        fn kept_rows_answer_as_the_timeline_would_or_not_at_all(
            posts in proptest::collection::btree_set(1u64..300, 0..80),
            kept in 1usize..60, limit in 1usize..30,
            before in proptest::option::of(1u64..300), since in 0u64..150,
        ) {
            let rows: Vec<_> = posts.iter().rev().map(|ms| Row { post: post(*ms), author: user("ada") }).collect();
            let newest = Newest { rows: rows.iter().take(kept).cloned().collect(), all: kept >= rows.len() };
            let range = Range { before: before.map(post), since: Timestamp::from_ms(since) };
            let within: Vec<_> = rows.iter().filter(|row| range.contains(row.post)).cloned().collect();
            match newest.page(range, limit) {
                Some(page) => {
                    prop_assert_eq!(&page.rows, &within[..limit.min(within.len())]);
                    prop_assert!(page.more || within.len() <= limit);
                }
                None => {
                    let known = newest.rows.iter().filter(|row| range.contains(row.post)).count();
                    prop_assert!(known < limit && !newest.all);
                }
            }
        }
    }
}
