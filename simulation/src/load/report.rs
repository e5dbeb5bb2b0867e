//! What a scenario came to.

use std::{collections::BTreeMap, fmt, time::Duration};

use aws_limits::{Limits, prices::Prices};
use serde::{Deserialize, Serialize};

use super::{
    bill::{Span, dollars},
    population::Population,
    record::{Facts as Recorded, Recorder},
    scenario::Scenario,
};
pub use super::{
    record::{Kind, Whose},
    verify::Differences,
};
use crate::limits::Used;

/// What the report is made from.
pub(super) struct Facts<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) population: &'a Population,
    pub(super) recorder: &'a Recorder,
    /// The limits of the fraction.
    pub(super) limits: &'a Limits,
    /// GB of memory of the processes that are kept ready, of the whole.
    pub(super) ready_gb: f64,
    pub(super) counts_right: Option<Duration>,
    pub(super) caught_up: Option<Duration>,
    pub(super) differences: Option<Differences>,
    /// Messages in the quarantine.
    pub(super) quarantined: u64,
    pub(super) processor_ms: u64,
}

/// What a scenario came to. Rates, units and dollars are those of the whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The scenario.
    pub scenario: String,
    /// What it is.
    pub title: String,
    /// Which fraction of it was run.
    pub fraction: f64,
    /// For how long.
    pub seconds: u64,
    /// Requests of each kind.
    pub requests: BTreeMap<Kind, Requests>,
    /// Errors that callers saw, by kind, status and code.
    pub errors: BTreeMap<String, u64>,
    /// What was throttled while requests were sent, and how often a second. Most of it was tried again with success.
    pub throttled: BTreeMap<String, f64>,
    /// What was throttled after the last request, and how often in all.
    pub throttled_later: BTreeMap<String, f64>,
    /// Read and write units a second of each table and index, while requests were sent.
    pub units: BTreeMap<String, [f64; 2]>,
    /// Time from a post to its row, in milliseconds.
    pub lag_ms: BTreeMap<Whose, Times>,
    /// The same before the special load, and during it.
    pub lag_before_and_during_ms: Option<[Times; 2]>,
    /// How far the most belated count of likes or comments was behind, in milliseconds.
    pub count_behind_ms: Option<Times>,
    /// Time until all counts were right after the last request, in seconds, if the scenario asks.
    pub counts_right_after_s: Option<f64>,
    /// Time until everything was at rest after the last request, in seconds.
    pub rest_after_s: Option<f64>,
    /// What is wrong at rest.
    pub differences: Option<Differences>,
    /// Messages in the quarantine.
    pub quarantined: u64,
    /// How much of each limit was used in the busiest ten seconds.
    pub used: Vec<Use>,
    /// Dollars of an hour, as long as requests are sent.
    pub dollars_per_hour: BTreeMap<String, f64>,
    /// Dollars of all that came after the last request.
    pub dollars_later: f64,
    /// Date of the prices.
    pub prices_of: String,
    /// What has to be, and whether it is.
    pub verdicts: Vec<Verdict>,
    /// Second by second: requests answered, requests failed, throttled, lag in ms, read units, write units, messages.
    pub by_second: Vec<[f64; 7]>,
    /// Processor time of the run.
    pub processor_s: f64,
}

/// Requests of a kind.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Requests {
    /// Succeeded, a second.
    pub per_second: f64,
    /// Failed, a second.
    pub failed_per_second: f64,
    /// Time of those that succeeded, in milliseconds.
    pub ms: Times,
}

/// A distribution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// How many there were.
    pub count: u64,
    /// Median.
    pub p50: f64,
    /// 99 of 100 are at most so large.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// How much of a limit was used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Use {
    /// Which limit.
    pub what: String,
    /// Most a second, in the busiest ten seconds. Of concurrent invocations and of requests: in the busiest second.
    pub peak: f64,
    /// The limit.
    pub limit: f64,
}

/// A requirement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verdict {
    /// What has to be.
    pub requirement: String,
    /// What is.
    pub measured: String,
    /// Whether it is met.
    pub met: bool,
}

impl Times {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: usize| values.get((values.len() * share / 100).min(values.len().saturating_sub(1))).copied();
        Self {
            count: values.len() as u64,
            p50: at(50).unwrap_or_default(),
            p99: at(99).unwrap_or_default(),
            max: values.last().copied().unwrap_or_default(),
        }
    }
}

impl Use {
    /// Share of the limit.
    pub fn share(&self) -> f64 {
        self.peak / self.limit.max(f64::MIN_POSITIVE)
    }
}

impl Report {
    pub(super) fn new(facts: Facts<'_>) -> Self {
        let recorded = facts.recorder.facts();
        let scenario = facts.scenario;
        let seconds = as_float(scenario.seconds);
        let whole = |count: f64| count / seconds / scenario.fraction;
        let mut kinds: BTreeMap<Kind, (f64, f64, Vec<f64>)> = BTreeMap::new();
        for (kind, times) in &recorded.times {
            let ms = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect::<Vec<_>>();
            kinds.insert(*kind, (as_float(ms.len() as u64), 0.0, ms));
        }
        for ((kind, _, _), count) in &recorded.errors {
            kinds.entry(*kind).or_default().1 += as_float(*count);
        }
        let requests = kinds.into_iter().map(|(kind, (done, failed, ms))| {
            let requests = Requests { per_second: whole(done), failed_per_second: whole(failed), ms: Times::of(ms) };
            (kind, requests)
        });
        let requests: BTreeMap<_, _> = requests.collect();
        let lags = |whose: Whose, seconds: std::ops::Range<u64>| {
            let of = recorded.lags.iter().filter(|lag| lag.whose == whose && seconds.contains(&lag.second));
            Times::of(of.map(|lag| as_float(lag.ms)).collect())
        };
        let lag_ms = [Whose::Rows, Whose::Announcements, Whose::Rising].map(|whose| (whose, lags(whose, 0..u64::MAX)));
        let special = scenario.special.map(|special| special.from_second);
        let count = (!recorded.counts_behind_ms.is_empty())
            .then(|| Times::of(recorded.counts_behind_ms.iter().map(|ms| as_float(*ms)).collect()));
        let of_load = &recorded.of_load;
        let an_hour = Span { hours: 1.0, times: 3600.0 / seconds / scenario.fraction };
        let used_before = &facts.population.used_before;
        let bill = dollars(of_load, used_before, facts.limits, facts.ready_gb, an_hour);
        let later = recorded.totals.since(of_load);
        let rest = facts.caught_up.unwrap_or_default().as_secs_f64() / 3600.0;
        let rest = Span { hours: rest, times: 1.0 / scenario.fraction };
        let used_by_load = of_load.used.as_ref().unwrap_or(used_before);
        let dollars_later = dollars(&later, used_by_load, facts.limits, facts.ready_gb, rest).into_values().sum();
        let throttled_later = later.throttled.into_iter();
        let by_second = recorded.seconds.iter().map(|second| {
            let part = scenario.fraction;
            let [answered, failed, throttled] =
                [second.answered, second.failed, second.throttled].map(|count| as_float(count) / part);
            let [reads, writes] = second.units.map(|units| units / part);
            [answered, failed, throttled, as_float(second.lag_ms), reads, writes, as_float(second.queued) / part]
        });
        let errors = recorded.errors.iter().map(|((kind, status, code), count)| {
            (format!("{} {status} {code}", format!("{kind:?}").to_lowercase()), *count)
        });
        let mut report = Self {
            scenario: scenario.name.clone(),
            title: scenario.title.clone(),
            fraction: scenario.fraction,
            seconds: scenario.seconds,
            requests,
            errors: errors.collect(),
            throttled: of_load.throttled.iter().map(|(what, count)| (what.clone(), whole(as_float(*count)))).collect(),
            throttled_later: throttled_later.map(|(what, count)| (what, as_float(count) / scenario.fraction)).collect(),
            units: units(of_load.used.as_ref(), used_before).map(|(table, units)| (table, units.map(whole))).collect(),
            lag_ms: lag_ms.into_iter().filter(|(_, times)| times.count > 0).collect(),
            lag_before_and_during_ms: special
                .map(|from| [lags(Whose::Rows, 2..from), lags(Whose::Rows, from..scenario.seconds)]),
            count_behind_ms: count,
            counts_right_after_s: facts.counts_right.map(|time| time.as_secs_f64()),
            rest_after_s: facts.caught_up.map(|time| time.as_secs_f64()),
            differences: facts.differences,
            quarantined: facts.quarantined,
            used: uses(&recorded, facts.limits, scenario.fraction),
            dollars_per_hour: bill,
            dollars_later,
            prices_of: Prices::load().map(|prices| prices.date).unwrap_or_default(),
            verdicts: Vec::new(),
            by_second: by_second.collect(),
            processor_s: as_float(facts.processor_ms) / 1000.0,
        };
        report.verdicts = verdicts(&report, scenario);
        report
    }
}

/// What was used of each table and index since an earlier moment: read and write units.
fn units<'a>(now: Option<&'a Used>, before: &'a Used) -> impl Iterator<Item = (String, [f64; 2])> + 'a {
    let tables = now.into_iter().flat_map(|now| now.tables.iter().zip(&before.tables));
    let used = tables.map(|(now, before)| {
        let units = [now.read_units - before.read_units, now.write_units - before.write_units];
        (now.name.trim_start_matches("tidings-").to_owned(), units)
    });
    used.filter(|(_, units)| *units != [0.0; 2])
}

/// Limits, the most used ones first.
fn uses(recorded: &Recorded, limits: &Limits, fraction: f64) -> Vec<Use> {
    let mut uses = Vec::new();
    let mut add = |what: String, peak: f64, limit: f64| {
        if peak > 0.0 {
            uses.push(Use { what, peak: peak / fraction, limit: limit / fraction });
        }
    };
    let Some(used) = &recorded.totals.used else { return uses };
    for usage in &used.tables {
        let [reads, writes] = recorded.peaks.get(&usage.name).copied().unwrap_or_default();
        let name = usage.name.trim_start_matches("tidings-");
        add(format!("{name}, read units/s"), reads, usage.read_limit);
        add(format!("{name}, write units/s"), writes, usage.write_limit);
    }
    let shards = f64::from(limits.stream_shards);
    add("bus, records/s".to_owned(), recorded.bus_peak[0], shards * limits.shard_write_records);
    if !limits.enhanced_fan_out {
        add("bus, bytes read/s".to_owned(), recorded.bus_peak[1], shards * limits.shard_read_bytes);
    }
    add("concurrent invocations".to_owned(), f64::from(used.concurrency), limits.concurrency);
    let requests = recorded.seconds.iter().map(|second| second.answered).max().unwrap_or_default();
    add("API requests/s".to_owned(), as_float(requests), limits.api_requests);
    uses.sort_by(|a, b| b.share().total_cmp(&a.share()));
    uses
}

fn verdicts(report: &Report, scenario: &Scenario) -> Vec<Verdict> {
    let requires = scenario.requires;
    let mut verdicts = Vec::new();
    let mut add = |requirement: String, measured: String, met: bool| {
        verdicts.push(Verdict { requirement, measured, met });
    };
    let within = |value: Option<f64>, most: f64| value.is_some_and(|value| value <= most);
    if requires.no_errors {
        let failed: f64 = report.requests.values().map(|requests| requests.failed_per_second).sum();
        add("no errors to callers".to_owned(), format!("{failed:.1} errors/s"), failed == 0.0);
    }
    if let Some(most) = requires.lag_p99_s {
        let lag = report.lag_ms.get(&Whose::Rows).map(|times| times.p99 / 1000.0);
        add(format!("lag p99 ≤ {most} s"), format!("{:.2} s", lag.unwrap_or_default()), within(lag, most));
    }
    if let Some(most) = requires.page_p99_ms {
        let page = report.requests.get(&Kind::Read).map(|requests| requests.ms.p99);
        add(format!("page p99 ≤ {most} ms"), format!("{:.0} ms", page.unwrap_or_default()), within(page, most));
    }
    if let Some(most) = requires.count_behind_s {
        if let Some(behind) = report.count_behind_ms {
            let behind = behind.max / 1000.0;
            add(format!("counts ≤ {most} s behind"), format!("{behind:.1} s"), behind <= most);
        }
        let right = report.counts_right_after_s;
        add(format!("counts exact ≤ {most} s after the last request"), seconds(right), within(right, most));
    }
    if let (Some(most), Some([before, during])) = (requires.lag_growth, report.lag_before_and_during_ms) {
        let growth = during.p99 / before.p99.max(1.0);
        let measured = format!("{growth:.2} times ({:.0} → {:.0} ms)", before.p99, during.p99);
        add(format!("others' lag p99 grows at most {most} times"), measured, during.count > 0 && growth <= most);
    }
    if let Some(most) = requires.rest_within_s {
        let rest = report.rest_after_s;
        add(format!("everything catches up within {most} s"), seconds(rest), within(rest, most));
    }
    let differences = report.differences;
    let right = differences.is_some_and(|it| it.is_empty());
    let measured = differences.map_or_else(
        || "not at rest in time".to_owned(),
        |it| {
            format!(
                "{} of {} rows are missing, {} likes are not listed, {} of {} counts are wrong, {} deletions do not \
                 show, {} cards are old, {} of {} homes of new followers, or of the star's, are wrong",
                it.missing_rows,
                it.expected_rows,
                it.unlisted_likes,
                it.wrong_counts,
                it.counted_cards,
                it.shown_deletions,
                it.old_cards,
                it.wrong_homes,
                it.read_homes,
            )
        },
    );
    add("homes and counts are exact at rest".to_owned(), measured, right);
    let quarantined = report.quarantined;
    add("nothing is put aside".to_owned(), format!("{quarantined} messages in the quarantine"), quarantined == 0);
    verdicts
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "not at rest in time".to_owned(), |value| format!("{value:.1} s"))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a scenario are far below 2⁵³")]
fn as_float(count: u64) -> f64 {
    count as f64
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.0}, p99 {:.0}, max {:.0} ms", self.p50, self.p99, self.max)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.scenario, self.title)?;
        let (fraction, time) = (self.fraction, self.seconds);
        writeln!(f, "{fraction} of the load within {fraction} of the limits, {time} s; figures are of the whole\n")?;
        for (kind, requests) in &self.requests {
            let kind = format!("{kind:?}").to_lowercase();
            let Requests { per_second, failed_per_second, ms } = requests;
            writeln!(f, "{kind:<8} {per_second:>9.1}/s, {failed_per_second:.1} failed/s; {ms}")?;
        }
        for (error, count) in &self.errors {
            writeln!(f, "  error: {error}: {count}")?;
        }
        for (whose, times) in &self.lag_ms {
            writeln!(f, "lag of {}: {times}", format!("{whose:?}").to_lowercase())?;
        }
        if let Some([before, during]) = &self.lag_before_and_during_ms {
            writeln!(f, "lag of rows before the special load: {before}\nand during it: {during}")?;
        }
        if let Some(behind) = &self.count_behind_ms {
            writeln!(f, "most belated count: {behind}")?;
        }
        if let Some(after) = self.counts_right_after_s {
            writeln!(f, "counts were exact {after:.1} s after the last request")?;
        }
        writeln!(f, "everything was at rest after the last request: {}", seconds(self.rest_after_s))?;
        writeln!(f, "\nunits, a second:")?;
        for (table, [reads, writes]) in &self.units {
            writeln!(f, "  {reads:>9.0} read, {writes:>9.0} write: {table}")?;
        }
        writeln!(f, "throttled, a second:")?;
        for (what, count) in &self.throttled {
            writeln!(f, "  {count:>9.1} {what}")?;
        }
        if !self.throttled_later.is_empty() {
            writeln!(f, "throttled after the last request, in all:")?;
        }
        for (what, count) in &self.throttled_later {
            writeln!(f, "  {count:>9.0} {what}")?;
        }
        writeln!(f, "most used limits:")?;
        for used in self.used.iter().take(8) {
            let Use { what, peak, limit } = used;
            writeln!(f, "  {:>6.1} % of {what}: {peak:.0} of {limit:.0}", used.share() * 100.0)?;
        }
        let total: f64 = self.dollars_per_hour.values().sum();
        writeln!(f, "dollars an hour (prices of {}): {total:.2}", self.prices_of)?;
        for (what, dollars) in &self.dollars_per_hour {
            writeln!(f, "  {dollars:>9.2} {what}")?;
        }
        writeln!(f, "dollars of all that came after the last request: {:.2}", self.dollars_later)?;
        writeln!(f, "requirements:")?;
        for Verdict { requirement, measured, met } in &self.verdicts {
            writeln!(f, "  {} {requirement}: {measured}", if *met { "met   " } else { "MISSED" })?;
        }
        write!(f, "{:.0} s of processor time", self.processor_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_has_its_percentiles() {
        let times = Times::of((0..1000).rev().map(f64::from).collect());
        assert_eq!((times.count, times.p50, times.p99, times.max), (1000, 500.0, 990.0, 999.0));
        assert_eq!(Times::of(Vec::new()), Times::default());
    }
}
