//! What another value of a parameter, or another design, would change: the same bill with one thing changed.

use aws_limits::prices::Prices;

use super::{Bill, Design, Load, Settings, Units};

/// Other values of parameters.
const PARAMETERS: [&str; 6] = [
    "StatisticsDays=400",
    "SearchDays=30",
    "CacheUrl=rediss://…",
    "FeedProvisioned=10",
    "AuditUnitsPerHour=1000000",
    "LogRetentionDays=365",
];
/// Utilisation of capacity that auto scaling aims at, as AWS's console proposes.
const SCALING_TARGET: f64 = 0.7;

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
        (
            format!("Timelines and Cards provisioned, {:.0} % of it used", SCALING_TARGET * 100.0),
            Design { provisioned_use: Some(SCALING_TARGET), ..built.clone() },
        ),
    ];
    let all = Design { pushed_share, metrics_share, ..built.clone() };
    let with_scaling = Design { provisioned_use: Some(SCALING_TARGET), ..all.clone() };
    designs.push(("the first two together".to_owned(), all));
    designs.push(("all three together".to_owned(), with_scaling.clone()));
    let before = Bill::of(load, settings, &built, units, prices)?.total();
    let mut changes = Vec::new();
    for (what, design) in designs {
        let total = Bill::of(load, settings, &design, units, prices)?.total();
        changes.push(Change { what, more: total - before, total });
    }
    let cached = settings.clone().with("CacheUrl=rediss://…")?;
    let total = Bill::of(load, &cached, &with_scaling, units, prices)?.total();
    let what = format!("all three, and CacheUrl, which has {} % of the cards", load.shared_cache_hits);
    changes.push(Change { what, more: total - before, total });
    Ok(changes)
}
