//! Homes that nobody reads get no rows.

use harness::dev_client::VISIT;
use serde_json::Value;
use tidings::model::Clock;

use crate::truth::{number, text};

/// Whether an item of a home is a visit and no row.
pub(crate) fn is_visit(item: &Value) -> bool {
    text(item, "SK") == VISIT
}

/// The keys of the homes, of these items of timelines, that are incomplete or that pushes leave out by now. Their pages
/// are complete, but their rows need not be.
pub(crate) fn lacking(items: &[Value]) -> impl Iterator<Item = &str> {
    let now = i64::try_from(Clock::system().now().as_ms()).unwrap_or(i64::MAX);
    let visits = items.iter().filter(|item| is_visit(item));
    let lacking = visits.filter(move |it| it.get("incomplete_since").is_some() || number(it, "pushed_until") < now);
    lacking.map(|item| text(item, "PK"))
}
