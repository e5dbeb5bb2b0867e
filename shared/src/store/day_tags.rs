//! Tags of the posts of a day in the `timelines` table: for each post the tags that are counted, and for each tag the
//! number of posts. A partition has some of the day's posts, and the numbers of these alone.
//!
//! A transaction changes what is counted of a post together with the numbers. It checks that the post still has the
//! version whose tags are counted. So a worker that is late changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use futures::future::try_join_all;

use super::{
    command_table::CommandTable,
    consistency::Consistency,
    dynamo::{Item, failed, n, number, primary_key, s, text},
    key::{self, PK, SK, TAG_PARTS},
    statistics::{REVISION, signed, signed_value},
    timelines::{CONFLICTS, Timelines},
};
use crate::{
    error::Error,
    model::{Day, Post, PostId, Tag, Timestamp},
};

/// Items read at a time.
const PAGE: i32 = 1000;
/// Pages of one partition that are read at most: ten million posts and tags of a day.
const PAGES_MAX: usize = 625;
/// The attribute with the number of posts.
const POSTS: &str = "posts";
/// The attribute with the tags of a post that are counted.
const TAGS: &str = "tags";

/// Under which condition the number of a tag changes.
#[derive(Debug, Clone, Copy)]
enum TagCondition {
    /// Under none. The number expires at this moment.
    Any(Option<Timestamp>),
    /// Only if it has not changed since it was read with this revision.
    Since(u64),
}

/// What is counted of a post, with the revision by which another writer is noticed.
#[derive(Debug, Default)]
struct Counted {
    tags: BTreeSet<Tag>,
    revision: u64,
}

impl Timelines {
    /// Counts the tags of a post as this version has them, unless the command table has a newer version by now. The
    /// worker of that version counts its tags.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other writers kept coming between; otherwise as the stores'.
    pub async fn count_tags(&self, commands: &CommandTable, post: &Post, expires_at: Timestamp) -> Result<(), Error> {
        let tags: BTreeSet<_> = post.tags.iter().filter(|_| !post.is_deleted()).cloned().collect();
        if tags.is_empty() && post.tags_ever.is_empty() && !post.is_deleted() {
            return Ok(());
        }
        let mut retries = CONFLICTS.start();
        loop {
            let before = self.counted_tags(post.post).await?;
            if before.tags == tags {
                return Ok(());
            }
            let mut writes = vec![commands.require_post_version(post.post, post.version)?];
            writes.extend(self.tag_writes(post.post, &before, &tags, Some(expires_at)).await?);
            match self.dynamo.transact(writes).await {
                Err(Error::Conflict) => match commands.post(post.post).await? {
                    Some(truth) if truth.version == post.version && retries.wait().await => {}
                    Some(truth) if truth.version == post.version => return Err(Error::Conflict),
                    _ => return Ok(()),
                },
                written => return written,
            }
        }
    }

    /// Counts no tag of the post any more: the post is erased.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other writers kept coming between; otherwise as the store's.
    pub async fn erase_tags(&self, post: PostId) -> Result<(), Error> {
        let mut retries = CONFLICTS.start();
        loop {
            let before = self.counted_tags(post).await?;
            if before.tags.is_empty() {
                return Ok(());
            }
            let writes = self.tag_writes(post, &before, &BTreeSet::new(), None).await?;
            match self.dynamo.transact(writes).await {
                Err(Error::Conflict) if retries.wait().await => {}
                written => return written,
            }
        }
    }

    /// The tags of a post that are counted.
    pub async fn tags_counted(&self, post: PostId) -> Result<BTreeSet<Tag>, Error> {
        Ok(self.counted_tags(post).await?.tags)
    }

    async fn counted_tags(&self, post: PostId) -> Result<Counted, Error> {
        let key = primary_key(key::day_tags_of(post), key::post(post));
        let answer = self.dynamo.0.get_item().table_name(self.table.get()).set_key(Some(key)).consistent_read(true);
        let answer = answer.send().await.map_err(failed("reading the tags of a post"))?;
        answer.item.map_or_else(|| Ok(Counted::default()), |item| counted(&item))
    }

    async fn tag_writes(
        &self,
        post: PostId,
        before: &Counted,
        tags: &BTreeSet<Tag>,
        expires_at: Option<Timestamp>,
    ) -> Result<Vec<TransactWriteItem>, Error> {
        let partition = key::day_tags_of(post);
        let mut writes = vec![self.post_write(post, before, tags, expires_at)?];
        for tag in tags.difference(&before.tags) {
            writes.push(self.add_post(&partition, tag, 1, TagCondition::Any(expires_at))?);
        }
        let gone: Vec<_> = before.tags.difference(tags).collect();
        let keys = gone.iter().map(|tag| primary_key(&partition, key::tag(tag))).collect::<Vec<_>>();
        if keys.is_empty() {
            return Ok(writes);
        }
        // Nothing may be left of a tag that only a deleted post had. Who counts such a tag anew conflicts with this.
        for item in self.dynamo.batch_get(self.table.get(), keys, Consistency::Strong).await? {
            let (tag, revision) = (tag_of(&item)?, number(&item, REVISION)?);
            writes.push(match signed(&item, POSTS)? {
                ..=1 => self.delete_numbers(&partition, &key::tag(&tag), revision)?,
                _ => self.add_post(&partition, &tag, -1, TagCondition::Since(revision))?,
            });
        }
        Ok(writes)
    }

    fn post_write(
        &self,
        post: PostId,
        before: &Counted,
        tags: &BTreeSet<Tag>,
        expires_at: Option<Timestamp>,
    ) -> Result<TransactWriteItem, Error> {
        let (pk, sk) = (key::day_tags_of(post), key::post(post));
        let is_new = before.revision == 0;
        let condition = if is_new { "attribute_not_exists(PK)" } else { "#revision = :revision" };
        let wrong = |error| Error::poison("the tags of a post", error);
        if tags.is_empty() {
            let mut delete = Delete::builder()
                .table_name(self.table.get())
                .set_key(Some(primary_key(pk, sk)))
                .condition_expression(condition);
            if !is_new {
                delete = delete
                    .expression_attribute_names("#revision", REVISION)
                    .expression_attribute_values(":revision", n(before.revision));
            }
            return Ok(TransactWriteItem::builder().delete(delete.build().map_err(wrong)?).build());
        }
        let mut put = Put::builder()
            .table_name(self.table.get())
            .item(PK, s(pk))
            .item(SK, s(sk))
            .item(TAGS, AttributeValue::L(tags.iter().map(|tag| s(tag.as_str())).collect()))
            .item(REVISION, n(before.revision + 1))
            .condition_expression(condition);
        if let Some(expires_at) = expires_at {
            put = put.item("expires_at", n(expires_at.as_secs()));
        }
        if !is_new {
            put = put
                .expression_attribute_names("#revision", REVISION)
                .expression_attribute_values(":revision", n(before.revision));
        }
        Ok(TransactWriteItem::builder().put(put.build().map_err(wrong)?).build())
    }

    fn add_post(
        &self,
        partition: &str,
        tag: &Tag,
        more: i64,
        change: TagCondition,
    ) -> Result<TransactWriteItem, Error> {
        let mut expression = "ADD #posts :more, #revision :one".to_owned();
        let mut update = Update::builder()
            .table_name(self.table.get())
            .set_key(Some(primary_key(partition, key::tag(tag))))
            .expression_attribute_names("#posts", POSTS)
            .expression_attribute_names("#revision", REVISION)
            .expression_attribute_values(":more", signed_value(more))
            .expression_attribute_values(":one", n(1));
        match change {
            TagCondition::Since(revision) => {
                update = update
                    .condition_expression("#revision = :revision")
                    .expression_attribute_values(":revision", n(revision));
            }
            TagCondition::Any(None) => {}
            TagCondition::Any(Some(expires_at)) => {
                expression += " SET #expires_at = :expires_at";
                update = update
                    .expression_attribute_names("#expires_at", "expires_at")
                    .expression_attribute_values(":expires_at", n(expires_at.as_secs()));
            }
        }
        let update = update.update_expression(expression).build();
        let update = update.map_err(|error| Error::poison("the number of posts with a tag", error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// The tags that most posts of the day have, at most `limit`, with the numbers of these posts. Of equal numbers,
    /// the tag that is first in order comes first.
    ///
    /// # Errors
    /// [`Error::Poison`] if there are too many tags to be read; otherwise as the store's.
    pub async fn top_tags(&self, day: Day, limit: usize) -> Result<Vec<(Tag, i64)>, Error> {
        let parts = (0..TAG_PARTS).map(async |part| {
            let (partition, mut shown) = (key::day_tags(day, part), Vec::new());
            let take = |item: &Item| {
                shown.push((tag_of(item)?, signed(item, POSTS)?));
                Ok(())
            };
            self.each_of(&partition, "TAG#", Consistency::Eventual, take).await?;
            Ok::<_, Error>(shown)
        });
        let mut posts = BTreeMap::<Tag, i64>::new();
        for (tag, of_part) in try_join_all(parts).await?.into_iter().flatten() {
            *posts.entry(tag).or_default() += of_part;
        }
        let mut tags: Vec<_> = posts.into_iter().filter(|(_, posts)| *posts > 0).collect();
        tags.sort_by_key(|(_, posts)| std::cmp::Reverse(*posts));
        tags.truncate(limit);
        Ok(tags)
    }

    /// The tags of this part of the day whose numbers of posts are wrong, with the right ones, and their revisions.
    async fn wrong_tags(&self, day: Day, part: u8) -> Result<Vec<(Tag, i64, u64)>, Error> {
        let (mut right, mut shown) = (BTreeMap::<Tag, i64>::new(), BTreeMap::<Tag, (i64, u64)>::new());
        let partition = key::day_tags(day, part);
        // The numbers are read first. What changes before the posts are read changes their revisions, too.
        let show = |item: &Item| {
            shown.insert(tag_of(item)?, (signed(item, POSTS)?, number(item, REVISION)?));
            Ok(())
        };
        self.each_of(&partition, "TAG#", Consistency::Strong, show).await?;
        let count = |item: &Item| {
            counted(item)?.tags.into_iter().for_each(|tag| *right.entry(tag).or_default() += 1);
            Ok(())
        };
        self.each_of(&partition, "POST#", Consistency::Strong, count).await?;
        let tags: BTreeSet<_> = right.keys().chain(shown.keys()).cloned().collect();
        let wrong = tags.into_iter().filter_map(|tag| {
            let (posts, revision) = shown.get(&tag).copied().unwrap_or_default();
            let expected = right.get(&tag).copied().unwrap_or_default();
            (posts != expected || (expected == 0 && revision > 0)).then_some((tag, expected, revision))
        });
        Ok(wrong.collect())
    }

    /// Whether the numbers of this part of the day are those of its posts, apart from numbers that changed while the
    /// posts were counted.
    ///
    /// # Errors
    /// As [`Timelines::top_tags`].
    pub async fn tags_add_up(&self, day: Day, part: u8) -> Result<bool, Error> {
        let wrong = self.wrong_tags(day, part).await?;
        let keys = wrong.iter().map(|(tag, ..)| primary_key(key::day_tags(day, part), key::tag(tag))).collect();
        let mut now = BTreeMap::new();
        for item in self.dynamo.batch_get(self.table.get(), keys, Consistency::Strong).await? {
            now.insert(tag_of(&item)?, number(&item, REVISION)?);
        }
        Ok(wrong.iter().all(|(tag, _, revision)| now.get(tag).copied().unwrap_or_default() != *revision))
    }

    /// Sets the numbers of this part of the day to those of its posts.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another writer came between; otherwise as the store's.
    pub async fn recount_tags(&self, day: Day, part: u8, expires_at: Timestamp) -> Result<(), Error> {
        let partition = key::day_tags(day, part);
        for (tag, posts, revision) in self.wrong_tags(day, part).await? {
            let key = primary_key(&partition, key::tag(&tag));
            let (table, dynamo) = (self.table.get(), &self.dynamo.0);
            if posts == 0 {
                let delete = dynamo
                    .delete_item()
                    .table_name(table)
                    .set_key(Some(key))
                    .condition_expression("#revision = :revision")
                    .expression_attribute_names("#revision", REVISION)
                    .expression_attribute_values(":revision", n(revision));
                delete.send().await.map_err(failed("recounting tags"))?;
                continue;
            }
            let is_new = revision == 0;
            let mut update = dynamo
                .update_item()
                .table_name(table)
                .set_key(Some(key))
                .update_expression("SET #posts = :posts, #revision = :next, #expires_at = :expires_at")
                .condition_expression(if is_new { "attribute_not_exists(PK)" } else { "#revision = :revision" })
                .expression_attribute_names("#posts", POSTS)
                .expression_attribute_names("#revision", REVISION)
                .expression_attribute_names("#expires_at", "expires_at")
                .expression_attribute_values(":posts", signed_value(posts))
                .expression_attribute_values(":next", n(revision + 1))
                .expression_attribute_values(":expires_at", n(expires_at.as_secs()));
            if !is_new {
                update = update.expression_attribute_values(":revision", n(revision));
            }
            update.send().await.map_err(failed("recounting tags"))?;
        }
        Ok(())
    }

    /// Hands on each item of a partition whose sort key begins with this text. However many there are, no more than a
    /// page of them is in memory.
    ///
    /// # Errors
    /// [`Error::Poison`] if there are too many, as there will be later; otherwise as the store's, and those of `take`.
    pub(super) async fn each_of(
        &self,
        partition: &str,
        prefix: &str,
        consistency: Consistency,
        take: impl FnMut(&Item) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.each_within(partition, prefix, consistency, PAGES_MAX, take).await
    }

    pub(super) async fn each_within(
        &self,
        partition: &str,
        prefix: &str,
        consistency: Consistency,
        pages_max: usize,
        mut take: impl FnMut(&Item) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut after = None;
        for _ in 0..pages_max {
            let query = self.dynamo.0.query().table_name(self.table.get());
            let answer = query
                .key_condition_expression("PK = :partition AND begins_with(SK, :prefix)")
                .expression_attribute_values(":partition", s(partition))
                .expression_attribute_values(":prefix", s(prefix))
                .set_exclusive_start_key(after)
                .limit(PAGE)
                .consistent_read(consistency.is_strong())
                .send()
                .await
                .map_err(failed("reading statistics"))?;
            answer.items().iter().try_for_each(&mut take)?;
            after = answer.last_evaluated_key;
            if after.is_none() {
                return Ok(());
            }
        }
        Err(Error::poison(partition, "there are too many items"))
    }
}

fn counted(item: &Item) -> Result<Counted, Error> {
    let tags = item.get(TAGS).and_then(|tags| tags.as_l().ok()).map(Vec::as_slice).unwrap_or_default();
    let tags = tags.iter().filter_map(|tag| tag.as_s().ok()).map(Tag::stored).collect();
    Ok(Counted { tags, revision: number(item, REVISION)? })
}

fn tag_of(item: &Item) -> Result<Tag, Error> {
    let key = text(item, SK)?;
    key::parse_tag(key).ok_or_else(|| Error::poison("the key of a tag", key))
}
