//! The open parts of demotions, in the command table. The parts of a demotion run in parallel, and the last one to be
//! done ends the demotion. Each open part is an item, so that opening and closing a part twice changes nothing.

use super::{
    command_table::CommandTable,
    dynamo::{failed, n, s},
    key::{self, PK, SK},
};
use crate::{
    error::Error,
    model::{Timestamp, UserId, limits::FEED_AGE_MAX},
};

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
    /// Opens a part of the demotion that began at this moment.
    ///
    /// An item that a late worker leaves behind expires. It belongs to this demotion only, and keeps no other one from
    /// its end.
    pub async fn open_demotion_part(
        &self,
        author: &UserId,
        begun_at: Timestamp,
        part: DemotionPart<'_>,
    ) -> Result<(), Error> {
        self.dynamo
            .0
            .update_item()
            .table_name(&self.table)
            .key(PK, s(key::demotion(author, begun_at)))
            .key(SK, s(part.key()))
            .update_expression("SET expires_at = :expiry")
            .expression_attribute_values(":expiry", n(begun_at.after(2 * FEED_AGE_MAX).as_secs()))
            .send()
            .await
            .map(|_| ())
            .map_err(failed("opening a part of a demotion"))
    }

    /// Closes a part of the demotion that began at this moment. Returns whether no part is open any more.
    pub async fn close_demotion_part(
        &self,
        author: &UserId,
        begun_at: Timestamp,
        part: DemotionPart<'_>,
    ) -> Result<bool, Error> {
        let demotion = key::demotion(author, begun_at);
        let deletion = self.dynamo.0.delete_item().table_name(&self.table);
        let deleted = deletion.key(PK, s(&demotion)).key(SK, s(part.key())).send().await;
        deleted.map_err(failed("closing a part of a demotion"))?;
        let query = self.dynamo.0.query().table_name(&self.table);
        let open = query
            .key_condition_expression("PK = :demotion")
            .expression_attribute_values(":demotion", s(demotion))
            .limit(1)
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("reading the open parts of a demotion"))?;
        Ok(open.items().is_empty())
    }
}
