//! Reading the whole command table in segments: a rebuild learns from it what there is.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    command_table::{CommandTable, PROFILE},
    dynamo::{Item, failed, s, text, value},
    key::{self, PK, SK},
    scan::ScanKey,
};
use crate::{
    error::Error,
    model::{EdgeKind, PostId, TallyChange, TallyImage, UserId},
};

/// A part of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 0 on.
    pub segment: u32,
    /// The number of parts.
    pub of: u32,
}

impl Part {
    pub(super) fn number(self) -> i32 {
        i32::try_from(self.segment).unwrap_or(i32::MAX)
    }

    pub(super) fn total(self) -> i32 {
        i32::try_from(self.of).unwrap_or(i32::MAX)
    }
}

/// An item of the command table from which a read model is rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebuildItem {
    /// A user, whose log is to be applied.
    User(UserId),
    /// A shard of a counter.
    Tally(TallyChange),
    /// A follow: the follower, and the followee.
    Follow(UserId, UserId),
    /// A like, or one that has ended: the user, and the post.
    Like(UserId, PostId),
}

/// Some of these items, each with its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RebuildPage {
    /// The items. One that makes no sense is an error of its own.
    pub items: Vec<(ScanKey, Result<RebuildItem, String>)>,
    /// The item behind which the next page begins, if there may be one.
    pub next: Option<ScanKey>,
}

impl CommandTable {
    /// Those among at most `limit` items of this part of the table, from the one behind `after`.
    ///
    /// The read is eventually consistent. Whoever writes such an item while a rebuild reads makes a hint of it, too.
    /// The rebuild begins long after the first such hint was followed.
    pub async fn rebuild_items(&self, part: Part, after: Option<&ScanKey>, limit: i32) -> Result<RebuildPage, Error> {
        let answer = self
            .dynamo
            .0
            .scan()
            .table_name(&self.table)
            .segment(part.number())
            .total_segments(part.total())
            .filter_expression(
                "SK = :profile OR SK = :tally OR begins_with(SK, :likes) OR \
                 (begins_with(SK, :follows) AND #active = :true)",
            )
            .expression_attribute_names("#active", "active")
            .expression_attribute_values(":profile", s(PROFILE))
            .expression_attribute_values(":tally", s(key::TALLY))
            .expression_attribute_values(":likes", s(key::LIKES_PREFIX))
            .expression_attribute_values(":follows", s(key::edge_prefix(EdgeKind::Follows)))
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .set_exclusive_start_key(after.map(ScanKey::item))
            .limit(limit)
            .send()
            .await
            .map_err(failed("reading the command table"))?;
        let next = answer.last_evaluated_key().map(ScanKey::of).transpose()?;
        let items = answer.items.unwrap_or_default().into_iter();
        let items = items.map(|item| Ok((ScanKey::of(&item)?, rebuild_item(item).map_err(|error| error.to_string()))));
        Ok(RebuildPage { items: items.collect::<Result<_, Error>>()?, next })
    }
}

fn rebuild_item(item: Item) -> Result<RebuildItem, Error> {
    let (pk, sk) = (text(&item, PK)?.to_owned(), text(&item, SK)?.to_owned());
    let wrong = || Error::poison("an item of the command table", format!("its key is {pk}, {sk}"));
    if let Some((subject, shard)) = key::parse_tally_key(&pk, &sk) {
        let image: TallyImage = value("a shard of a counter", item)?;
        return Ok(RebuildItem::Tally(TallyChange { subject, shard, image }));
    }
    if let Some((user, post)) = key::parse_like_key(&pk, &sk) {
        return Ok(RebuildItem::Like(user, post));
    }
    let user = key::parse_user(&pk, key::USER_PREFIX).ok_or_else(wrong)?;
    if sk == PROFILE {
        return Ok(RebuildItem::User(user));
    }
    let followee = key::parse_user(&sk, key::edge_prefix(EdgeKind::Follows)).ok_or_else(wrong)?;
    Ok(RebuildItem::Follow(user, followee))
}
