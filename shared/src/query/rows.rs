//! Rows of a timeline as a reader sees them: those that projections have written, those of celebrities, which are written
//! to nobody, and those that follow from what projections have not reached.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};

use super::{Feeds, ReadRequest, Sight};
use crate::{
    cache::Read,
    error::Error,
    model::{Timestamp, UserId},
    store::timelines::{Range, Row, RowPage, Timeline},
};

/// Celebrities whose rows are read at once.
const PULLS_AT_ONCE: usize = 64;

/// A timeline before a reader.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) reader: ReadRequest<'a>,
    /// What the reader sees by.
    pub(super) sight: Sight,
    /// All rows written before this moment were there to be read. The next page of a walk must not look further back, or
    /// it would miss what this one has seen.
    pub(super) as_of: Timestamp,
    timeline: Timeline,
    /// Whose rows the reader pulls into this timeline.
    pulled: Vec<UserId>,
    /// No row may be read earlier.
    not_before: Option<Timestamp>,
}

impl Feeds {
    /// The view of a timeline, and at most `limit` of its rows, read no earlier than `not_before`. View and rows are read at
    /// once, unless a version is asked for: then the rows must be read after the viewer item.
    pub(super) async fn view<'a>(
        &self,
        reader: ReadRequest<'a>,
        timeline: Timeline,
        range: Range,
        limit: usize,
        not_before: Option<Timestamp>,
    ) -> Result<(View<'a>, RowPage), Error> {
        let as_of = self.clock.now();
        let early = async {
            match reader.consistent() {
                true => Ok(None),
                false => self.timelines.newest(&timeline, range, limit, false).await.map(Some),
            }
        };
        let celebrities = async {
            match timeline {
                Timeline::Home(_) => self.celebrities.list().await,
                _ => Ok(Arc::default()),
            }
        };
        let sight = Sight::of(reader, &self.viewers, &self.commands);
        let (early, celebrities, sight) = tokio::try_join!(early, celebrities, sight)?;
        let mut pulled = celebrities.among(&sight.viewer.followed);
        // Theirs are laid over, read consistently.
        pulled.retain(|author| !sight.overlay.followed.contains(author));
        let mut view = View { reader, sight, as_of, timeline, pulled, not_before };
        let rows = self.rows_beside(&mut view, early, range, limit).await?;
        Ok((view, rows))
    }

    /// At most `limit` rows of the timeline.
    pub(super) async fn rows(&self, view: &mut View<'_>, range: Range, limit: usize) -> Result<RowPage, Error> {
        self.rows_beside(view, None, range, limit).await
    }

    /// The same where the timeline's own rows may have been read `early`.
    async fn rows_beside(
        &self,
        view: &mut View<'_>,
        early: Option<RowPage>,
        range: Range,
        limit: usize,
    ) -> Result<RowPage, Error> {
        let View { reader, sight, timeline, pulled, not_before, .. } = &*view;
        let newest =
            |timeline| async move { self.timelines.newest(&timeline, range, limit, reader.consistent()).await };
        let followed = match timeline {
            Timeline::Home(_) => sight.overlay.followed.iter().cloned().map(Timeline::Author).collect(),
            _ => Vec::new(),
        };
        let own = early.is_none().then(|| timeline.clone());
        let read = try_join_all(own.into_iter().chain(followed).map(newest));
        let pull = stream::iter(pulled)
            .map(|author| self.pulled.newest(author, range, limit, *not_before))
            .buffer_unordered(PULLS_AT_ONCE)
            .try_collect::<Vec<_>>();
        let (mut pages, pulled) = tokio::try_join!(read, pull)?;
        pages.extend(early);
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
        for Read { value: page, at } in pulled {
            view.as_of = view.as_of.min(at);
            pages.push(page);
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
