//! What other values of parameters would change: the same bill with one thing changed.

use aws_limits::prices::Prices;

use super::{Bill, Load, Settings, Units};

/// Other values of parameters.
const PARAMETERS: [&str; 12] = [
    "StatisticsDays=400",
    "SearchDays=30",
    CACHE,
    "FeedProvisioned=10",
    "LikesProvisioned=10",
    "AuditUnitsPerHour=1000000",
    "LogRetentionDays=365",
    "EnhancedFanOut=true",
    "DormantDays=0",
    FEED_URL,
    CAPACITY,
    COMMANDS_CAPACITY,
];
/// A shared cache.
const CACHE: &str = "CacheUrl=rediss://…";
/// An address for feeds beside that of the API.
const FEED_URL: &str = "FeedUrl=true";
/// Capacity in place of requests, of read models and of commands.
const CAPACITY: &str = "ProvisionedUnits=25";
const COMMANDS_CAPACITY: &str = "CommandsProvisionedUnits=25";

/// Another bill.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// What is changed.
    pub(crate) what: String,
    /// Dollars a month more.
    pub(crate) more: f64,
    /// Dollars a month in all.
    pub(crate) total: f64,
}

/// What other values of the template's parameters change.
///
/// # Errors
/// As [`Bill::of`].
pub(crate) fn of_parameters(
    load: &Load,
    settings: &Settings,
    units: &Units,
    prices: &Prices,
) -> anyhow::Result<Vec<Change>> {
    let before = Bill::of(load, settings, units, prices)?.total();
    let change = |parameter: &&str| {
        let total = Bill::of(load, &settings.clone().with(parameter)?, units, prices)?.total();
        let hits = format!(", which has {} % of the cards", load.shared_cache_hits);
        let of_cache = if parameter.starts_with("CacheUrl") { &hits } else { "" };
        Ok(Change { what: format!("{parameter}{of_cache}"), more: total - before, total })
    };
    PARAMETERS.iter().map(change).collect()
}

/// What several values of parameters change at once.
///
/// # Errors
/// As [`Bill::of`].
pub(crate) fn of_several(
    load: &Load,
    settings: &Settings,
    units: &Units,
    prices: &Prices,
) -> anyhow::Result<Vec<Change>> {
    let before = Bill::of(load, settings, units, prices)?.total();
    let capacity = settings.clone().with(CAPACITY)?.with(COMMANDS_CAPACITY)?;
    let with_url = capacity.clone().with(FEED_URL)?;
    let with_cache = with_url.clone().with(CACHE)?;
    let both = format!("{CAPACITY}, {COMMANDS_CAPACITY}");
    let url = format!("both, and {FEED_URL}");
    let cache = format!("all three, and CacheUrl, which has {} % of the cards", load.shared_cache_hits);
    let change = |(what, settings): (String, Settings)| {
        let total = Bill::of(load, &settings, units, prices)?.total();
        Ok(Change { what, more: total - before, total })
    };
    [(both, capacity), (url, with_url), (cache, with_cache)].into_iter().map(change).collect()
}
