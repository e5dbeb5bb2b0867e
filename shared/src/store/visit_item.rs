//! What a home says about visits of its owner: an item behind the rows of the home, so that whoever reads the newest
//! rows reads it, too. It has an author, as every row has.

use super::{
    dynamo::{Item, number, text},
    key::{SK, VISIT},
};
use crate::{
    error::Error,
    model::{Timestamp, Visit},
};

pub(super) const PUSHED_UNTIL: &str = "pushed_until";
pub(super) const INCOMPLETE_SINCE: &str = "incomplete_since";
pub(super) const WALK_BEGAN: &str = "walk_began";

/// Whether an item of a home is a visit and no row.
pub(super) fn is_visit(item: &Item) -> bool {
    text(item, SK).is_ok_and(|sk| sk == VISIT)
}

pub(super) fn visit(item: &Item) -> Result<Visit, Error> {
    let optional = |name| match item.contains_key(name) {
        true => number(item, name).map(Timestamp::from_ms).map(Some),
        false => Ok(None),
    };
    Ok(Visit {
        pushed_until: Timestamp::from_ms(number(item, PUSHED_UNTIL)?),
        incomplete_since: optional(INCOMPLETE_SINCE)?,
        walk_began: optional(WALK_BEGAN)?,
    })
}
