//! The `timelines` table: which posts stand in which timeline. A row holds only what cannot change: the post's id and
//! its author.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use aws_sdk_dynamodb::types::{Delete, DeleteRequest, PutRequest, TransactWriteItem, WriteRequest};
use futures::future::try_join_all;
use tokio::sync::Semaphore;

use super::{
    command_table::CommandTable,
    consistency::Consistency,
    dynamo::{BATCH_WRITE_MAX, Dynamo, Item, failed, n, newer_wins, primary_key, s, text, user},
    inbox_pace::InboxPace,
    key::{self, PK, SK},
    table::TableName,
    visit_item::{is_visit, visit},
};
use crate::{
    cache::Cache,
    error::Error,
    model::{EdgeKey, Post, PostId, TableOf, Tag, Timestamp, UserId, Visit},
    retry::RetryPolicy,
    shared_cache::SharedCache,
};

/// Items in one transaction at most.
const TRANSACTION_MAX: usize = 100;
/// Calls of BatchWriteItem that a process has under way at once. However much there is to write, a large audience must
/// not hold up the single writes of everybody else.
const BATCH_WRITES_AT_ONCE: usize = 2;
/// Groups that a process remembers at most because it has marked them, and for how long. A rebuild waits longer between
/// emptying a table and filling it again, so no process remembers a mark that is gone.
const MARKED_MAX: usize = 1000;
const MARKED_FOR: Duration = Duration::from_secs(10);
/// How often rows that DynamoDB left unprocessed are sent again.
const RETRY: RetryPolicy =
    RetryPolicy { retries_max: 8, first: Duration::from_millis(20), longest: Duration::from_secs(1) };

/// How often a write is tried again after a conflict with a transaction.
pub(crate) const CONFLICTS: RetryPolicy =
    RetryPolicy { retries_max: 8, first: Duration::from_millis(20), longest: Duration::from_secs(1) };

/// What a read of rows takes of an item: the post and its author, and what a visit says. Key and expiry of each row
/// would be half of the answer.
const ROW_ATTRIBUTES: &str = "SK, author, pushed_until, incomplete_since, walk_began";

/// The `timelines` table.
#[derive(Debug, Clone)]
pub struct Timelines {
    pub(super) dynamo: Dynamo,
    pub(super) table: TableName,
    batch_writes: Arc<Semaphore>,
    pub(super) cache: SharedCache,
    pub(crate) pace: InboxPace,
    /// Groups of notices that this process has marked lately ([`super::spread_notices`]), by the keys of their marks.
    pub(super) marked_groups: Cache<(String, String), ()>,
}

/// A timeline: one partition of the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Timeline {
    /// The home of this viewer.
    Home(UserId),
    /// The posts of this author.
    Author(UserId),
    /// The posts with this tag.
    Tag(Tag),
}

impl Timeline {
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Home(viewer) => key::home(viewer),
            Self::Author(author) => key::author(author),
            Self::Tag(tag) => key::tag(tag),
        }
    }

    /// The timeline with this key.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        let home = || key::parse_user(key, key::HOME_PREFIX).map(Self::Home);
        let author = || key::parse_user(key, key::AUTHOR_PREFIX).map(Self::Author);
        home().or_else(author).or_else(|| key::parse_tag(key).map(Self::Tag))
    }

    /// Whether this row belongs in the timeline, if the truth has the post like this. Rows of deleted posts may stay in
    /// homes.
    pub(crate) fn may_have(&self, row: &Row, post: &Post) -> bool {
        let of_timeline = match self {
            Self::Home(_) => true,
            Self::Author(author) => *author == post.author && !post.is_deleted(),
            Self::Tag(tag) => post.tags.contains(tag) && !post.is_deleted(),
        };
        of_timeline && row.post == post.post && row.author == post.author
    }

    /// How many items to read for so many rows from the end on, where a home has one more.
    fn items(&self, rows: usize) -> i32 {
        let items = rows.saturating_add(usize::from(matches!(self, Self::Home(_))));
        i32::try_from(items).unwrap_or(i32::MAX)
    }

    /// Whether rows expire when their posts leave the feeds. Rows of authors' timelines stay.
    fn expires(&self) -> bool {
        !matches!(self, Self::Author(_))
    }
}

/// A post in a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// The post.
    pub post: PostId,
    /// Its author.
    pub author: UserId,
}

/// Rows in their order, from newest to oldest unless something else is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowPage {
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether there may be further rows within the range.
    pub more: bool,
    /// What the home says about visits, if the read came past it: it stands behind the newest row.
    pub visit: Option<Visit>,
}

/// The part of a timeline to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Only posts older than this one.
    pub before: Option<PostId>,
    /// Only posts created at this moment or later.
    pub since: Timestamp,
}

impl Range {
    /// Whether the post is within the range.
    pub fn contains(&self, post: PostId) -> bool {
        post >= PostId::lowest(self.since) && self.before.is_none_or(|before| post < before)
    }
}

impl RowPage {
    /// The first `limit` rows of these items.
    fn read(items: &[Item], more: bool, limit: usize) -> Result<Self, Error> {
        let visit = items.iter().find(|item| is_visit(item)).map(visit).transpose()?;
        let mut rows = items.iter().filter(|item| !is_visit(item)).map(row).collect::<Result<Vec<_>, _>>()?;
        let more = more || rows.len() > limit;
        rows.truncate(limit);
        Ok(Self { rows, more, visit })
    }
}

impl Timelines {
    /// The table of this name.
    pub fn new(dynamo: Dynamo, table: TableName) -> Self {
        let (batch_writes, cache) = (Arc::new(Semaphore::new(BATCH_WRITES_AT_ONCE)), SharedCache::none());
        let marked_groups = Cache::new(MARKED_MAX, MARKED_FOR);
        Self { dynamo, table, batch_writes, cache, pace: InboxPace::new(), marked_groups }
    }

    /// Which of the two tables this is.
    pub(crate) fn table_of(&self) -> TableOf {
        self.table.of()
    }

    /// The same table, whose writes change what the shared cache has of it.
    #[must_use]
    pub fn with_cache(self, cache: SharedCache) -> Self {
        Self { cache, ..self }
    }

    /// The name of the table that is read at present.
    pub(crate) fn table_name(&self) -> &Arc<str> {
        self.table.shared()
    }

    /// At most `limit` rows of the timeline within the range, newest first.
    pub async fn newest(
        &self,
        timeline: &Timeline,
        range: Range,
        limit: usize,
        consistency: Consistency,
    ) -> Result<RowPage, Error> {
        let first = PostId::lowest(range.since);
        // DynamoDB rejects a start key outside of the key condition.
        if range.before.is_some_and(|before| before <= first) {
            return Ok(RowPage::default());
        }
        let key = timeline.key();
        // No row needs to exist at the start key. It may have been deleted since it was served.
        let start = range.before.map(|before| primary_key(&key, before));
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(self.table.get())
            .key_condition_expression("PK = :timeline AND SK >= :first")
            .expression_attribute_values(":timeline", s(&key))
            .expression_attribute_values(":first", s(first))
            .set_exclusive_start_key(start)
            .scan_index_forward(false)
            .limit(timeline.items(limit))
            .projection_expression(ROW_ATTRIBUTES)
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading a timeline"))?;
        RowPage::read(answer.items(), answer.last_evaluated_key().is_some(), limit)
    }

    /// At most `limit` rows of the timeline from the post `first` on, oldest first. With `after`, only those behind
    /// that row.
    pub async fn oldest(
        &self,
        timeline: &Timeline,
        first: PostId,
        after: Option<PostId>,
        limit: usize,
        consistency: Consistency,
    ) -> Result<RowPage, Error> {
        let key = timeline.key();
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(self.table.get())
            .key_condition_expression("PK = :timeline AND SK >= :first")
            .expression_attribute_values(":timeline", s(&key))
            .expression_attribute_values(":first", s(first))
            .set_exclusive_start_key(after.filter(|after| *after >= first).map(|after| primary_key(&key, after)))
            .limit(timeline.items(limit))
            .projection_expression(ROW_ATTRIBUTES)
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading a timeline"))?;
        RowPage::read(answer.items(), answer.last_evaluated_key().is_some(), limit)
    }

    /// Writes one row to each of the timelines. Repeating this changes nothing.
    ///
    /// # Errors
    /// [`Error::Transient`] if some rows could not be written. Others may have been.
    pub async fn put(&self, timelines: &[Timeline], row: &Row) -> Result<(), Error> {
        let writes = timelines.iter().map(|timeline| self.write(timeline, row)).collect();
        let written = self.write_all(writes).await;
        // A part of the rows may be written in any case.
        self.rows_changed(timelines).await;
        written
    }

    /// Writes all of the rows to each of the timelines. Repeating this changes nothing.
    ///
    /// # Errors
    /// As [`Timelines::put`].
    pub async fn put_rows(&self, timelines: &[Timeline], rows: &[Row]) -> Result<(), Error> {
        let writes = timelines.iter().flat_map(|timeline| rows.iter().map(|row| self.write(timeline, row)));
        let written = self.write_all(writes.collect()).await;
        self.rows_changed(timelines).await;
        written
    }

    /// Deletes the row of a post from a timeline.
    pub async fn delete(&self, timeline: &Timeline, post: PostId) -> Result<(), Error> {
        self.dynamo
            .0
            .delete_item()
            .table_name(self.table.get())
            .key(PK, s(timeline.key()))
            .key(SK, s(post))
            .send()
            .await
            .map_err(failed("deleting a timeline row"))?;
        self.rows_changed([timeline]).await;
        Ok(())
    }

    /// Deletes a row from a timeline, if it still names this author. The audit of an older release takes a visit for a
    /// row without a post; it stays.
    pub(crate) async fn delete_of(&self, timeline: &Timeline, row: &Row) -> Result<(), Error> {
        if row.post.to_string() == key::VISIT {
            return Ok(());
        }
        past_transactions(async || {
            let request = self.dynamo.0.delete_item().table_name(self.table.get());
            let request = request
                .key(PK, s(timeline.key()))
                .key(SK, s(row.post))
                .condition_expression("author = :author")
                .expression_attribute_values(":author", s(row.author.as_str()));
            request.send().await.map(drop).or_else(newer_wins("deleting a timeline row"))
        })
        .await?;
        self.rows_changed([timeline]).await;
        Ok(())
    }

    /// Those of the rows that there are.
    pub(crate) async fn which(&self, rows: &[(Timeline, PostId)]) -> Result<HashSet<(Timeline, PostId)>, Error> {
        let by_key: HashMap<_, _> = rows.iter().map(|row| ((row.0.key(), row.1.to_string()), row)).collect();
        let keys = by_key.keys().map(|(pk, sk)| primary_key(pk, sk)).collect();
        let found = self.dynamo.batch_get(self.table.get(), keys, Consistency::Eventual).await?;
        let row = |item: Item| {
            let key = (text(&item, PK)?.to_owned(), text(&item, SK)?.to_owned());
            let row = by_key.get(&key).ok_or_else(|| Error::poison("a timeline row", "nobody asked for it"))?;
            Ok((*row).clone())
        };
        found.into_iter().map(row).collect()
    }

    /// Deletes rows of an author from the home of a viewer who no longer follows the author. False if the viewer
    /// follows the author again; then the rows stay.
    ///
    /// The check and the deletions are one transaction, so they come before a new follow and its backfill, or not at
    /// all.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other writes of the same rows or of the edge kept coming between; otherwise as the
    /// stores'. Some of the rows may be gone.
    pub async fn remove_unfollowed(
        &self,
        commands: &CommandTable,
        follow: &EdgeKey,
        rows: &[Row],
    ) -> Result<bool, Error> {
        let removed = self.remove_unfollowed_rows(commands, follow, rows).await;
        self.rows_changed([&Timeline::Home(follow.from.clone())]).await;
        removed
    }

    async fn remove_unfollowed_rows(
        &self,
        commands: &CommandTable,
        follow: &EdgeKey,
        rows: &[Row],
    ) -> Result<bool, Error> {
        let home = key::home(&follow.from);
        for rows in rows.chunks(TRANSACTION_MAX - 1) {
            let delete = |row: &Row| {
                let delete =
                    Delete::builder().table_name(self.table.get()).key(PK, s(&home)).key(SK, s(row.post)).build();
                let delete = delete.map_err(|error| Error::poison("the key of a timeline row", error))?;
                Ok(TransactWriteItem::builder().delete(delete).build())
            };
            let ended = std::iter::once(commands.require_ended(follow));
            let writes = ended.chain(rows.iter().map(delete)).collect::<Result<Vec<_>, Error>>()?;
            let mut retries = CONFLICTS.start();
            while let Err(error) = self.dynamo.transact(writes.clone()).await {
                if !matches!(error, Error::Conflict) {
                    return Err(error);
                }
                let edges = commands.edges(std::slice::from_ref(follow)).await?;
                if edges.get(follow).is_none_or(|edge| edge.active) {
                    return Ok(false);
                }
                if !retries.wait().await {
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    /// Deletes the rows of these posts from each of the timelines.
    ///
    /// # Errors
    /// As [`Timelines::put`].
    pub async fn remove(&self, timelines: &[Timeline], rows: &[Row]) -> Result<(), Error> {
        let delete = |timeline: &Timeline, row: &Row| {
            let delete = DeleteRequest::builder().key(PK, s(timeline.key())).key(SK, s(row.post)).build();
            let delete = delete.map_err(|error| Error::poison("the key of a timeline row", error))?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        };
        let deletes = timelines.iter().flat_map(|timeline| rows.iter().map(move |row| delete(timeline, row)));
        let deleted = self.write_all(deletes.collect()).await;
        self.rows_changed(timelines).await;
        deleted
    }

    /// Deletes at most `limit` rows of a timeline. True if there may be more.
    pub async fn clear(&self, timeline: &Timeline, limit: usize) -> Result<bool, Error> {
        let all = Range { before: None, since: Timestamp::from_ms(0) };
        let page = self.newest(timeline, all, limit, Consistency::Strong).await?;
        self.remove(std::slice::from_ref(timeline), &page.rows).await?;
        if let (Timeline::Home(viewer), false) = (timeline, page.more) {
            self.remove_visit(viewer).await?;
        }
        Ok(page.more)
    }

    fn write(&self, timeline: &Timeline, row: &Row) -> Result<WriteRequest, Error> {
        let mut put = PutRequest::builder()
            .item(PK, s(timeline.key()))
            .item(SK, s(row.post))
            .item("author", s(row.author.as_str()));
        if timeline.expires() {
            put = put.item("expires_at", n(row.post.leaves_feeds_at().as_secs()));
        }
        let put = put.build().map_err(|error| Error::poison("a timeline row", error))?;
        Ok(WriteRequest::builder().put_request(put).build())
    }

    pub(super) async fn write_all(&self, writes: Vec<Result<WriteRequest, Error>>) -> Result<(), Error> {
        let writes = writes.into_iter().collect::<Result<Vec<_>, _>>()?;
        try_join_all(writes.chunks(BATCH_WRITE_MAX).map(|batch| self.write_batch(batch.to_vec()))).await?;
        Ok(())
    }

    async fn write_batch(&self, mut batch: Vec<WriteRequest>) -> Result<(), Error> {
        let mut retries = RETRY.start();
        loop {
            let permit = self.batch_writes.acquire().await;
            let answer = self
                .dynamo
                .0
                .batch_write_item()
                .request_items(self.table.get(), batch)
                .send()
                .await
                .map_err(failed("writing timeline rows"))?;
            batch = answer.unprocessed_items.and_then(|mut left| left.remove(self.table.get())).unwrap_or_default();
            drop(permit);
            if batch.is_empty() {
                return Ok(());
            }
            if !retries.wait().await {
                let cause = format!("DynamoDB left {} rows unprocessed", batch.len());
                return Err(Error::transient("writing timeline rows", cause));
            }
        }
    }
}

/// Repeats a write for as long as it meets transactions that change the same items.
pub(super) async fn past_transactions(mut write: impl AsyncFnMut() -> Result<(), Error>) -> Result<(), Error> {
    let mut retries = CONFLICTS.start();
    loop {
        match write().await {
            Err(Error::Conflict) if retries.wait().await => {}
            written => return written,
        }
    }
}

pub(super) fn row(item: &Item) -> Result<Row, Error> {
    let post = text(item, SK)?;
    Ok(Row { post: post.parse().map_err(|error| Error::poison(post, error))?, author: user(item, "author")? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::post;

    proptest! {
        #[test]
        fn parsing_the_key_of_a_timeline_is_the_identity(id in "\\PC{1,40}") {
            prop_assume!(id.parse::<UserId>().is_ok());
            let user: UserId = id.parse().unwrap();
            let tag: Tag = "हिन्दी".parse().unwrap();
            for timeline in [Timeline::Home(user.clone()), Timeline::Author(user), Timeline::Tag(tag)] {
                prop_assert_eq!(Timeline::parse(&timeline.key()), Some(timeline));
            }
        }
    }

    #[test]
    fn a_row_belongs_where_its_post_and_author_are_those_of_the_truth() {
        let mut truth = post();
        let row = Row { post: truth.post, author: truth.author.clone() };
        let (ada, bob): (UserId, UserId) = (truth.author.clone(), "bob".parse().unwrap());
        let tag = |tag: &str| Timeline::Tag(tag.parse().unwrap());
        assert!(Timeline::Home(bob.clone()).may_have(&row, &truth));
        assert!(Timeline::Author(ada.clone()).may_have(&row, &truth) && tag("you").may_have(&row, &truth));
        assert!(!Timeline::Author(bob.clone()).may_have(&row, &truth) && !tag("me").may_have(&row, &truth));
        assert!(!Timeline::Home(bob.clone()).may_have(&Row { author: bob.clone(), ..row.clone() }, &truth));
        truth = truth.scrubbed(crate::samples::NOW);
        assert!(Timeline::Home(bob).may_have(&row, &truth) && !Timeline::Author(ada).may_have(&row, &truth));
    }
}
