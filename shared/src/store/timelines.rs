//! The `timelines` table: who gets to see which post where. A row holds only what cannot change: post and author.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use futures::future::try_join_all;
use tokio::sync::Semaphore;

use super::{
    Consistency, Dynamo,
    dynamo::{Item, failed, n, newer_wins, s, text},
    key::{self, PK, SK},
};
use crate::{
    error::Error,
    model::{PostId, Tag, Timestamp, UserId},
    retry::Backoff,
};

/// Items that BatchWriteItem takes in one call.
const BATCH_WRITE_MAX: usize = 25;
/// Calls of batch writes that a process has under way at once, whatever it has to write: a large audience must not stand
/// before everybody else's single writes.
const BATCH_WRITES_AT_ONCE: usize = 2;
/// Times that what DynamoDB left unprocessed is sent again.
const UNPROCESSED_RETRIES_MAX: u32 = 8;
/// Waits before that.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(20), longest: Duration::from_secs(1) };

/// The `timelines` table.
#[derive(Debug, Clone)]
pub struct Timelines {
    dynamo: Dynamo,
    table: String,
    batch_writes: Arc<Semaphore>,
}

/// A timeline: one partition of the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Timeline {
    /// What a viewer's home feed is read from.
    Home(UserId),
    /// What an author wrote.
    Author(UserId),
    /// The posts with a tag.
    Tag(Tag),
}

impl Timeline {
    fn key(&self) -> String {
        match self {
            Self::Home(viewer) => key::home(viewer),
            Self::Author(author) => key::author(author),
            Self::Tag(tag) => key::tag(tag),
        }
    }

    /// Whether its rows are deleted some time after they left the feeds. An author's posts stay.
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

/// Rows from newest to oldest, and whether there may be older ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowPage {
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether the timeline may go on after the last row.
    pub more: bool,
}

/// Which part of a timeline to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Only posts older than this one.
    pub before: Option<PostId>,
    /// Only posts created at this moment or later.
    pub since: Timestamp,
}

impl Range {
    /// Whether the post is in it.
    pub fn contains(&self, post: PostId) -> bool {
        post >= PostId::lowest(self.since) && self.before.is_none_or(|before| post < before)
    }
}

impl Timelines {
    /// The table of this name.
    pub fn new(dynamo: Dynamo, table: String) -> Self {
        Self { dynamo, table, batch_writes: Arc::new(Semaphore::new(BATCH_WRITES_AT_ONCE)) }
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
        // DynamoDB refuses a start outside of the key condition.
        if range.before.is_some_and(|before| before <= first) {
            return Ok(RowPage::default());
        }
        let key = timeline.key();
        // Where to start need not exist: the row may have been deleted since it was served.
        let start = range.before.map(|before| HashMap::from([(PK.to_owned(), s(&key)), (SK.to_owned(), s(before))]));
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :timeline AND SK >= :first")
            .expression_attribute_values(":timeline", s(&key))
            .expression_attribute_values(":first", s(first))
            .set_exclusive_start_key(start)
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading a timeline"))?;
        let rows = answer.items().iter().map(row).collect::<Result<_, _>>()?;
        Ok(RowPage { rows, more: answer.last_evaluated_key().is_some() })
    }

    /// Puts one row into each of the timelines. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`Error::Transient`] if some could not be written; others then were.
    pub async fn put(&self, timelines: &[Timeline], row: &Row) -> Result<(), Error> {
        let writes = timelines.iter().map(|timeline| self.write(timeline, row)).collect();
        self.write_all(writes).await
    }

    /// Puts many rows into one timeline.
    ///
    /// # Errors
    /// As [`Timelines::put`].
    pub async fn put_rows(&self, timeline: &Timeline, rows: &[Row]) -> Result<(), Error> {
        let writes = rows.iter().map(|row| self.write(timeline, row)).collect();
        self.write_all(writes).await
    }

    /// Takes a post out of a timeline.
    pub async fn delete(&self, timeline: &Timeline, post: PostId) -> Result<(), Error> {
        self.dynamo
            .0
            .delete_item()
            .table_name(&self.table)
            .key(PK, s(timeline.key()))
            .key(SK, s(post))
            .send()
            .await
            .map(|_| ())
            .map_err(failed("deleting a timeline row"))
    }

    /// Puts a post under a tag that it has as of this version of the post.
    ///
    /// A post's tags change, so these rows carry its version: of several workers that each project what they read, the
    /// one that read the newest wins, whoever writes last.
    pub async fn tag(&self, tag: &Tag, row: &Row, version: u64) -> Result<(), Error> {
        self.dynamo
            .0
            .update_item()
            .table_name(&self.table)
            .key(PK, s(key::tag(tag)))
            .key(SK, s(row.post))
            .update_expression("SET author = :author, expires_at = :expires_at, #version = :version")
            .expression_attribute_names("#version", "version")
            .condition_expression("attribute_not_exists(PK) OR #version < :version")
            .expression_attribute_values(":author", s(row.author.as_str()))
            .expression_attribute_values(":expires_at", n(row.post.leaves_feeds_at().as_secs()))
            .expression_attribute_values(":version", n(version))
            .send()
            .await
            .map(|_| ())
            .or_else(newer_wins("writing a tag's row"))
    }

    /// Takes a post from under a tag that it no longer has as of this version of the post. If a worker that read an older
    /// version puts it there again, it stays, and readers see in the card that it does not belong there.
    pub async fn untag(&self, tag: &Tag, post: PostId, version: u64) -> Result<(), Error> {
        self.dynamo
            .0
            .delete_item()
            .table_name(&self.table)
            .key(PK, s(key::tag(tag)))
            .key(SK, s(post))
            .condition_expression("attribute_not_exists(PK) OR #version < :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", n(version))
            .send()
            .await
            .map(|_| ())
            .or_else(newer_wins("deleting a tag's row"))
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

    async fn write_all(&self, writes: Vec<Result<WriteRequest, Error>>) -> Result<(), Error> {
        let writes = writes.into_iter().collect::<Result<Vec<_>, _>>()?;
        try_join_all(writes.chunks(BATCH_WRITE_MAX).map(|batch| self.write_batch(batch.to_vec()))).await?;
        Ok(())
    }

    async fn write_batch(&self, mut batch: Vec<WriteRequest>) -> Result<(), Error> {
        for retry in 0..=UNPROCESSED_RETRIES_MAX {
            BACKOFF.before(retry).await;
            // Is never closed; and without a place it would only be one call more.
            let _place = self.batch_writes.acquire().await;
            let answer = self
                .dynamo
                .0
                .batch_write_item()
                .request_items(&self.table, batch)
                .send()
                .await
                .map_err(failed("writing timeline rows"))?;
            batch = answer.unprocessed_items.and_then(|mut left| left.remove(&self.table)).unwrap_or_default();
            if batch.is_empty() {
                return Ok(());
            }
        }
        Err(Error::transient("writing timeline rows", format!("{} rows left unprocessed", batch.len())))
    }
}

fn row(item: &Item) -> Result<Row, Error> {
    let post = text(item, SK)?;
    let author = text(item, "author")?;
    Ok(Row {
        post: post.parse().map_err(|error| Error::poison(post, error))?,
        author: author.parse().map_err(|error| Error::poison(author, error))?,
    })
}
