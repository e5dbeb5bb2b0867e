//! Notices in the `timelines` table, and the inboxes that list their groups. The notices of a group stand in the order
//! in which they were first done. Likes stand in a partition of their post, because everybody can ask who likes a post,
//! and are kept as long as the post. All others stand in a partition of the user whom they concern, together with the
//! user's inbox, and expire. Many likes or follows at once stand in several partitions ([`super::spread_notices`]).

use aws_sdk_dynamodb::{
    operation::query::QueryOutput,
    primitives::Blob,
    types::{AttributeValue, Delete, DeleteRequest, TransactWriteItem, Update, WriteRequest},
};
use futures::future::try_join_all;

use super::{
    consistency::Consistency,
    dynamo::{Item, failed, n, newer_wins, number, primary_key, s, text},
    key::{self, GROUP_MARK, PK, SK},
    timelines::Timelines,
};
use crate::{
    error::Error,
    model::{
        Group, Inbox, Notice, PartitionShard, Timestamp, UserId,
        limits::{NOTICES_COUNTED_MAX, NOTIFICATIONS_KEPT},
    },
};

/// A place among the notices of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoticeAt {
    /// The moment of the notice.
    pub at: Timestamp,
    /// Its id.
    pub id: String,
}

/// Notices of a group, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoticePage {
    /// The notices, also those that have ended.
    pub notices: Vec<Notice>,
    /// The place to go on behind, if there may be more.
    pub next: Option<NoticeAt>,
}

/// What a read of one partition gives of a group.
#[derive(Debug)]
pub(super) struct PartitionPage {
    pub(super) notices: Vec<Notice>,
    pub(super) next: Option<NoticeAt>,
    /// Whether it began with the mark of notices that stand in other partitions, too.
    pub(super) has_mark: bool,
}

/// What was deleted of a partition.
pub(super) struct Cleared {
    deleted: usize,
    /// Whether there may be more.
    more: bool,
}

/// An inbox as it was read, with the revision by which a writer notices that another writer came between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredInbox {
    /// The inbox.
    pub inbox: Inbox,
    /// When it was written last.
    pub written_at: Timestamp,
    revision: u64,
}

impl StoredInbox {
    /// Whether there is an inbox.
    pub fn exists(&self) -> bool {
        self.revision > 0
    }
}

impl Timelines {
    /// Writes a notice of this user's, unless there is a newer version of it. That is success, too. The same version is
    /// written again.
    ///
    /// `is_known`: a notice that has ended counts as one that stood once. Otherwise it counts so if it stood in this
    /// table.
    pub async fn put_notice(
        &self,
        recipient: &UserId,
        group: Group,
        notice: &Notice,
        is_known: bool,
    ) -> Result<(), Error> {
        let (pk, prefix) = key::notices(recipient, group, notice.shard);
        let stood = if notice.active || is_known { ":stood" } else { "if_not_exists(stood, :stood)" };
        let mut set = format!("SET #actor = :actor, #active = :active, #version = :version, stood = {stood}");
        let mut update = self.dynamo.0.update_item();
        if !matches!(group, Group::Like(_)) {
            set += ", expires_at = :expires_at";
            let expires_at = notice.at.after(NOTIFICATIONS_KEPT).as_secs();
            update = update.expression_attribute_values(":expires_at", n(expires_at));
        }
        update
            .table_name(self.table.get())
            .key(PK, s(pk))
            .key(SK, s(format!("{prefix}{}", key::notice(notice.at, &notice.id))))
            .update_expression(set)
            .condition_expression("attribute_not_exists(#version) OR #version <= :version")
            .expression_attribute_names("#actor", "actor")
            .expression_attribute_names("#active", "active")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":actor", s(notice.actor.as_str()))
            .expression_attribute_values(":active", AttributeValue::Bool(notice.active))
            .expression_attribute_values(":version", n(notice.version))
            .expression_attribute_values(":stood", AttributeValue::Bool(notice.active || is_known))
            .send()
            .await
            .map(|_| ())
            .or_else(newer_wins("writing a notice"))
    }

    /// What this notice of this user's looks like in the table. None if it is not there.
    pub async fn as_shown(&self, recipient: &UserId, group: Group, of: &Notice) -> Result<Option<Notice>, Error> {
        let (pk, prefix) = key::notices(recipient, group, of.shard);
        let answer = self
            .dynamo
            .0
            .get_item()
            .table_name(self.table.get())
            .key(PK, s(pk))
            .key(SK, s(format!("{prefix}{}", key::notice(of.at, &of.id))))
            .send()
            .await
            .map_err(failed("reading a notice"))?;
        answer.item.map(|item| self::notice(&item, &prefix, of.shard)).transpose()
    }

    /// Deletes a notice of this user's, whatever its version. An inbox that knows it forgets it in the same
    /// transaction, so that its group has not changed for whoever looks at it next.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another writer came between; otherwise as the store's.
    pub async fn remove_notice(
        &self,
        recipient: &UserId,
        group: Group,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (pk, prefix) = key::notices(recipient, group, notice.shard);
        let key = primary_key(pk, format!("{prefix}{}", key::notice(notice.at, &notice.id)));
        let before = self.inbox(recipient, Consistency::Strong).await?;
        if !before.inbox.lists(group) {
            let delete = self.dynamo.0.delete_item().table_name(self.table.get()).set_key(Some(key));
            return delete.send().await.map(|_| ()).map_err(failed("deleting a notice"));
        }
        let inbox = self.without(before.inbox.clone(), recipient, group, notice, now).await?;
        let wrong = |error| Error::poison("the removal of a notice", error);
        let delete = Delete::builder().table_name(self.table.get()).set_key(Some(key)).build().map_err(wrong)?;
        // Also if nothing of the inbox changes: whoever has read the notice, and is about to write, reads again.
        let update = Update::builder()
            .table_name(self.table.get())
            .set_key(Some(primary_key(key::inbox_partition(recipient), key::INBOX)))
            .update_expression("SET #groups = :groups, revision = :next")
            .condition_expression("revision = :revision")
            .expression_attribute_names("#groups", "groups")
            .expression_attribute_values(":groups", AttributeValue::B(Blob::new(inbox.to_bytes())))
            .expression_attribute_values(":revision", n(before.revision))
            .expression_attribute_values(":next", n(before.revision + 1))
            .build()
            .map_err(wrong)?;
        let delete = TransactWriteItem::builder().delete(delete).build();
        self.dynamo.transact(vec![delete, TransactWriteItem::builder().update(update).build()]).await
    }

    /// The inbox as it is without this notice, which may still stand among those of its group.
    async fn without(
        &self,
        mut inbox: Inbox,
        recipient: &UserId,
        group: Group,
        removed: &Notice,
        now: Timestamp,
    ) -> Result<Inbox, Error> {
        let limit = i32::try_from(NOTICES_COUNTED_MAX).unwrap_or(i32::MAX);
        let NoticePage { notices: mut newest, next } =
            self.notices(recipient, group, None, limit, Consistency::Strong).await?;
        newest.retain(|notice| notice.counts_for(recipient, now));
        let place = newest.iter().position(|notice| (notice.at, &notice.id) == (removed.at, &removed.id));
        let Some(place) = place else { return Ok(inbox) };
        let mut left = newest.clone();
        left.remove(place);
        if let Some(last) = &next {
            // The next one takes its place.
            let further = self.notices(recipient, group, Some(last), 1, Consistency::Strong).await?;
            left.extend(further.notices.into_iter().filter(|notice| notice.counts_for(recipient, now)));
        }
        inbox.shrink(group, &newest, &left);
        Ok(inbox)
    }

    /// Deletes the user's inbox and notices, at most so many items. Returns whether there may be more.
    pub async fn clear_notices(&self, user: &UserId, limit: usize) -> Result<bool, Error> {
        self.clear_partitions(PartitionShard::all().map(|shard| key::notices_partition(user, shard)), limit).await
    }

    /// Whether the user has an inbox or notices.
    pub async fn has_notices(&self, user: &UserId) -> Result<bool, Error> {
        let partitions: Vec<_> = PartitionShard::all().map(|shard| key::notices_partition(user, shard)).collect();
        let found = try_join_all(partitions.iter().map(|partition| self.keys_of_partition(partition, 1))).await?;
        Ok(found.iter().any(|some| !some.items().is_empty()))
    }

    async fn keys_of_partition(&self, partition: &str, limit: usize) -> Result<QueryOutput, Error> {
        self.dynamo
            .0
            .query()
            .table_name(self.table.get())
            // The mark of a post's likes is behind all other keys, and stays.
            .key_condition_expression("PK = :partition AND SK < :mark")
            .expression_attribute_values(":partition", s(partition))
            .expression_attribute_values(":mark", s(GROUP_MARK))
            .projection_expression("PK, SK")
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("reading notices"))
    }

    /// Deletes at most so many items of several partitions. Returns whether there may be more.
    pub(super) async fn clear_partitions(
        &self,
        partitions: impl Iterator<Item = String>,
        limit: usize,
    ) -> Result<bool, Error> {
        let mut left = limit;
        for partition in partitions {
            let cleared = self.clear_partition(partition, left).await?;
            left = left.saturating_sub(cleared.deleted);
            if cleared.more || left == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes at most so many items of a partition.
    pub(super) async fn clear_partition(&self, partition: String, limit: usize) -> Result<Cleared, Error> {
        let answer = self.keys_of_partition(&partition, limit).await?;
        let delete = |item: &Item| {
            let key = primary_key(text(item, PK)?, text(item, SK)?);
            let delete = DeleteRequest::builder().set_key(Some(key)).build();
            let delete = delete.map_err(|error| Error::poison("the key of a notice", error))?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        };
        self.write_all(answer.items().iter().map(delete).collect()).await?;
        Ok(Cleared { deleted: answer.items().len(), more: answer.last_evaluated_key().is_some() })
    }

    /// At most `limit` notices of a group of this user's, newest first, behind `after`. Those that ended before they
    /// ever stood are left out.
    pub async fn notices(
        &self,
        recipient: &UserId,
        group: Group,
        after: Option<&NoticeAt>,
        limit: i32,
        consistency: Consistency,
    ) -> Result<NoticePage, Error> {
        if matches!(group, Group::Like(_) | Group::Follow(_)) {
            return self.spread_notices(recipient, group, after, limit, consistency).await;
        }
        let shard = PartitionShard::default();
        let partition = key::notices(recipient, group, shard);
        let PartitionPage { notices, next, .. } = self.notices_in(partition, shard, after, limit, consistency).await?;
        Ok(NoticePage { notices, next })
    }

    /// Notices of one partition with these keys: at most `limit` items.
    pub(super) async fn notices_in(
        &self,
        (pk, prefix): (String, String),
        shard: PartitionShard,
        after: Option<&NoticeAt>,
        limit: i32,
        consistency: Consistency,
    ) -> Result<PartitionPage, Error> {
        let mark = format!("{prefix}{GROUP_MARK}");
        let start = after.map(|NoticeAt { at, id }| primary_key(&pk, format!("{prefix}{}", key::notice(*at, id))));
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(self.table.get())
            // Every key goes on with a digit, and the mark of the group is behind all of them.
            .key_condition_expression("PK = :partition AND SK BETWEEN :first AND :last")
            .expression_attribute_values(":partition", s(&pk))
            .expression_attribute_values(":first", s(format!("{prefix}0")))
            .expression_attribute_values(":last", s(&mark))
            .set_exclusive_start_key(start)
            .scan_index_forward(false)
            .limit(limit)
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading notices"))?;
        let is_mark = |item: &Item| item.get(SK) == Some(&s(&mark));
        let has_mark = answer.items().iter().any(is_mark);
        let stood = answer.items().iter().filter(|item| item.get("stood") != Some(&AttributeValue::Bool(false)));
        let notices = stood.filter(|item| !is_mark(item));
        let notices = notices.map(|item| notice(item, &prefix, shard)).collect::<Result<_, _>>()?;
        let next = answer.last_evaluated_key().map(|key| place(key, &prefix)).transpose()?;
        Ok(PartitionPage { notices, next, has_mark })
    }

    /// The user's inbox.
    pub async fn inbox(&self, user: &UserId, consistency: Consistency) -> Result<StoredInbox, Error> {
        let answer = self
            .dynamo
            .0
            .get_item()
            .table_name(self.table.get())
            .set_key(Some(primary_key(key::inbox_partition(user), key::INBOX)))
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading an inbox"))?;
        let Some(item) = answer.item else { return Ok(StoredInbox::default()) };
        let inbox = match item.get("groups") {
            Some(AttributeValue::B(bytes)) => Inbox::from_bytes(bytes.as_ref()),
            _ => None,
        };
        Ok(StoredInbox {
            inbox: inbox.ok_or_else(|| Error::poison("an inbox", "its groups make no sense"))?,
            written_at: Timestamp::from_ms(number(&item, "written_at")?),
            revision: number(&item, "revision")?,
        })
    }

    /// Replaces the inbox that was read as `before`.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another writer replaced it meanwhile.
    pub async fn put_inbox(
        &self,
        user: &UserId,
        before: &StoredInbox,
        inbox: &Inbox,
        now: Timestamp,
    ) -> Result<(), Error> {
        let update = self
            .dynamo
            .0
            .update_item()
            .table_name(self.table.get())
            .set_key(Some(primary_key(key::inbox_partition(user), key::INBOX)))
            .update_expression(
                "SET #groups = :groups, written_at = :written_at, revision = :next, expires_at = :expires_at",
            )
            .expression_attribute_names("#groups", "groups")
            .expression_attribute_values(":groups", AttributeValue::B(Blob::new(inbox.to_bytes())))
            .expression_attribute_values(":written_at", n(now.as_ms()))
            .expression_attribute_values(":expires_at", n(now.after(NOTIFICATIONS_KEPT).as_secs()))
            .expression_attribute_values(":next", n(before.revision + 1));
        let update = match before.revision {
            0 => update.condition_expression("attribute_not_exists(PK)"),
            revision => update
                .condition_expression("revision = :revision")
                .expression_attribute_values(":revision", n(revision)),
        };
        update.send().await.map(|_| ()).map_err(failed("writing an inbox"))
    }
}

fn notice(item: &Item, prefix: &str, shard: PartitionShard) -> Result<Notice, Error> {
    let NoticeAt { at, id } = place(item, prefix)?;
    let actor = text(item, "actor")?;
    let actor = UserId::try_from(actor.to_owned()).map_err(|error| Error::poison(actor, error))?;
    let active = matches!(item.get("active"), Some(AttributeValue::Bool(true)));
    Ok(Notice { at, id, actor, active, version: number(item, "version")?, shard })
}

fn place(item: &Item, prefix: &str) -> Result<NoticeAt, Error> {
    let key = text(item, SK)?;
    let place = key.strip_prefix(prefix).and_then(key::parse_notice);
    let (at, id) = place.ok_or_else(|| Error::poison("the key of a notice", key))?;
    Ok(NoticeAt { at, id })
}
