//! What a user says about notifications, in the command table: up to when the user has seen them, and which kinds are
//! turned off. Nothing follows from it but what the user sees, so it is in no log.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    command_table::CommandTable,
    consistency::Consistency,
    dynamo::{Item, failed, n, newer_wins, number, primary_key},
    key,
};
use crate::{
    error::Error,
    model::{NotificationKind, Timestamp, UserId},
};

/// What a user says about notifications.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotificationSettings {
    /// What came up to this moment was seen.
    pub seen: Timestamp,
    /// The kinds that are turned off.
    pub off: BTreeSet<NotificationKind>,
}

impl CommandTable {
    /// What the user says about notifications.
    pub async fn notification_settings(
        &self,
        user: &UserId,
        consistency: Consistency,
    ) -> Result<NotificationSettings, Error> {
        let answer = self
            .dynamo
            .0
            .get_item()
            .table_name(&self.table)
            .set_key(Some(settings_key(user)))
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading the settings of notifications"))?;
        let item = answer.item.unwrap_or_default();
        let off = match item.get("off") {
            // A kind that only a newer release knows is passed over.
            Some(AttributeValue::Ss(names)) => names.iter().filter_map(|name| name.parse().ok()).collect(),
            _ => BTreeSet::new(),
        };
        Ok(NotificationSettings { seen: Timestamp::from_ms(number(&item, "seen")?), off })
    }

    /// The user has seen what came up to this moment. An earlier moment than the stored one changes nothing, so the
    /// devices of a user need no order.
    pub async fn put_notifications_seen(&self, user: &UserId, up_to: Timestamp) -> Result<(), Error> {
        self.dynamo
            .0
            .update_item()
            .table_name(&self.table)
            .set_key(Some(settings_key(user)))
            .update_expression("SET #seen = :seen")
            .condition_expression("attribute_not_exists(#seen) OR #seen < :seen")
            .expression_attribute_names("#seen", "seen")
            .expression_attribute_values(":seen", n(up_to.as_ms()))
            .send()
            .await
            .map(|_| ())
            .or_else(newer_wins("writing what was seen"))
    }

    /// Turns a kind of notifications off, or on again. Repeating this changes nothing.
    pub async fn turn_notifications(&self, user: &UserId, kind: NotificationKind, on: bool) -> Result<(), Error> {
        self.dynamo
            .0
            .update_item()
            .table_name(&self.table)
            .set_key(Some(settings_key(user)))
            .update_expression(if on { "DELETE #off :kind" } else { "ADD #off :kind" })
            .expression_attribute_names("#off", "off")
            .expression_attribute_values(":kind", AttributeValue::Ss(vec![kind.name().to_owned()]))
            .send()
            .await
            .map(|_| ())
            .map_err(failed("writing which notifications are off"))
    }
}

fn settings_key(user: &UserId) -> Item {
    primary_key(key::user(user), key::NOTIFICATIONS)
}
