//! The newest rows of celebrities. Posts of a celebrity are not pushed to followers: readers pull them from the
//! author's own timeline. Many readers pull the same few authors, so a process keeps the newest rows of each for a
//! minute. Announcements complete them.

use std::sync::Arc;

use super::announced::{Announced, ROWS_LIFETIME};
use crate::{
    cache::{Cache, Read},
    error::Error,
    metrics,
    model::{Clock, UserId, limits::FOLLOWING_MAX},
    store::{
        Consistency, NewestRows, ROWS_MIN, ThroughCache,
        timelines::{Range, Row, RowPage, Timeline, Timelines},
    },
};

/// Authors whose rows are kept: more than a viewer can follow. So the later reads of a page find what the first one has
/// read.
const AUTHORS_MAX: usize = 6000;
const _: () = assert!(FOLLOWING_MAX < AUTHORS_MAX as u64);

/// The newest rows of celebrities, for all requests of a process.
#[derive(Debug, Clone)]
pub(crate) struct PulledRows {
    timelines: Timelines,
    clock: Clock,
    /// By the name of the table and the author. After a switch of tables, rows are read anew: announcements complete
    /// only the rows of their own table.
    newest: Cache<(Arc<str>, UserId), Kept>,
}

/// The newest rows of an author.
#[derive(Debug, Clone)]
struct Kept {
    rows: Arc<NewestRows>,
    /// Whether they come from the shared cache. Strongly consistent queries do without such rows.
    is_shared: bool,
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
        consistency: Consistency,
    ) -> Result<RowPage, Error> {
        let now = self.clock.now();
        let key = (Arc::clone(self.timelines.table_name()), author.clone());
        let is_exact = consistency == Consistency::Strong;
        if let Some(Read { value: kept, at }) = self.newest.get(&key, now, None)
            && !(is_exact && kept.is_shared)
            && announced.complete(at)
            && let Some(page) = with(&kept.rows, author, announced).page(range, count)
        {
            metrics::CACHE_HITS.add(1);
            return Ok(page);
        }
        metrics::CACHE_MISSES.add(1);
        let timeline = Timeline::Author(author.clone());
        if !is_exact
            && let ThroughCache::Newest(Read { value, at }) =
                self.timelines.celebrity_through_cache(&timeline, range, count).await?
            && announced.complete(at)
        {
            let kept = Kept { rows: Arc::new(value), is_shared: true };
            self.newest.put(key.clone(), kept.clone(), at);
            if let Some(page) = with(&kept.rows, author, announced).page(range, count) {
                return Ok(page);
            }
        }
        if range.before.is_some() {
            return self.timelines.newest(&timeline, range, count, Consistency::Eventual).await;
        }
        let wanted = count.max(ROWS_MIN);
        let RowPage { rows, more, .. } = self.timelines.newest(&timeline, range, wanted, Consistency::Eventual).await?;
        let newest = Arc::new(NewestRows { rows, all: !more, visit: None });
        self.newest.put(key, Kept { rows: Arc::clone(&newest), is_shared: false }, now);
        Ok(newest.page(range, count).unwrap_or_else(|| RowPage { rows: newest.rows.clone(), more, visit: None }))
    }
}

/// The rows together with those that were announced. An announced row that is older than the last of the rows is left
/// out: between the two there may be unknown ones.
fn with(newest: &NewestRows, author: &UserId, announced: &Announced) -> NewestRows {
    let last = newest.rows.last().map(|row| row.post);
    let is_known = |post: &_| newest.all || last.is_some_and(|last| *post > last);
    let mut rows = newest.rows.clone();
    rows.extend(announced.posts_of(author).filter(is_known).map(|post| Row { post, author: author.clone() }));
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.post));
    rows.dedup();
    NewestRows { rows, all: newest.all, visit: None }
}
