//! What another value of a parameter, or another design, would change: the same bill with one thing changed.

use aws_limits::prices::Prices;

use super::{Bill, Design, Load, Settings, Units};

/// Other values of parameters.
const PARAMETERS: [&str; 9] = [
    "StatisticsDays=400",
    "SearchDays=30",
    "CacheUrl=rediss://…",
    "FeedProvisioned=10",
    "LikesProvisioned=10",
    "AuditUnitsPerHour=1000000",
    "LogRetentionDays=365",
    "EnhancedFanOut=true",
    CAPACITY,
];
/// Capacity in place of requests.
const CAPACITY: &str = "ProvisionedUnits=25";

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
    let before = Bill::of(load, settings, &Design::default(), units, prices)?.total();
    let change = |parameter: &&str| {
        let total = Bill::of(load, &settings.clone().with(parameter)?, &Design::default(), units, prices)?.total();
        let hits = format!(", which has {} % of the cards", load.shared_cache_hits);
        let of_cache = if parameter.starts_with("CacheUrl") { &hits } else { "" };
        Ok(Change { what: format!("{parameter}{of_cache}"), more: total - before, total })
    };
    PARAMETERS.iter().map(change).collect()
}

/// What another design would change. Nothing of it is built.
///
/// # Errors
/// As [`Bill::of`].
pub(crate) fn of_design(
    load: &Load,
    settings: &Settings,
    units: &Units,
    prices: &Prices,
) -> anyhow::Result<Vec<Change>> {
    let built = Design::default();
    let pushed_share = 1.0 - load.dormant / 100.0;
    let metrics_share = 0.1;
    let mut designs = vec![
        (
            format!("no rows for the {} % of followers who have not read for 30 days", load.dormant),
            Design { pushed_share, ..built.clone() },
        ),
        (
            format!("a line of metrics for {:.0} % of the pages", metrics_share * 100.0),
            Design { metrics_share, ..built.clone() },
        ),
    ];
    let both = Design { pushed_share, metrics_share, ..built.clone() };
    designs.push(("both together".to_owned(), both.clone()));
    let before = Bill::of(load, settings, &built, units, prices)?.total();
    let mut changes = Vec::new();
    let mut change = |what, settings: &Settings, design: &Design| {
        let total = Bill::of(load, settings, design, units, prices)?.total();
        changes.push(Change { what, more: total - before, total });
        anyhow::Ok(())
    };
    for (what, design) in designs {
        change(what, settings, &design)?;
    }
    let with_capacity = settings.clone().with(CAPACITY)?;
    change(format!("both, and {CAPACITY}"), &with_capacity, &both)?;
    let cached = with_capacity.with("CacheUrl=rediss://…")?;
    let hits = load.shared_cache_hits;
    change(format!("both, {CAPACITY}, and CacheUrl, which has {hits} % of the cards"), &cached, &both)?;
    Ok(changes)
}
