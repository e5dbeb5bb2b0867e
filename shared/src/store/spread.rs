//! What is spread over several partitions ([`PartitionShard`]): the followers of a user, the comments on a post, and
//! the notices of follows and likes ([`super::spread_notices`]). A mark says so. It stands in the first partition, and
//! is there before the first item in another one is written. So whoever reads the mark, before or together with the
//! items of the first partition, misses no item that was written before.

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};

use super::{
    command_table::CommandTable,
    consistency::Consistency,
    dynamo::{failed, s, send_transaction},
    key::{self, PK, SK},
    transaction::Change,
};
use crate::{
    error::Error,
    model::{EdgeKind, PartitionShard, TallySubject, Timestamp, UserId},
};

/// Sort key of a mark in the command table. Among followers, it stands before all of them.
pub(super) const SPREAD: &str = "SPREAD";

impl CommandTable {
    /// Whether the followers of this user, or the comments on this post, stand in several partitions.
    pub(crate) async fn is_spread(&self, subject: &TallySubject, consistency: Consistency) -> Result<bool, Error> {
        let get = self.dynamo.0.get_item().table_name(&self.table).key(PK, s(partition(subject))).key(SK, s(SPREAD));
        let answer = get.consistent_read(consistency.is_strong()).send().await.map_err(failed("reading a mark"))?;
        Ok(answer.item.is_some())
    }

    /// Whether the user or post is marked, as this process knows or now reads. A mark stays, so whoever has seen it
    /// needs not look again soon.
    pub(crate) async fn is_marked(&self, subject: &TallySubject, now: Timestamp) -> Result<bool, Error> {
        let is_known = self.busy.is_marked(subject, now);
        if !is_known && self.is_spread(subject, Consistency::Eventual).await? {
            self.busy.know_marked(subject, now);
            return Ok(true);
        }
        Ok(is_known)
    }

    /// Marks the users and posts whose followers and comments these changes spread.
    ///
    /// # Errors
    /// [`Error::Conflict`] also if the partition takes no more at this moment; otherwise as DynamoDB's.
    pub(super) async fn mark_spread(&self, changes: &[Change], now: Timestamp) -> Result<(), Error> {
        for subject in changes.iter().filter_map(spread_by) {
            // Of the many processes that spread one, most find the mark. If all of them wrote it, they would collide.
            if self.is_marked(&subject, now).await? {
                continue;
            }
            // Filters of present follows let it pass.
            let active = AttributeValue::Bool(true);
            let put = Put::builder().table_name(&self.table).item(PK, s(partition(&subject))).item(SK, s(SPREAD));
            let put = put.item("active", active).build().map_err(|error| Error::poison("a mark", error))?;
            let put = TransactWriteItem::builder().put(put).build();
            send_transaction(self.dynamo.0.transact_write_items().transact_items(put)).await?;
            self.busy.know_marked(&subject, now);
        }
        Ok(())
    }

    /// Removes the mark of a user who has no followers any more, and never will. That of a post stays, because a late
    /// comment may come after the post is gone, and has to be found.
    pub async fn remove_spread_mark(&self, user: &UserId) -> Result<(), Error> {
        let partition = partition(&TallySubject::User(user.clone()));
        let delete = self.dynamo.0.delete_item().table_name(&self.table).key(PK, s(partition)).key(SK, s(SPREAD));
        delete.send().await.map(|_| ()).map_err(failed("erasing an account"))
    }
}

/// Whose followers or comments a change spreads.
fn spread_by(change: &Change) -> Option<TallySubject> {
    match change {
        Change::PutEdge { key, edge, .. } if key.kind == EdgeKind::Follows && edge.active && !edge.shard.is_first() => {
            Some(TallySubject::User(key.to.clone()))
        }
        Change::CreateComment(comment) if !comment.shard.is_first() => Some(TallySubject::Post(comment.post)),
        _ => None,
    }
}

/// The first partition, in which the mark stands.
fn partition(subject: &TallySubject) -> String {
    match subject {
        TallySubject::User(user) => key::followers(user, PartitionShard::default()),
        TallySubject::Post(post) => key::post(*post),
    }
}

/// A page of items in their order, of one partition or of several.
#[derive(Debug)]
pub(super) struct ItemPage<Item, Place> {
    pub(super) items: Vec<Item>,
    /// The place behind which there may be more.
    pub(super) next: Option<Place>,
}

/// One page of the pages of several partitions: as far as none of them ends before its partition does. It has at most
/// `limit` items; a limit of 0 counts as 1.
pub(super) fn merged<Item, Place: Ord>(
    pages: impl IntoIterator<Item = ItemPage<Item, Place>>,
    limit: usize,
    place: impl Fn(&Item) -> Place,
) -> ItemPage<Item, Place> {
    let (mut items, mut next) = (Vec::new(), None::<Place>);
    for page in pages {
        items.extend(page.items);
        next = match (next, page.next) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    items.retain(|item| next.as_ref().is_none_or(|next| place(item) <= *next));
    items.sort_by_cached_key(&place);
    if items.len() > limit.max(1) {
        items.truncate(limit.max(1));
        next = items.last().map(&place);
    }
    ItemPage { items, next }
}
