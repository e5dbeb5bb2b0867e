//! Sources: the rows that could be on a page, newest first. Most rows come from the timeline that projections write.
//! Four other sources complete it: the timelines of celebrities, whose posts are not pushed to followers; the timelines
//! of authors whom the viewer has followed, but whose posts are not all copied; the timelines of all followed authors,
//! if the home was left out by pushes and is still incomplete; and the viewer's own posts that projections have not
//! reached.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};

use super::ViewerState;
use crate::{
    error::Error,
    model::{PostId, Timestamp, UserId, Visit},
    query::{
        caches::{Announced, PulledRows},
        newest::{Covered, Newest},
    },
    store::{
        Consistency,
        timelines::{Range, Row, RowPage, Timeline, Timelines},
    },
};

/// Timelines of authors that a process reads at once, beside the stored one (docs/decisions/0030).
pub(crate) const AUTHORS_AT_ONCE: usize = 16;

/// A source beside the stored timeline.
#[derive(Debug)]
enum Source<'a> {
    /// A timeline that is read as consistently as the stored one.
    Stored(Timeline),
    /// The timeline of a celebrity: rows that a process may have read before, completed by what was announced since.
    Pulled { author: UserId, rows: &'a PulledRows, announced: Arc<Announced> },
    /// Rows that need no reading.
    Known(Vec<Row>),
}

/// The sources of one page, and how far they have been read.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    timelines: &'a Timelines,
    timeline: Timeline,
    consistency: Consistency,
    /// The first rows of the timeline, if [`Sources::read_ahead`] has read them.
    ahead: Option<RowPage>,
    others: Vec<Source<'a>>,
    /// The rows that have not been read. Each read moves the upper end of this range down.
    unread: Range,
    /// Whether the stored timeline has had a row.
    found_stored: bool,
    /// The first rows of all sources: what is newest.
    top: Option<Covered>,
}

impl<'a> Sources<'a> {
    /// The rows of this timeline within the range; nothing is read yet.
    pub(crate) fn new(timelines: &'a Timelines, timeline: Timeline, range: Range, consistency: Consistency) -> Self {
        Self {
            timelines,
            timeline,
            consistency,
            ahead: None,
            others: Vec::new(),
            unread: range,
            found_stored: false,
            top: None,
        }
    }

    /// Reads the first `count` rows of the timeline, to be run at the same time as the read of the viewer state.
    ///
    /// A strongly consistent query reads nothing here. It must read rows after the viewer state: only those are sure to
    /// hold everything that the viewer state counts as projected (INV-4).
    pub(crate) async fn read_ahead(&mut self, count: usize) -> Result<(), Error> {
        if self.consistency == Consistency::Eventual {
            self.ahead = Some(self.read_stored(count).await?);
        }
        Ok(())
    }

    /// What the home says about visits, if the rows that were read ahead came past it.
    pub(crate) fn visit(&self) -> Option<Visit> {
        self.ahead.as_ref().and_then(|rows| rows.visit)
    }

    /// Adds the viewer's own posts that projections have not reached.
    pub(crate) fn add_unprojected_posts(&mut self, state: &ViewerState<'_>) {
        let row = |post: &PostId| Row { post: *post, author: state.request.viewer.clone() };
        self.others.push(Source::Known(state.overlay.posts.iter().map(row).collect()));
    }

    /// Adds the timelines of the authors whom the viewer has followed, but whose posts are not all copied yet.
    pub(crate) fn add_unfinished_follows(&mut self, state: &ViewerState<'_>) {
        let author = |author: &UserId| Source::Stored(Timeline::Author(author.clone()));
        self.others.extend(state.viewer.unfinished.backfills.keys().map(author));
    }

    /// Adds the timeline of a celebrity whom the viewer follows, and all of whose posts are announced.
    pub(crate) fn add_pulled(&mut self, author: UserId, rows: &'a PulledRows, announced: Arc<Announced>) {
        self.others.push(Source::Pulled { author, rows, announced });
    }

    /// Adds the timeline of an author whom the viewer follows, which is read for each page. Either the author is a new
    /// celebrity, whose posts not every process may know yet to announce; or the viewer's home is incomplete, and may
    /// lack rows of any author.
    pub(crate) fn add_stored(&mut self, author: UserId) {
        self.others.push(Source::Stored(Timeline::Author(author)));
    }

    /// The next rows of all sources, at most `count`. Every read begins below the last row of the read before.
    pub(crate) async fn next(&mut self, count: usize) -> Result<RowPage, Error> {
        let ahead = self.ahead.take();
        let stored = async {
            match ahead {
                Some(rows) => Ok(rows),
                None => self.read_stored(count).await,
            }
        };
        let others = stream::iter(&self.others)
            .map(|source| self.read(source, count))
            .buffer_unordered(AUTHORS_AT_ONCE)
            .try_collect::<Vec<_>>();
        let (stored, others) = tokio::try_join!(stored, others)?;
        self.found_stored |= !stored.rows.is_empty();
        let pages = std::iter::once(stored).chain(others).collect();
        let rows = merge(pages, count);
        if self.top.is_none() {
            let posts: Vec<_> = rows.rows.iter().map(|row| row.post).collect();
            let from = posts.last().copied().filter(|_| rows.more);
            self.top = Some(Covered { from, posts, ..Covered::default() });
        }
        self.unread.before = rows.rows.last().map(|row| row.post).or(self.unread.before);
        Ok(rows)
    }

    /// The next rows of the timeline itself. The newest rows of a home may come from the shared cache.
    async fn read_stored(&self, count: usize) -> Result<RowPage, Error> {
        match (&self.timeline, self.consistency) {
            (Timeline::Home(_), Consistency::Eventual) => {
                self.timelines.home_through_cache(&self.timeline, self.unread, count).await
            }
            _ => self.timelines.newest(&self.timeline, self.unread, count, self.consistency).await,
        }
    }

    async fn read(&self, source: &Source<'_>, count: usize) -> Result<RowPage, Error> {
        match source {
            Source::Stored(timeline) => self.timelines.newest(timeline, self.unread, count, self.consistency).await,
            Source::Pulled { author, rows, announced } => {
                rows.newest(author, self.unread, count, announced, self.consistency).await
            }
            Source::Known(rows) => {
                let unread = rows.iter().filter(|row| self.unread.contains(row.post));
                Ok(RowPage { rows: unread.cloned().collect(), ..RowPage::default() })
            }
        }
    }

    /// The last row that was read: the next read begins below it.
    pub(crate) fn position(&self) -> Option<PostId> {
        self.unread.before
    }

    /// Makes the next read begin below this post.
    pub(crate) fn move_below(&mut self, post: PostId) {
        self.unread.before = Some(post);
    }

    /// Whether the stored timeline has had a row. Rows of other sources do not count: they may belong elsewhere.
    pub(crate) fn found_stored(&self) -> bool {
        self.found_stored
    }

    /// Does not count these posts among what was newest. They have no cards, or their authors are not shown: the follow
    /// may be on its way to the viewer item.
    pub(crate) fn leave_for_later(&mut self, posts: &HashSet<PostId>) {
        self.top.iter_mut().for_each(|top| top.posts.retain(|post| !posts.contains(post)));
    }

    /// What was newest of the rows that were read first, if any were read, by a request that began at `as_of`.
    pub(crate) fn newest(&self, as_of: Timestamp) -> Option<Newest> {
        self.top.as_ref().map(|top| Newest::new(top, as_of))
    }
}

/// The newest rows of all pages. A post that comes from two sources is one row. Every page holds the newest rows of its
/// source, so the newest rows of all sources are among them.
fn merge(mut pages: Vec<RowPage>, count: usize) -> RowPage {
    if pages.len() == 1
        && let Some(page) = pages.pop()
    {
        return page;
    }
    let more = pages.iter().any(|page| page.more);
    let rows: BTreeMap<_, _> = pages.into_iter().flat_map(|page| page.rows).map(|row| (row.post, row)).collect();
    let more = more || rows.len() > count;
    RowPage { rows: rows.into_values().rev().take(count).collect(), more, visit: None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::{PostId, Timestamp},
        samples::user,
    };

    proptest! {
        #[test]
        fn the_newest_of_all_timelines_are_the_newest_of_their_newest(
            timelines in proptest::collection::vec(proptest::collection::btree_set(0u64..200, 0..40), 1..5),
            limit in 1usize..20,
        ) {
            let row = |ms: u64| Row { post: PostId::lowest(Timestamp::from_ms(ms)), author: user("ada") };
            let page = |posts: &std::collections::BTreeSet<u64>| RowPage {
                rows: posts.iter().rev().take(limit).map(|ms| row(*ms)).collect(),
                more: posts.len() > limit,
                visit: None,
            };
            let merged = merge(timelines.iter().map(page).collect(), limit);
            let all: std::collections::BTreeSet<_> = timelines.iter().flatten().copied().collect();
            let expected: Vec<_> = all.iter().rev().take(limit).map(|ms| row(*ms)).collect();
            prop_assert_eq!(merged.rows, expected);
            prop_assert!(merged.more || all.len() <= limit);
        }
    }
}
