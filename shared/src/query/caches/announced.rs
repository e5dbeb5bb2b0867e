//! What is new of celebrities. A process keeps rows of celebrities for a minute. Announcements tell it, with one small
//! read a second, which posts have been added since.
//!
//! Whether this is complete rests on moments that projections wrote, so on clocks and on how long a write takes. A read
//! therefore begins [`MARGIN`] before the one before it. Only an announcement that DynamoDB writes after the SDK has
//! given it up can take longer than that. It is missed, and its post is found when the kept rows expire.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::Mutex;

use crate::{
    error::Error,
    model::{CLOCK_DIFFERENCE_MAX, Clock, PostId, Timestamp, UserId},
    retry::CALL_MAX,
    store::{
        Announcement, Announcements,
        timelines::{Row, Timelines},
    },
};

/// For how long announcements are not read again: the most by which a celebrity's post is later than another's.
const LIFETIME: Duration = Duration::from_secs(1);
/// How long the rows are kept that announcements complete.
pub(super) const ROWS_LIFETIME: Duration = Duration::from_secs(60);
/// How far clocks of processes may differ, together with the time from the moment of an announcement until it is
/// written.
const MARGIN: Duration = CLOCK_DIFFERENCE_MAX.saturating_add(CALL_MAX);
/// How long before a request began an announcement may have been made that the request does not find.
pub(crate) const UNKNOWN_FOR: Duration = LIFETIME.saturating_add(MARGIN);
/// Announcements that are read at once, at most. Half a read unit pays for some 40.
const READ_MAX: i32 = 1000;
/// Announcements that are kept at most, each with some 100 bytes.
const KEPT_MAX: usize = 10_000;

/// The announcements that a process knows, for all of its requests.
#[derive(Debug, Clone)]
pub(crate) struct RecentAnnouncements {
    timelines: Timelines,
    clock: Clock,
    known: Arc<Mutex<Option<Known>>>,
}

/// What is known, and the name of the table from which it was read.
#[derive(Debug)]
struct Known {
    table: Arc<str>,
    announced: Arc<Announced>,
}

/// The posts of celebrities that were announced from some moment until another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    /// When the read of them began: everything is known that was announced before.
    at: Timestamp,
    /// Since when all are known.
    since: Timestamp,
    posts: BTreeMap<(Timestamp, PostId), UserId>,
}

impl RecentAnnouncements {
    /// Nothing is read yet.
    pub(crate) fn new(timelines: Timelines, clock: Clock) -> Self {
        Self { timelines, clock, known: Arc::default() }
    }

    /// What was announced lately. The read of it began after `page_before`, the moment at which some process finished
    /// the page before of a walk. A read that begins now does so for certain, and a kept one if no difference between
    /// the two clocks can explain it.
    pub(crate) async fn read(&self, page_before: Option<Timestamp>) -> Result<Arc<Announced>, Error> {
        // Requests that come meanwhile wait for this read, and share it.
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        let is_fresh = |known: &Announced| {
            now.since(known.at) < LIFETIME && page_before.is_none_or(|before| known.at.is_surely_after(before))
        };
        // After a switch of tables, moments of the one say nothing about the other.
        let table = Arc::clone(self.timelines.table_name());
        let known_here = known.as_ref().filter(|known| known.table == table).map(|known| &known.announced);
        if let Some(fresh) = known_here.filter(|known| is_fresh(known)) {
            return Ok(Arc::clone(fresh));
        }
        let before = known_here.filter(|known| now.since(known.at) < ROWS_LIFETIME);
        let since = before.map_or(now.before(ROWS_LIFETIME + MARGIN), |before| before.at.before(MARGIN));
        let read = self.timelines.announced(since, READ_MAX).await?;
        let announced = Arc::new(Announced::read(before.map(AsRef::as_ref), since, read, now));
        *known = Some(Known { table, announced: Arc::clone(&announced) });
        Ok(announced)
    }
}

impl Announced {
    /// What is known after a read of everything since this moment, together with what was known before.
    fn read(before: Option<&Self>, since: Timestamp, read: Announcements, at: Timestamp) -> Self {
        let Announcements { newest, more } = read;
        let oldest = newest.last().map(|announcement| announcement.at);
        let mut announced = match (more, before) {
            (false, Some(before)) => before.clone(),
            (false, None) => Self { at, since, posts: BTreeMap::new() },
            // There are so many that those between this read and the one before it are unknown.
            (true, _) => Self { at, since: oldest.map_or(at, after), posts: BTreeMap::new() },
        };
        announced.at = at;
        let post = |Announcement { at, row: Row { post, author } }| ((at, post), author);
        announced.posts.extend(newest.into_iter().map(post));
        let horizon = at.before(ROWS_LIFETIME + MARGIN);
        while let Some(first) = announced.posts.first_entry() {
            let (announced_at, _) = *first.key();
            if announced_at >= horizon && announced.posts.len() <= KEPT_MAX {
                break;
            }
            announced.posts.pop_first();
            announced.since = announced.since.max(after(announced_at));
        }
        announced.since = announced.since.max(horizon);
        announced
    }

    /// Whether everything is known that was added to an author's timeline since this moment.
    pub(super) fn complete(&self, rows_read_at: Timestamp) -> bool {
        rows_read_at >= self.since.after(MARGIN)
    }

    /// The posts of the author among them.
    pub(super) fn posts_of(&self, author: &UserId) -> impl Iterator<Item = PostId> {
        self.posts.iter().filter(move |(_, announced)| *announced == author).map(|((_, post), _)| *post)
    }
}

/// The next moment: of those at one moment, some may be missing.
fn after(moment: Timestamp) -> Timestamp {
    moment.after(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{NOW, user};

    fn announcement(secs: u64) -> Announcement {
        let at = NOW.after(Duration::from_secs(secs));
        Announcement { at, row: Row { post: PostId::lowest(at), author: user("ada") } }
    }

    /// The announcements of these seconds, which are given from old to new.
    fn read(secs: impl DoubleEndedIterator<Item = u64>, more: bool) -> Announcements {
        Announcements { newest: secs.rev().map(announcement).collect(), more }
    }

    fn at(secs: u64) -> Timestamp {
        NOW.after(Duration::from_secs(secs))
    }

    fn known(announced: &Announced) -> usize {
        announced.posts_of(&user("ada")).count()
    }

    #[test]
    fn reads_add_up_and_what_no_kept_row_needs_is_forgotten() {
        let first = Announced::read(None, at(0), read(0..50, false), at(50));
        let second = Announced::read(Some(&first), at(45), read(45..60, false), at(60));
        assert_eq!((known(&first), known(&second)), (50, 60));
        assert!(second.complete(at(9)) && !second.complete(at(8)), "since the first read");
        let third = Announced::read(Some(&second), at(55), read(55..100, false), at(100));
        assert_eq!(known(&third), 69, "those of the last 69 s");
        assert!(third.complete(at(40)) && !third.complete(at(39)));
    }

    #[test]
    fn what_a_read_leaves_out_is_known_to_be_unknown() {
        let first = Announced::read(None, at(0), read(0..50, false), at(50));
        let second = Announced::read(Some(&first), at(45), read(52..60, true), at(60));
        assert_eq!(known(&second), 8);
        assert!(second.complete(at(62)) && !second.complete(at(61)), "52 may have more than one");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let many = (0..u64::try_from(KEPT_MAX).unwrap() + 10).map(|n| {
            let at = NOW.after(Duration::from_millis(n));
            Announcement { at, row: Row { post: PostId::lowest(at), author: user("ada") } }
        });
        let all = Announcements { newest: many.rev().collect(), more: false };
        let announced = Announced::read(None, at(0), all, at(11));
        assert_eq!(known(&announced), KEPT_MAX);
        assert_eq!(announced.since, NOW.after(Duration::from_millis(10)));
    }
}
