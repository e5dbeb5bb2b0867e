//! The parts of demotions, in the command table. The parts of a demotion run in parallel, and the last one to be done
//! ends the demotion. Each open part is an item, so that opening and closing a part twice changes nothing.
//!
//! A part that was closed is never opened again. A late copy of a step would open it, and the mark of its run may end
//! that copy before it comes to closing the part ([`super::runs`]). So closing a part leaves an item. It stands in a
//! partition of its own: one item is read to learn whether any part is open, however many were closed. Its key is a
//! hash, so that it names no user whose account may be erased.

use aws_sdk_dynamodb::{
    error::BuildError,
    types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update},
};

use super::{
    command_table::CommandTable,
    dynamo::{failed, n, primary_key, s},
    key::{self, PK, SK},
    timelines::{CONFLICTS, past_transactions},
};
use crate::{
    error::Error,
    model::{Timestamp, UserId, limits::FEED_AGE_MAX},
};

/// The sort key of what is left of all closed parts.
const CLOSED: &str = "PART";

/// A part of a demotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemotionPart<'a> {
    /// The enumeration of the followers.
    Enumeration,
    /// The homes of one step of the enumeration: of the followers behind this one, or of the first ones. A step that is
    /// repeated has the same part, also if followers have come or gone.
    Homes(Option<&'a UserId>),
}

impl DemotionPart<'_> {
    fn key(self) -> String {
        match self {
            Self::Enumeration => key::ENUMERATION.to_owned(),
            Self::Homes(None) => key::HOMES_PREFIX.to_owned(),
            Self::Homes(Some(after)) => format!("{}{after}", key::HOMES_PREFIX),
        }
    }
}

impl CommandTable {
    /// Opens a part of the demotion that began at this moment, unless it was closed before.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other workers kept opening and closing the part; otherwise as DynamoDB's.
    pub async fn open_demotion_part(
        &self,
        author: &UserId,
        begun_at: Timestamp,
        part: DemotionPart<'_>,
    ) -> Result<(), Error> {
        let keys = Keys::of(author, begun_at, part);
        let never_closed = ConditionCheck::builder()
            .table_name(&self.table)
            .key(PK, s(&keys.closed))
            .key(SK, s(CLOSED))
            .condition_expression("attribute_not_exists(PK)")
            .build()
            .map_err(wrong)?;
        let open = Update::builder()
            .table_name(&self.table)
            .key(PK, s(&keys.demotion))
            .key(SK, s(&keys.part))
            .update_expression("SET expires_at = :expiry")
            .expression_attribute_values(":expiry", expiry(begun_at))
            .build()
            .map_err(wrong)?;
        let writes = vec![
            TransactWriteItem::builder().condition_check(never_closed).build(),
            TransactWriteItem::builder().update(open).build(),
        ];
        let mut retries = CONFLICTS.start();
        loop {
            match self.dynamo.transact(writes.clone()).await {
                // Either the part was closed, or another worker opens or closes it at this moment.
                Err(Error::Conflict) if self.is_closed(&keys).await? => return Ok(()),
                Err(Error::Conflict) if retries.wait().await => {}
                written => return written,
            }
        }
    }

    /// Closes a part of the demotion that began at this moment. Returns whether no part is open any more.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other workers kept opening and closing the part; otherwise as DynamoDB's.
    pub async fn close_demotion_part(
        &self,
        author: &UserId,
        begun_at: Timestamp,
        part: DemotionPart<'_>,
    ) -> Result<bool, Error> {
        let keys = Keys::of(author, begun_at, part);
        let open = Delete::builder()
            .table_name(&self.table)
            .key(PK, s(&keys.demotion))
            .key(SK, s(&keys.part))
            .build()
            .map_err(wrong)?;
        let closed = Put::builder()
            .table_name(&self.table)
            .item(PK, s(&keys.closed))
            .item(SK, s(CLOSED))
            .item("expires_at", expiry(begun_at))
            .build()
            .map_err(wrong)?;
        let writes =
            vec![TransactWriteItem::builder().delete(open).build(), TransactWriteItem::builder().put(closed).build()];
        past_transactions(async || self.dynamo.transact(writes.clone()).await).await?;
        let query = self.dynamo.0.query().table_name(&self.table);
        let open = query
            .key_condition_expression("PK = :demotion")
            .expression_attribute_values(":demotion", s(keys.demotion))
            .limit(1)
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("reading the open parts of a demotion"))?;
        Ok(open.items().is_empty())
    }

    async fn is_closed(&self, keys: &Keys) -> Result<bool, Error> {
        let request = self.dynamo.0.get_item().table_name(&self.table).consistent_read(true);
        let answer = request.set_key(Some(primary_key(&keys.closed, CLOSED))).send().await;
        Ok(answer.map_err(failed("reading a part of a demotion"))?.item.is_some())
    }
}

/// Where a part stands.
struct Keys {
    /// The partition of the open parts of the demotion.
    demotion: String,
    /// The sort key of the part there.
    part: String,
    /// The partition of what is left of the part once it is closed.
    closed: String,
}

impl Keys {
    fn of(author: &UserId, begun_at: Timestamp, part: DemotionPart<'_>) -> Self {
        let (demotion, part) = (key::demotion(author, begun_at), part.key());
        let closed = key::closed_part(&demotion, &part);
        Self { demotion, part, closed }
    }
}

/// When the items of a demotion that began at this moment expire: long after its last message has left the queue.
fn expiry(begun_at: Timestamp) -> AttributeValue {
    n(begun_at.after(2 * FEED_AGE_MAX).as_secs())
}

fn wrong(error: BuildError) -> Error {
    Error::poison("a part of a demotion", error)
}
