//! Page: a page is filled until it has `limit` entries or its list ends. All lists are paged here: feeds, trending
//! posts, comments, and people.

use crate::{error::Error, metrics};

/// Reads for one page at most, because what is read may be filtered out. After the last read, a short page still has a
/// position: where that read ended. A page of 20 looks at 4400 entries before that.
const READS_MAX: usize = 7;
/// How much a read may grow against the one before it, if that found little to show.
const GROWTH: usize = 4;
/// Entries that one read looks at, at most: of rows of a timeline, 100 kB.
const READ_MAX: usize = 1000;

/// A page of a feed or list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<Entry, Position> {
    /// The entries, in the order of the list.
    pub entries: Vec<Entry>,
    /// Where the next page begins; none if this page is the last one.
    pub next: Option<Position>,
}

impl<Entry, Position> Page<Entry, Position> {
    /// A page of a list that has no entries.
    pub(crate) fn empty() -> Self {
        Self { entries: Vec::new(), next: None }
    }

    /// The same page with its position in another form.
    pub(crate) fn map_next<Other>(self, form: impl FnOnce(Position) -> Other) -> Page<Entry, Other> {
        Page { entries: self.entries, next: self.next.map(form) }
    }
}

/// A page that is being filled. It reads one entry more than the page may have: only that entry tells whether a next
/// page exists, so that the last page is never empty.
#[derive(Debug)]
pub(crate) struct PageDraft<Entry> {
    limit: usize,
    entries: Vec<Entry>,
}

impl<Entry> PageDraft<Entry> {
    /// An empty page for at most `limit` entries.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, entries: Vec::with_capacity(limit + 1) }
    }

    /// How many entries to read next.
    pub(crate) fn wanted(&self) -> usize {
        (self.limit + 1).saturating_sub(self.entries.len())
    }

    /// Calls `read` with the number of wanted entries until the page is full or the list ends.
    ///
    /// `read` looks at no more entries than that, in the order of the list, from where it stopped before. It returns
    /// those that may be shown, and where it stopped, or no position at the end of the list. `position` is where a page
    /// stops that ends with this entry. The more of what is read is filtered out, the more the next read looks at.
    pub(crate) async fn fill<Position>(
        mut self,
        position: impl Fn(&Entry) -> Position,
        mut read: impl AsyncFnMut(usize) -> Result<Page<Entry, Position>, Error>,
    ) -> Result<Page<Entry, Position>, Error> {
        let (mut stopped_at, mut count, mut looked_at) = (None, self.wanted(), 0);
        for _ in 0..READS_MAX {
            metrics::PAGE_ROUNDS.add(1);
            let Page { entries, next } = read(count).await?;
            self.entries.extend(entries);
            stopped_at = next;
            if self.wanted() == 0 || stopped_at.is_none() {
                break;
            }
            looked_at += count;
            count = self.count_after(looked_at, count);
        }
        metrics::PAGES.add(1);
        if self.wanted() == 0 {
            self.entries.truncate(self.limit);
            stopped_at = self.entries.last().map(position);
        }
        Ok(Page { entries: self.entries, next: stopped_at })
    }

    /// How many entries to look at next, if the share that may be shown stays what it was among those looked at.
    fn count_after(&self, looked_at: usize, last: usize) -> usize {
        let expected = (self.wanted() * looked_at).div_ceil(self.entries.len().max(1));
        expected.clamp(self.wanted(), last * GROWTH).min(READ_MAX)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;

    /// A page of the even numbers after `after` in 1..=last, and how many reads it took.
    fn page(last: u32, after: u32, limit: usize) -> (Page<u32, u32>, usize) {
        even_numbers(last, after, limit, |number| number % 2 == 0)
    }

    fn even_numbers(last: u32, mut after: u32, limit: usize, shown: impl Fn(&u32) -> bool) -> (Page<u32, u32>, usize) {
        let mut reads = 0;
        let read = async |count: usize| {
            reads += 1;
            let looked_at: Vec<_> = (after + 1..=last).take(count).collect();
            after = looked_at.last().copied().unwrap_or(after);
            let entries = looked_at.into_iter().filter(&shown).collect();
            Ok(Page { entries, next: (after < last).then_some(after) })
        };
        let page = block_on(PageDraft::new(limit).fill(|number| *number, read)).unwrap();
        (page, reads)
    }

    proptest! {
        #[test]
        fn walking_pages_shows_every_entry_once_and_only_the_last_page_may_be_short(
            last in 0u32..120,
            limit in 1usize..10,
        ) {
            let (mut walked, mut after) = (Vec::new(), 0);
            loop {
                let (page, _) = page(last, after, limit);
                prop_assert!(page.entries.len() <= limit);
                prop_assert!(page.next.is_none() || page.entries.len() == limit);
                prop_assert!(walked.is_empty() || !page.entries.is_empty(), "the last page is not empty");
                walked.extend(page.entries);
                let Some(next) = page.next else { break };
                after = next;
            }
            let expected: Vec<_> = (1..=last).filter(|number| number % 2 == 0).collect();
            prop_assert_eq!(walked, expected);
        }
    }

    #[test]
    fn a_full_page_takes_one_read_where_nothing_is_filtered() {
        let (page, reads) = even_numbers(100, 0, 20, |_| true);
        assert_eq!((page.entries.len(), page.next, reads), (20, Some(20), 1));
        assert_eq!(even_numbers(20, 0, 20, |_| true).0.next, None, "exactly the last entry is on the page");
    }

    #[test]
    fn a_page_on_which_nothing_may_be_shown_looks_far_and_goes_on_where_reading_stopped() {
        let (page, reads) = even_numbers(1000, 0, 4, |_| false);
        assert_eq!((page.entries.len(), page.next, reads), (0, None, 5), "reads of 5, 20, 80, 320 and 1000");
        let (page, reads) = even_numbers(10_000, 0, 20, |_| false);
        assert_eq!((page.entries.len(), page.next, reads), (0, Some(4441), READS_MAX));
    }

    #[test]
    fn a_few_entries_behind_thousands_of_hidden_ones_end_the_list_on_one_page() {
        let (page, reads) = even_numbers(4000, 0, 20, |number| *number > 3995);
        assert_eq!((page.entries.len(), page.next), (5, None));
        assert!(reads <= READS_MAX);
    }

    #[test]
    fn a_read_grows_with_the_share_that_is_hidden() {
        let (page, reads) = even_numbers(100_000, 0, 100, |number| number.is_multiple_of(10));
        assert_eq!((page.entries.len(), page.next, reads), (100, Some(1000), 3), "reads of 101, 404 and 510");
    }
}
