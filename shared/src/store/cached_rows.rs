//! Rows of timelines in the shared cache: the newest ones of homes whose viewers read often, and of celebrities. A list
//! of rows has no version. So whoever changes a home makes the cache forget it, and a reader fills it anew. Nobody does
//! so for the rows of a celebrity: announcements complete them.

use serde::{Deserialize, Serialize};

use super::{
    consistency::Consistency,
    timelines::{Range, Row, RowPage, Timeline, Timelines},
};
use crate::{
    cache::Read,
    error::Error,
    model::{PostId, UserId, Visit},
    shared_cache::{Found, HOME, Kind, Leases, ROWS},
};

/// Rows that are read to be kept at least: as many as half a read unit pays for.
pub(crate) const ROWS_MIN: usize = 30;

/// The newest rows of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewestRows {
    /// The rows.
    pub(crate) rows: Vec<Row>,
    /// Whether the timeline has no further rows in the range that feeds cover.
    pub(crate) all: bool,
    /// What a home says about visits, if it was read from the table. The cache has only rows of homes that need no
    /// visit to be noted.
    pub(crate) visit: Option<Visit>,
}

/// Rows in the shared cache.
#[derive(Debug, Serialize, Deserialize)]
struct CachedRows {
    rows: Vec<(PostId, UserId)>,
    all: bool,
}

/// Rows from the shared cache or from the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ThroughCache {
    /// The newest rows, and when the read of them began.
    Newest(Read<NewestRows>),
    /// Nothing that is kept is of use.
    Nothing,
}

impl NewestRows {
    /// The answer of a read of the range, if the kept rows are enough to know it.
    pub(crate) fn page(&self, range: Range, count: usize) -> Option<RowPage> {
        let within: Vec<_> = self.rows.iter().filter(|row| range.contains(row.post)).take(count + 1).collect();
        let reaches_end = self.all || self.rows.last().is_some_and(|last| last.post < PostId::lowest(range.since));
        if within.len() < count && !reaches_end {
            return None;
        }
        let more = within.len() > count || !reaches_end;
        Some(RowPage { rows: within.into_iter().take(count).cloned().collect(), more, visit: self.visit })
    }
}

impl From<&NewestRows> for CachedRows {
    fn from(newest: &NewestRows) -> Self {
        let rows = newest.rows.iter().map(|row| (row.post, row.author.clone())).collect();
        Self { rows, all: newest.all }
    }
}

impl From<CachedRows> for NewestRows {
    fn from(cached: CachedRows) -> Self {
        let rows = cached.rows.into_iter().map(|(post, author)| Row { post, author }).collect();
        Self { rows, all: cached.all, visit: None }
    }
}

impl Timelines {
    /// At most `limit` rows of a home within the range, newest first, from the shared cache if it has them. They are as
    /// old as an eventually consistent read allows, or as old as an entry may be if a write did not reach the cache.
    ///
    /// # Errors
    /// As [`Timelines::newest`].
    pub(crate) async fn home_through_cache(
        &self,
        home: &Timeline,
        range: Range,
        limit: usize,
    ) -> Result<RowPage, Error> {
        if let ThroughCache::Newest(read) = self.newest_through_cache(&HOME, home, range, limit).await?
            && let Some(page) = read.value.page(range, limit)
        {
            return Ok(page);
        }
        self.newest(home, range, limit, Consistency::Eventual).await
    }

    /// The newest rows of a celebrity, from the shared cache if it has them. They lack what was announced since they
    /// were read.
    ///
    /// # Errors
    /// As [`Timelines::newest`].
    pub(crate) async fn celebrity_through_cache(
        &self,
        author: &Timeline,
        range: Range,
        limit: usize,
    ) -> Result<ThroughCache, Error> {
        self.newest_through_cache(&ROWS, author, range, limit).await
    }

    async fn newest_through_cache(
        &self,
        kind: &'static Kind,
        timeline: &Timeline,
        range: Range,
        limit: usize,
    ) -> Result<ThroughCache, Error> {
        // Only whoever reads from the top knows what is newest.
        let leases = if range.before.is_none() { Leases::Wanted } else { Leases::Unwanted };
        let entry = [self.entry_of(timeline)];
        match self.cache.find::<CachedRows>(kind, &entry, None, leases).await.pop() {
            Some(Found::Value(Read { value, at })) => Ok(ThroughCache::Newest(Read { value: value.into(), at })),
            Some(Found::Lease(lease)) => {
                let consistency = if lease.reads_strongly { Consistency::Strong } else { Consistency::Eventual };
                let at = lease.taken_at();
                let RowPage { rows, more, visit } =
                    self.newest(timeline, range, limit.max(ROWS_MIN), consistency).await?;
                let newest = NewestRows { rows, all: !more, visit };
                if visit.is_none_or(|visit| visit.is_whole_for(kind.kept, at)) {
                    self.cache.fill(vec![(lease, 0, CachedRows::from(&newest))]).await;
                }
                Ok(ThroughCache::Newest(Read { value: newest, at }))
            }
            Some(Found::Nothing) | None => Ok(ThroughCache::Nothing),
        }
    }

    /// Makes the cache forget the homes among these timelines, whose rows have changed.
    pub(super) async fn rows_changed<'a>(&self, timelines: impl IntoIterator<Item = &'a Timeline>) {
        if self.cache.is_on() {
            let homes = timelines.into_iter().filter(|timeline| matches!(timeline, Timeline::Home(_)));
            self.cache.forget(&HOME, homes.map(|home| self.entry_of(home))).await;
        }
    }

    fn entry_of(&self, timeline: &Timeline) -> String {
        format!("{}:{}", self.table_name(), timeline.key())
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
            let kept_rows = rows.iter().take(kept).cloned().collect();
            let newest = NewestRows { rows: kept_rows, all: kept >= rows.len(), visit: None };
            let newest = NewestRows::from(CachedRows::from(&newest));
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
