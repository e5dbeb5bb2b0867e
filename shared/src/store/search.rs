//! The `search` table: the index of posts and users ([`crate::model::search`]). A list is a partition. A row says only
//! that a post or a user stands there. Beside the rows, an **entry** of each post or user lists its rows, because what
//! has to be removed cannot be told from a text that was edited or deleted.
//!
//! Rows and entry change in transactions that check the truth's version of the post or profile. So nobody who is late
//! brings back a row, and after a deletion nobody writes at all.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, Delete, DeleteRequest, Put, TransactWriteItem, WriteRequest};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use serde::{Deserialize, Serialize};

use super::{
    command_table::CommandTable,
    consistency::Consistency,
    dynamo::{BATCH_WRITE_MAX, Dynamo, Item, failed, n, number, primary_key, s, text},
    emptied::Emptied,
    key::{self, PK, SK},
    scan::{ScanKey, ScanPage},
    table::TableName,
    timelines::Range,
};
use crate::{
    error::Error,
    model::{
        PostId, TallySubject, Timestamp, Version,
        search::{IndexList, NamePlace, Word},
    },
    retry::until_no_conflict,
};

/// Rows of one transaction at most: it has 100 items, of which one checks the truth, and one is the entry.
const ROWS_PER_TRANSACTION: usize = 98;
/// Calls of BatchWriteItem at once.
const BATCHES_AT_ONCE: usize = 4;

/// The `search` table.
#[derive(Debug, Clone)]
pub struct SearchIndex {
    dynamo: Dynamo,
    table: TableName,
}

/// A row: a place in a list. The place is the id of a post, or that of [`NamePlace`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IndexRow {
    /// The partition key.
    pub list: String,
    /// The sort key.
    pub place: String,
}

/// Something that may stand in the index otherwise than the truth says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// The post or user.
    pub subject: TallySubject,
    /// A row that may not belong there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<IndexRow>,
}

impl Unsettled {
    /// What stands there of a post.
    pub fn post(post: PostId) -> Self {
        Self { subject: TallySubject::Post(post), row: None }
    }
}

/// Where a post or a user has to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The post or user.
    pub subject: TallySubject,
    /// The version of the post, or of the profile, from which the rest follows.
    pub version: u64,
    place: String,
    /// The lists, and the words that a row carries there.
    lists: BTreeMap<String, BTreeSet<Word>>,
    expires_at: Option<Timestamp>,
}

/// An entry as it was read, with the revision by which a writer notices that another writer came between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredEntry {
    revision: u64,
    version: u64,
    place: String,
    lists: BTreeSet<String>,
    /// Rows that a writer was about to delete when it wrote the entry.
    left: BTreeSet<IndexRow>,
    /// Whether a writer had not written all rows when it wrote the entry.
    is_open: bool,
}

/// Which rows a writer writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewrite {
    /// Those that the stored entry does not have.
    Changed,
    /// All of them, and so those that somebody has lost.
    All,
}

/// Users of a list, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamePage {
    /// The places, each with the words that its row carries.
    pub rows: Vec<(NamePlace, Vec<Word>)>,
    /// Whether there may be more.
    pub more: bool,
}

/// What a row of the table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Indexed {
    /// A row of this post or user.
    Row(TallySubject, IndexRow),
    /// The entry of this post or user.
    Entry(TallySubject),
}

impl Entry {
    /// The entry of a post.
    pub fn of_post(post: PostId, version: u64, lists: BTreeSet<IndexList>, expires_at: Timestamp) -> Self {
        let lists = lists.iter().map(|list| (key::index_list(list), BTreeSet::new())).collect();
        let (subject, place) = (TallySubject::Post(post), post.to_string());
        Self { subject, version, place, lists, expires_at: Some(expires_at) }
    }

    /// The entry of a user.
    pub fn of_user(place: &NamePlace, version: u64, lists: BTreeMap<IndexList, BTreeSet<Word>>) -> Self {
        let lists = lists.into_iter().map(|(list, words)| (key::index_list(&list), words)).collect();
        let (subject, place) = (TallySubject::User(place.user.clone()), key::name_place(place));
        Self { subject, version, place, lists, expires_at: None }
    }

    /// Its rows.
    pub fn rows(&self) -> BTreeSet<IndexRow> {
        self.lists.keys().map(|list| IndexRow { list: list.clone(), place: self.place.clone() }).collect()
    }

    /// Whether the stored entry says this.
    pub fn is(&self, stored: &StoredEntry) -> bool {
        let is_nothing = self.lists.is_empty() && stored.revision == 0;
        let is_same = stored.version == self.version && stored.place == self.place && stored.is_whole();
        is_nothing || (is_same && self.lists.keys().eq(&stored.lists))
    }
}

impl StoredEntry {
    /// Whether there is an entry.
    pub fn exists(&self) -> bool {
        self.revision > 0
    }

    /// Its rows, and those that a writer was about to delete.
    fn rows(&self) -> BTreeSet<IndexRow> {
        let rows = self.lists.iter().map(|list| IndexRow { list: list.clone(), place: self.place.clone() });
        rows.chain(self.left.iter().cloned()).collect()
    }

    fn is_whole(&self) -> bool {
        !self.is_open && self.left.is_empty()
    }

    /// Where it says that a user stands. None for posts, and without an entry.
    pub fn name_place(&self) -> Option<NamePlace> {
        key::parse_name_place(&self.place)
    }
}

impl SearchIndex {
    /// The table of this name.
    pub fn new(dynamo: Dynamo, table: TableName) -> Self {
        Self { dynamo, table }
    }

    /// The entry of a post or user. Without one, it has no rows.
    pub async fn entry(&self, subject: &TallySubject, consistency: Consistency) -> Result<StoredEntry, Error> {
        let answer = self
            .dynamo
            .0
            .get_item()
            .table_name(self.table.get())
            .key(PK, s(key::card(subject)))
            .key(SK, s(key::ENTRY))
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading an entry of the index"))?;
        answer.item.as_ref().map_or(Ok(StoredEntry::default()), stored_entry)
    }

    /// Writes rows and entry of a post or user, whose entry was read as `before`. Up to 98 rows are one transaction.
    /// More are several, and the entry says meanwhile what may be there and what may be missing.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the truth has another version, or another writer came between; otherwise as DynamoDB's.
    pub async fn put(
        &self,
        commands: &CommandTable,
        entry: &Entry,
        before: &StoredEntry,
        rewrite: Rewrite,
    ) -> Result<(), Error> {
        let (rows, known) = (entry.rows(), before.rows());
        let is_known = |row: &IndexRow| {
            let carries_nothing = entry.lists.get(&row.list).is_some_and(BTreeSet::is_empty);
            rewrite == Rewrite::Changed && before.is_whole() && carries_nothing && known.contains(row)
        };
        let left: Vec<_> = known.difference(&rows).cloned().collect();
        let deletes = left.iter().map(|row| self.delete(row));
        let puts = rows.iter().filter(|row| !is_known(row)).map(|row| self.put_row(entry, row));
        let changes = deletes.chain(puts).collect::<Result<Vec<_>, Error>>()?;
        if changes.is_empty() && entry.is(before) {
            return Ok(());
        }
        let parts = changes.len().div_ceil(ROWS_PER_TRANSACTION).max(1);
        let mut changes = changes.into_iter();
        for (revision, part) in (before.revision..).zip(1..=parts) {
            let left = if part == parts { None } else { Some(left.as_slice()) };
            let mut writes = vec![
                match &entry.subject {
                    TallySubject::Post(post) => commands.require_post_version(*post, entry.version)?,
                    TallySubject::User(user) => commands.require_profile_version(user, version(entry)?)?,
                },
                self.put_entry(entry, revision, left)?,
            ];
            writes.extend(changes.by_ref().take(ROWS_PER_TRANSACTION));
            self.dynamo.transact(writes).await?;
        }
        Ok(())
    }

    /// Removes rows and entry of a post or user that the truth does not have any more, or that is too old to be found.
    pub async fn remove(&self, subject: &TallySubject) -> Result<(), Error> {
        until_no_conflict(async || {
            let before = self.entry(subject, Consistency::Strong).await?;
            if !before.exists() {
                return Ok(());
            }
            self.remove_rows(&before.rows()).await?;
            self.dynamo
                .0
                .delete_item()
                .table_name(self.table.get())
                .key(PK, s(key::card(subject)))
                .key(SK, s(key::ENTRY))
                .condition_expression("#revision = :revision")
                .expression_attribute_names("#revision", "revision")
                .expression_attribute_values(":revision", n(before.revision))
                .send()
                .await
                .map(|_| ())
                .map_err(failed("deleting an entry of the index"))
        })
        .await
    }

    async fn remove_rows(&self, rows: &BTreeSet<IndexRow>) -> Result<(), Error> {
        let delete = |row: &IndexRow| {
            let delete = DeleteRequest::builder().key(PK, s(&row.list)).key(SK, s(&row.place)).build();
            let delete = delete.map_err(|error| Error::poison("the key of a row of the index", error))?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        };
        let deletes = rows.iter().map(delete).collect::<Result<Vec<_>, Error>>()?;
        let emptied = Emptied::new(self.dynamo.clone(), self.table.clone(), true);
        stream::iter(deletes.chunks(BATCH_WRITE_MAX))
            .map(|batch| emptied.delete(batch.to_vec()))
            .buffer_unordered(BATCHES_AT_ONCE)
            .try_collect()
            .await
    }

    /// Deletes a row that does not follow from the truth. `of` is the truth's version of the post or profile, if there
    /// is one: the row stays if the truth has another version by now.
    pub async fn remove_row(&self, commands: &CommandTable, row: &IndexRow, of: Option<&Entry>) -> Result<(), Error> {
        let Some(entry) = of else { return self.remove_rows(&BTreeSet::from([row.clone()])).await };
        let check = match &entry.subject {
            TallySubject::Post(post) => commands.require_post_version(*post, entry.version)?,
            TallySubject::User(user) => commands.require_profile_version(user, version(entry)?)?,
        };
        self.dynamo.transact(vec![check, self.delete(row)?]).await
    }

    /// The newest posts within the range that stand in any of these lists, which are shards of one, newest first, and
    /// whether there may be more.
    pub async fn posts(
        &self,
        shards: &[IndexList],
        range: Range,
        limit: usize,
        consistency: Consistency,
    ) -> Result<(Vec<PostId>, bool), Error> {
        let pages = shards.iter().map(|shard| self.posts_of(shard, range, limit, consistency));
        let pages = try_join_all(pages).await?;
        let mut more = pages.iter().any(|(_, more)| *more);
        let posts: BTreeSet<_> = pages.into_iter().flat_map(|(posts, _)| posts).collect();
        more |= posts.len() > limit;
        Ok((posts.into_iter().rev().take(limit).collect(), more))
    }

    async fn posts_of(
        &self,
        list: &IndexList,
        range: Range,
        limit: usize,
        consistency: Consistency,
    ) -> Result<(Vec<PostId>, bool), Error> {
        let first = PostId::lowest(range.since);
        // DynamoDB rejects a start key outside of the key condition.
        if range.before.is_some_and(|before| before <= first) {
            return Ok((Vec::new(), false));
        }
        let key = key::index_list(list);
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(self.table.get())
            .key_condition_expression("PK = :list AND SK >= :first")
            .expression_attribute_values(":list", s(&key))
            .expression_attribute_values(":first", s(first))
            .set_exclusive_start_key(range.before.map(|before| primary_key(&key, before)))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading a list of the index"))?;
        let post = |item: &Item| {
            let post = text(item, SK)?;
            post.parse().map_err(|error| Error::poison(post, error))
        };
        let posts = answer.items().iter().map(post).collect::<Result<_, _>>()?;
        Ok((posts, answer.last_evaluated_key().is_some()))
    }

    /// At most `limit` users of a list, behind the place `after`.
    pub async fn names(
        &self,
        list: &IndexList,
        after: Option<&NamePlace>,
        limit: usize,
        consistency: Consistency,
    ) -> Result<NamePage, Error> {
        let key = key::index_list(list);
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(self.table.get())
            .key_condition_expression("PK = :list")
            .expression_attribute_values(":list", s(&key))
            .set_exclusive_start_key(after.map(|after| primary_key(&key, key::name_place(after))))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading a list of the index"))?;
        let rows = answer.items().iter().map(name_row).collect::<Result<_, _>>()?;
        Ok(NamePage { rows, more: answer.last_evaluated_key().is_some() })
    }

    /// Those of the rows that there are.
    pub(crate) async fn which(&self, rows: &BTreeSet<IndexRow>) -> Result<HashSet<IndexRow>, Error> {
        let keys = rows.iter().map(|row| primary_key(&row.list, &row.place)).collect();
        let found = self.dynamo.batch_get(self.table.get(), keys, Consistency::Eventual).await?;
        found.iter().map(index_row).collect()
    }

    /// At most `limit` items behind `after`.
    pub async fn scan(&self, after: Option<&ScanKey>, limit: i32) -> Result<ScanPage<Indexed>, Error> {
        super::scan::page(self.dynamo.scan_page(self.table.get(), after.map(ScanKey::item), limit).await?, indexed)
    }

    fn put_row(&self, entry: &Entry, row: &IndexRow) -> Result<TransactWriteItem, Error> {
        let mut put = Put::builder().table_name(self.table.get()).item(PK, s(&row.list)).item(SK, s(&row.place));
        if let Some(expires_at) = entry.expires_at {
            put = put.item("expires_at", n(expires_at.as_secs()));
        }
        if let Some(words) = entry.lists.get(&row.list).filter(|words| !words.is_empty()) {
            put = put.item("words", AttributeValue::L(words.iter().map(|word| s(word.as_str())).collect()));
        }
        let put = put.build().map_err(|error| Error::poison("a row of the index", error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// The entry, in place of the one with this revision. If not all rows are written with it, `left` are those
    /// that are still to be deleted.
    fn put_entry(&self, entry: &Entry, revision: u64, left: Option<&[IndexRow]>) -> Result<TransactWriteItem, Error> {
        let list = |texts: Vec<&String>| AttributeValue::L(texts.into_iter().map(s).collect());
        let mut put = Put::builder()
            .table_name(self.table.get())
            .item(PK, s(key::card(&entry.subject)))
            .item(SK, s(key::ENTRY))
            .item("revision", n(revision + 1))
            .item("version", n(entry.version))
            .item("place", s(&entry.place))
            .item("lists", list(entry.lists.keys().collect()));
        if let Some(left) = left {
            put = put
                .item("is_open", AttributeValue::Bool(true))
                .item("left_lists", list(left.iter().map(|row| &row.list).collect()))
                .item("left_places", list(left.iter().map(|row| &row.place).collect()));
        }
        if let Some(expires_at) = entry.expires_at {
            put = put.item("expires_at", n(expires_at.as_secs()));
        }
        put = match revision {
            0 => put.condition_expression("attribute_not_exists(PK)"),
            revision => put
                .condition_expression("#revision = :revision")
                .expression_attribute_names("#revision", "revision")
                .expression_attribute_values(":revision", n(revision)),
        };
        let put = put.build().map_err(|error| Error::poison("an entry of the index", error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn delete(&self, row: &IndexRow) -> Result<TransactWriteItem, Error> {
        let delete = Delete::builder().table_name(self.table.get()).key(PK, s(&row.list)).key(SK, s(&row.place));
        let delete = delete.build().map_err(|error| Error::poison("the key of a row of the index", error))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }
}

fn version(entry: &Entry) -> Result<Version, Error> {
    Version::new(entry.version).ok_or_else(|| Error::poison("the version of a profile", "it is 0"))
}

fn texts(item: &Item, name: &str) -> Vec<String> {
    let list = item.get(name).and_then(|value| value.as_l().ok()).into_iter().flatten();
    list.filter_map(|text| text.as_s().ok()).cloned().collect()
}

fn stored_entry(item: &Item) -> Result<StoredEntry, Error> {
    let left = texts(item, "left_lists").into_iter().zip(texts(item, "left_places"));
    Ok(StoredEntry {
        revision: number(item, "revision")?,
        version: number(item, "version")?,
        place: text(item, "place")?.to_owned(),
        lists: texts(item, "lists").into_iter().collect(),
        left: left.map(|(list, place)| IndexRow { list, place }).collect(),
        is_open: matches!(item.get("is_open"), Some(AttributeValue::Bool(true))),
    })
}

fn name_row(item: &Item) -> Result<(NamePlace, Vec<Word>), Error> {
    let place = text(item, SK)?;
    let parsed = key::parse_name_place(place).ok_or_else(|| Error::poison(place, "it is no place of a user"))?;
    Ok((parsed, texts(item, "words").iter().map(|word| Word::stored(word)).collect()))
}

fn index_row(item: &Item) -> Result<IndexRow, Error> {
    Ok(IndexRow { list: text(item, PK)?.to_owned(), place: text(item, SK)?.to_owned() })
}

/// What an item is. None if only a newer release knows.
fn indexed(item: Item) -> Result<Option<Indexed>, Error> {
    let row = index_row(&item)?;
    if row.place == key::ENTRY {
        let user = || key::parse_user(&row.list, key::USER_PREFIX).map(TallySubject::User);
        let subject = key::parse_post(&row.list).map(TallySubject::Post).or_else(user);
        return Ok(subject.map(Indexed::Entry));
    }
    let subject = match key::parse_index_list(&row.list) {
        Some(IndexList::Word(..) | IndexList::Tag(_)) => row.place.parse().ok().map(TallySubject::Post),
        Some(IndexList::Name(_)) => key::parse_name_place(&row.place).map(|place| TallySubject::User(place.user)),
        None => None,
    };
    Ok(subject.map(|subject| Indexed::Row(subject, row)))
}
