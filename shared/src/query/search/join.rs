//! The posts that stand in several lists, newest first. All lists are read from their newest post down. Whatever is
//! newer than the next post of one list is not in that list, so the others jump to this post (a leapfrog join). A jump
//! is one read, wherever it leads.
//!
//! The first reads tell how frequent each word is. A list that has many times as many posts as the rarest one would be
//! read for each candidate, which costs as much as the candidate's card and says less. Such a list is left out: cards
//! tell the rest.

use std::collections::VecDeque;

use futures::future::try_join_all;

use crate::{
    error::Error,
    model::{
        PostId, Tag, Timestamp, UserId,
        search::{IndexList, PostQuery, Term, Word, is_frequent},
    },
    store::{
        Consistency,
        search::SearchIndex,
        timelines::{Range, Timeline, Timelines},
    },
};

/// Rows of one read: 4 kB, which is half a unit if the read is eventually consistent.
const ROWS: usize = 50;
/// Lists that are read at first, at most. Cards tell of the others.
const PROBED_MAX: usize = 8;
/// A list is left out if it has more than this many times the posts of the rarest one.
const DENSER_MAX: f64 = 32.0;
/// Reads of one page at most.
const READS_MAX: usize = 64;

/// A list of posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PostSource {
    /// Those with a word.
    Word(Word),
    /// Those with a tag.
    Tag(Tag),
    /// Those of an author.
    Author(UserId),
}

/// What sources are read from, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lists<'a> {
    pub(super) index: &'a SearchIndex,
    pub(super) timelines: &'a Timelines,
    pub(super) consistency: Consistency,
    /// Only posts created at this moment or later.
    pub(super) since: Timestamp,
}

/// A list that is being read.
#[derive(Debug)]
struct Reader {
    source: PostSource,
    /// Posts that were read and not looked at.
    ahead: VecDeque<PostId>,
    /// All above this post is read.
    before: Option<PostId>,
    more: bool,
}

/// Candidates: the posts that stand in all lists that are read.
#[derive(Debug)]
pub(super) struct Join<'a> {
    lists: Lists<'a>,
    readers: Vec<Reader>,
    reads_left: usize,
    /// The last post that was looked at. All newer ones were, too.
    pub(super) looked_at: Option<PostId>,
    /// Whether there are no further candidates.
    pub(super) ends: bool,
}

/// The lists that tell which posts match. Frequent words are among them only if there is nothing else.
pub(super) fn sources(query: &PostQuery, author: Option<UserId>) -> Vec<PostSource> {
    let mut words = Vec::new();
    let mut sources: Vec<_> = author.map(PostSource::Author).into_iter().collect();
    for term in &query.wanted {
        match term {
            Term::Words(phrase) => words.extend(phrase),
            Term::Tag(tag) => sources.push(PostSource::Tag(tag.clone())),
        }
    }
    // Longer words are rarer.
    words.sort_by_key(|word| std::cmp::Reverse(word.as_str().len()));
    words.dedup();
    let rare = words.iter().filter(|word| !is_frequent(word)).map(|word| PostSource::Word((*word).clone()));
    sources.extend(rare);
    if sources.is_empty() {
        sources.extend(words.into_iter().map(|word| PostSource::Word(word.clone())));
    }
    sources.truncate(PROBED_MAX);
    sources
}

impl Lists<'_> {
    async fn read(&self, source: &PostSource, before: Option<PostId>) -> Result<(Vec<PostId>, bool), Error> {
        let range = Range { before, since: self.since };
        let shards = match source {
            PostSource::Word(word) => IndexList::of_word(word),
            PostSource::Tag(tag) => vec![IndexList::Tag(tag.clone())],
            PostSource::Author(author) => {
                let timeline = Timeline::Author(author.clone());
                let page = self.timelines.newest(&timeline, range, ROWS, self.consistency).await?;
                return Ok((page.rows.iter().map(|row| row.post).collect(), page.more));
            }
        };
        self.index.posts(&shards, range, ROWS, self.consistency).await
    }
}

impl Reader {
    fn take(&mut self, (posts, more): (Vec<PostId>, bool)) {
        self.before = posts.last().copied().or(self.before);
        self.more = more;
        self.ahead.extend(posts);
    }

    /// Posts in a millisecond, as far as was read.
    #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
    fn density(&self, newest: Timestamp, since: Timestamp) -> f64 {
        let oldest = self.before.filter(|_| self.more).map_or(since, |post| post.created_at());
        self.ahead.len() as f64 / (newest.since(oldest).as_millis().max(1) as f64)
    }
}

impl<'a> Join<'a> {
    /// Reads the beginnings of the lists below `before`, all at once.
    pub(super) async fn open(
        lists: Lists<'a>,
        sources: Vec<PostSource>,
        before: Option<PostId>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let pages = try_join_all(sources.iter().map(|source| lists.read(source, before))).await?;
        let reads_left = READS_MAX - sources.len();
        let opened = sources.into_iter().zip(pages).map(|(source, page)| {
            let mut reader = Reader { source, ahead: VecDeque::new(), before, more: true };
            reader.take(page);
            reader
        });
        let mut readers: Vec<_> = opened.collect();
        let newest = before.map_or(now, |before| before.created_at());
        let density = |reader: &Reader| reader.density(newest, lists.since);
        let rarest = readers.iter().map(density).fold(f64::INFINITY, f64::min);
        // What was read to its end costs nothing more.
        readers.retain(|reader| !reader.more || density(reader) <= rarest * DENSER_MAX);
        Ok(Self { lists, readers, reads_left, looked_at: None, ends: false })
    }

    /// Whether the join can go on: there are further candidates, and reads are left for them.
    pub(super) fn goes_on(&self) -> bool {
        !self.ends && self.reads_left >= self.readers.len()
    }

    /// The next candidates, at most so many.
    pub(super) async fn next(&mut self, count: usize) -> Result<Vec<PostId>, Error> {
        let mut found = Vec::new();
        while found.len() < count && !self.ends {
            let target = self.readers.iter().filter_map(|reader| reader.ahead.front()).min().copied();
            self.skip_to(target);
            let waits = |reader: &&mut Reader| reader.ahead.is_empty();
            if self.readers.iter().any(|reader| reader.ahead.is_empty() && !reader.more) {
                self.ends = true;
                break;
            }
            let waiting: Vec<_> = self.readers.iter_mut().filter(waits).collect();
            if !waiting.is_empty() {
                if self.reads_left < waiting.len() {
                    self.reads_left = 0;
                    break;
                }
                self.reads_left -= waiting.len();
                let lists = self.lists;
                try_join_all(waiting.into_iter().map(async |reader| {
                    let jump = target.map(PostId::just_above);
                    let before = [jump, reader.before].into_iter().flatten().min();
                    let page = lists.read(&reader.source, before).await?;
                    reader.take(page);
                    Ok::<_, Error>(())
                }))
                .await?;
                continue;
            }
            if let Some(target) = target
                && self.readers.iter().all(|reader| reader.ahead.front() == Some(&target))
            {
                for reader in &mut self.readers {
                    reader.ahead.pop_front();
                }
                self.looked_at = Some(target);
                found.push(target);
            }
        }
        Ok(found)
    }

    /// Drops what is newer than the target: it is not in the list that the target is the next post of.
    fn skip_to(&mut self, target: Option<PostId>) {
        let Some(target) = target else { return };
        for reader in &mut self.readers {
            while let Some(post) = reader.ahead.front().copied().filter(|post| *post > target) {
                reader.ahead.pop_front();
                self.looked_at = Some(self.looked_at.map_or(post, |last| last.min(post)));
            }
        }
    }
}
