//! Reads and writes of what homes say about visits of their owners. It is in the table of the rows, and shares their
//! fate: a table that a rebuild fills has all rows and no visits.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    consistency::Consistency,
    dynamo::{Item, failed, n, newer_wins, primary_key, s, text},
    key::{self, PK, SK, VISIT},
    timelines::Timelines,
    visit_item::{INCOMPLETE_SINCE, PUSHED_UNTIL, WALK_BEGAN, visit},
};
use crate::{
    error::Error,
    model::{Timestamp, UserId, Visit},
};

/// Homes that are made to say something at once.
const PUTS_AT_ONCE: usize = 16;

impl Timelines {
    /// What this home says.
    pub(crate) async fn visit(&self, viewer: &UserId, consistency: Consistency) -> Result<Option<Visit>, Error> {
        let request = self.dynamo.0.get_item().table_name(self.table.get());
        let request = request.key(PK, s(key::home(viewer))).key(SK, s(VISIT)).consistent_read(consistency.is_strong());
        let item = request.send().await.map_err(failed("reading a visit"))?.item;
        item.as_ref().map(visit).transpose()
    }

    /// What each of these homes says that says something. What makes no sense says nothing, so that the homes of others
    /// do not wait for it.
    pub(crate) async fn visits(
        &self,
        viewers: impl Iterator<Item = &UserId>,
        consistency: Consistency,
    ) -> Result<HashMap<UserId, Visit>, Error> {
        let keys = viewers.map(|viewer| primary_key(key::home(viewer), VISIT)).collect();
        let found = self.dynamo.batch_get(self.table.get(), keys, consistency).await?;
        let of_viewer = |item: Item| {
            let viewer = key::parse_user(text(&item, PK)?, key::HOME_PREFIX);
            let viewer = viewer.ok_or_else(|| Error::poison("a visit", "its key names no user"))?;
            Ok((viewer, visit(&item)?))
        };
        let readable = |read: Result<_, Error>| match read {
            Err(error @ Error::Poison { .. }) => {
                tracing::error!(%error, "a visit makes no sense, and is passed over");
                None
            }
            read => Some(read),
        };
        found.into_iter().map(of_viewer).filter_map(readable).collect()
    }

    /// Makes these homes say this, unless they say something already.
    pub(crate) async fn put_visits(&self, viewers: &[UserId], visit: &Visit) -> Result<(), Error> {
        let put = |viewer: &UserId| {
            let request = self.dynamo.0.update_item().table_name(self.table.get());
            let request = request
                .key(PK, s(key::home(viewer)))
                .key(SK, s(VISIT))
                .update_expression(format!("SET {PUSHED_UNTIL} = :until, author = :author"))
                .condition_expression("attribute_not_exists(PK)")
                .expression_attribute_values(":until", n(visit.pushed_until.as_ms()))
                .expression_attribute_values(":author", s(viewer.as_str()));
            async { request.send().await.map(drop).or_else(newer_wins("writing a visit")) }
        };
        stream::iter(viewers).map(put).buffer_unordered(PUTS_AT_ONCE).try_collect().await
    }

    /// Replaces what a home says, unless it says something else by now.
    pub(crate) async fn change_visit(&self, viewer: &UserId, before: &Visit, after: &Visit) -> Result<bool, Error> {
        let optional = |name: &str, value: Option<Timestamp>| match value {
            Some(_) => format!("{name} = :{name}_before"),
            None => format!("attribute_not_exists({name})"),
        };
        let conditions = [
            format!("{PUSHED_UNTIL} = :{PUSHED_UNTIL}_before"),
            optional(INCOMPLETE_SINCE, before.incomplete_since),
            optional(WALK_BEGAN, before.walk_began),
        ];
        let mut request = self.dynamo.0.update_item().table_name(self.table.get());
        request = request.key(PK, s(key::home(viewer))).key(SK, s(VISIT));
        let attributes = |visit: &Visit| {
            [
                (PUSHED_UNTIL, Some(visit.pushed_until)),
                (INCOMPLETE_SINCE, visit.incomplete_since),
                (WALK_BEGAN, visit.walk_began),
            ]
        };
        for (name, value) in attributes(before) {
            if let Some(value) = value {
                request = request.expression_attribute_values(format!(":{name}_before"), n(value.as_ms()));
            }
        }
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        for (name, value) in attributes(after) {
            match value {
                Some(value) => {
                    set.push(format!("{name} = :{name}"));
                    request = request.expression_attribute_values(format!(":{name}"), n(value.as_ms()));
                }
                None => removed.push(name),
            }
        }
        let remove = if removed.is_empty() { String::new() } else { format!(" REMOVE {}", removed.join(", ")) };
        request = request
            .update_expression(format!("SET {}{remove}", set.join(", ")))
            .condition_expression(conditions.join(" AND "));
        match request.send().await.map_err(failed("writing a visit")) {
            Ok(_) => Ok(true),
            Err(Error::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes what a home says.
    pub(super) async fn remove_visit(&self, viewer: &UserId) -> Result<(), Error> {
        let request = self.dynamo.0.delete_item().table_name(self.table.get());
        let request = request.key(PK, s(key::home(viewer))).key(SK, s(VISIT));
        request.send().await.map(drop).map_err(failed("deleting a visit"))
    }
}
