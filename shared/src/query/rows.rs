//! Rows of a timeline as a reader sees them: those that projections have written, and those that follow from what they
//! have not reached.

use std::collections::BTreeMap;

use futures::future::try_join_all;

use super::{FeedReader, Reader, Sight};
use crate::{
    error::Error,
    store::timelines::{Range, Row, RowPage, Timeline},
};

/// A timeline before a reader.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) reader: Reader<'a>,
    /// What the reader sees by.
    pub(super) sight: Sight,
    timeline: Timeline,
}

impl FeedReader {
    /// The view of a timeline, and at most `limit` of its rows. Both are read at once, unless a version is asked for: then
    /// the rows must be read after the viewer item.
    pub(super) async fn view<'a>(
        &self,
        reader: Reader<'a>,
        timeline: Timeline,
        range: Range,
        limit: usize,
    ) -> Result<(View<'a>, RowPage), Error> {
        let sight = Sight::of(reader, &self.viewers, &self.commands);
        if reader.consistent() {
            let view = View { reader, sight: sight.await?, timeline };
            let rows = self.rows(&view, range, limit).await?;
            return Ok((view, rows));
        }
        let (sight, rows) = tokio::try_join!(sight, self.timelines.newest(&timeline, range, limit, false))?;
        Ok((View { reader, sight, timeline }, rows))
    }

    /// At most `limit` rows of the timeline.
    pub(super) async fn rows(&self, view: &View<'_>, range: Range, limit: usize) -> Result<RowPage, Error> {
        let View { reader, sight, timeline } = view;
        let newest =
            |timeline| async move { self.timelines.newest(&timeline, range, limit, reader.consistent()).await };
        let followed = match timeline {
            Timeline::Home(_) => sight.overlay.followed.iter().cloned().map(Timeline::Author).collect(),
            _ => Vec::new(),
        };
        let mut pages = try_join_all(std::iter::once(timeline.clone()).chain(followed).map(newest)).await?;
        let has_own = match timeline {
            Timeline::Home(user) | Timeline::Author(user) => user == reader.user,
            // Which tags its posts have now, cards tell.
            Timeline::Tag(_) => true,
        };
        if has_own {
            let posts = sight.overlay.posts.iter().copied().filter(|post| range.contains(*post));
            let rows = posts.map(|post| Row { post, author: reader.user.clone() }).collect();
            pages.push(RowPage { rows, more: false });
        }
        Ok(merge(pages, limit))
    }
}

/// The newest rows of all pages, each once. Every page holds the newest of its own, so the newest of all are among them.
fn merge(mut pages: Vec<RowPage>, limit: usize) -> RowPage {
    if pages.len() == 1
        && let Some(page) = pages.pop()
    {
        return page;
    }
    let more = pages.iter().any(|page| page.more);
    let rows: BTreeMap<_, _> = pages.into_iter().flat_map(|page| page.rows).map(|row| (row.post, row)).collect();
    let more = more || rows.len() > limit;
    RowPage { rows: rows.into_values().rev().take(limit).collect(), more }
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
            };
            let merged = merge(timelines.iter().map(page).collect(), limit);
            let all: std::collections::BTreeSet<_> = timelines.iter().flatten().copied().collect();
            let expected: Vec<_> = all.iter().rev().take(limit).map(|ms| row(*ms)).collect();
            prop_assert_eq!(merged.rows, expected);
            prop_assert!(merged.more || all.len() <= limit);
        }
    }
}
