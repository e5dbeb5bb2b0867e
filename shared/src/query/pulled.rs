//! The posts of celebrities, which readers fetch from the authors' own timelines. Many readers want the same few, so a
//! process keeps the newest rows of each for some seconds.

use std::{sync::Arc, time::Duration};

use crate::{
    cache::{Cache, Read},
    error::Error,
    model::{Clock, PostId, Timestamp, UserId},
    store::timelines::{Range, Row, RowPage, Timeline, Timelines},
};

/// How long rows are kept.
const CACHED_FOR: Duration = Duration::from_secs(5);
/// Authors whose rows are kept.
const AUTHORS_MAX: usize = 2000;
/// Rows read of an author at least: what half a read unit brings.
const ROWS_MIN: usize = 30;

/// The newest rows of celebrities, for all requests of a process.
#[derive(Debug, Clone)]
pub struct PulledRows {
    timelines: Timelines,
    clock: Clock,
    newest: Cache<UserId, Arc<Newest>>,
}

/// An author's newest rows, and whether they are all that readers may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Newest {
    rows: Vec<Row>,
    all: bool,
}

impl PulledRows {
    /// Those in this table.
    pub fn new(timelines: Timelines, clock: Clock) -> Self {
        Self { timelines, clock, newest: Cache::new(AUTHORS_MAX, CACHED_FOR) }
    }

    /// At most `limit` rows of the author within the range, read no earlier than `not_before`, and when they were read.
    pub(super) async fn newest(
        &self,
        author: &UserId,
        range: Range,
        limit: usize,
        not_before: Option<Timestamp>,
    ) -> Result<Read<RowPage>, Error> {
        let now = self.clock.now();
        if let Some(Read { value: kept, at }) = self.newest.get(author, now, not_before)
            && let Some(page) = kept.page(range, limit)
        {
            return Ok(Read { value: page, at });
        }
        let timeline = Timeline::Author(author.clone());
        if range.before.is_some() {
            let page = self.timelines.newest(&timeline, range, limit, false).await?;
            return Ok(Read { value: page, at: now });
        }
        let wanted = limit.max(ROWS_MIN);
        let RowPage { rows, more } = self.timelines.newest(&timeline, range, wanted, false).await?;
        let newest = Arc::new(Newest { rows, all: !more });
        self.newest.put(author.clone(), Arc::clone(&newest), now);
        let page = newest.page(range, limit).unwrap_or_else(|| RowPage { rows: newest.rows.clone(), more });
        Ok(Read { value: page, at: now })
    }
}

impl Newest {
    /// What a read of the range would give, if that is known.
    fn page(&self, range: Range, limit: usize) -> Option<RowPage> {
        let within: Vec<_> = self.rows.iter().filter(|row| range.contains(row.post)).take(limit + 1).collect();
        let reaches_end = self.all || self.rows.last().is_some_and(|last| last.post < PostId::lowest(range.since));
        if within.len() < limit && !reaches_end {
            return None;
        }
        let more = within.len() > limit || !reaches_end;
        Some(RowPage { rows: within.into_iter().take(limit).cloned().collect(), more })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::user;

    fn post(ms: u64) -> PostId {
        PostId::lowest(Timestamp::from_ms(ms))
    }

    proptest! {
        #[test]
        fn what_is_kept_answers_as_the_timeline_would_or_not_at_all(
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
