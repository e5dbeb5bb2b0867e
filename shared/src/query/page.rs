//! Cutting a page out of a timeline: rows become posts where the reader may see them, until the page is full.

use super::{FeedPost, Feeds, rows::View};
use crate::{
    error::Error,
    model::{PostId, Viewer},
    store::{
        cards::PostCard,
        timelines::{Range, Row, RowPage},
    },
};

/// Reads of one page at most. A page that is still short then has a cursor all the same: it ends where the reading ended.
const ROUNDS_MAX: usize = 10;

/// A page of a feed or list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<Entry, Position> {
    /// What is on it.
    pub entries: Vec<Entry>,
    /// Where to go on; none if there is nothing more.
    pub next: Option<Position>,
}

impl<Entry, Position> Page<Entry, Position> {
    /// The same page of a walk whose places are written in another way.
    pub(super) fn map_next<Other>(self, place: impl FnOnce(Position) -> Other) -> Page<Entry, Other> {
        Page { entries: self.entries, next: self.next.map(place) }
    }
}

/// A page of posts.
pub(super) type PostPage = Page<FeedPost, PostId>;

/// Which rows count, and of these, which cards.
pub(super) struct Admit<R: Fn(&Viewer, &Row) -> bool, C: Fn(&PostCard) -> bool> {
    /// By what never changes, and who looks.
    pub(super) row: R,
    /// By what is shown.
    pub(super) card: C,
}

/// Rows to ask for so that, with nothing filtered, the page is full and it is known whether there is more.
pub(super) fn rows_for(entries: usize) -> usize {
    entries + 1
}

impl Feeds {
    /// A page of at most `limit` posts of the view, starting with the rows that were `first` read from the range.
    /// Only what `admit` lets through counts, and of that only posts with a card that are not deleted (INV-7).
    pub(super) async fn cut_page<R: Fn(&Viewer, &Row) -> bool, C: Fn(&PostCard) -> bool>(
        &self,
        view: &mut View<'_>,
        mut range: Range,
        first: RowPage,
        limit: usize,
        admit: Admit<R, C>,
    ) -> Result<PostPage, Error> {
        let mut posts = Vec::with_capacity(limit + 1);
        let mut page = first;
        for _ in 0..ROUNDS_MAX {
            let rows = page.rows.iter().filter(|row| (admit.row)(&view.sight.viewer, row));
            let admitted: Vec<_> = rows.map(|row| row.post).collect();
            let mut read = self.posts(view.reader, &view.sight, &admitted).await?;
            posts.extend(admitted.iter().filter_map(|post| read.remove(post)).filter(|post| (admit.card)(&post.card)));
            range.before = page.rows.last().map(|row| row.post).or(range.before);
            if posts.len() > limit || !page.more {
                return Ok(cut(posts, limit, None));
            }
            page = self.rows(view, range, rows_for(limit - posts.len())).await?;
        }
        Ok(cut(posts, limit, range.before))
    }
}

/// The first `limit` posts. If there is a further one, the walk goes on after the last of them; if not, at `unread`.
fn cut(mut posts: Vec<FeedPost>, limit: usize, unread: Option<PostId>) -> PostPage {
    let more = posts.len() > limit;
    posts.truncate(limit);
    let next = if more { posts.last().map(|post| post.card.post) } else { unread };
    Page { entries: posts, next }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::Timestamp,
        samples::{feed_post, user},
    };

    fn post(ms: u64) -> FeedPost {
        feed_post(PostId::new(Timestamp::from_ms(ms)), user("ada"), 0)
    }

    proptest! {
        #[test]
        fn walking_cut_pages_gives_every_post_once(count in 0usize..60, limit in 1usize..10) {
            let posts: Vec<_> = (0..count).map(|ms| post(1000 - ms as u64)).collect();
            let (mut walked, mut before, mut pages) = (Vec::new(), None, 0);
            loop {
                let rest = posts.iter().filter(|post| before.is_none_or(|before| post.card.post < before));
                let page = cut(rest.take(limit + 1).cloned().collect(), limit, None);
                walked.extend(page.entries);
                pages += 1;
                before = page.next;
                if before.is_none() {
                    break;
                }
            }
            prop_assert_eq!(pages, count.div_ceil(limit).max(1), "the last page is not empty");
            prop_assert_eq!(walked, posts);
        }
    }

    #[test]
    fn a_short_page_goes_on_where_reading_ended() {
        let unread = Some(PostId::new(Timestamp::from_ms(1)));
        assert_eq!(cut(vec![post(5)], 2, unread).next, unread);
        assert_eq!(cut(vec![post(5)], 2, None).next, None);
    }
}
