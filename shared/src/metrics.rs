//! The metrics of Tidings itself, next to those that AWS keeps of its services. Code counts and records by the
//! constants below. At the end of each invocation, a function writes what it recorded as one line in the embedded
//! metric format of CloudWatch ([`runtime::run`](crate::runtime::run)), and CloudWatch makes metrics of the line.
//!
//! All metrics have one dimension, the stack. A metric costs money for each combination of dimensions, so the function
//! and the request are properties of the line: CloudWatch Logs can be searched for them. docs/operating.md lists the
//! metrics, and a test compares the list with [`ALL`].
//!
//! The facade is the crate `metrics`, so the simulation and tests can record into [`Recorded`] instead.

mod recorded;

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use metrics_cloudwatch_embedded::{Builder, Collector};
pub use recorded::Recorded;

use crate::trace::TraceId;

/// The namespace of the metrics in CloudWatch.
pub const NAMESPACE: &str = "Tidings";
/// Values in one line at most. The embedded metric format allows so many of one metric. Further values of the same
/// invocation are left out.
const VALUES_MAX: usize = 100;

/// Invocations that were the first one of their process.
pub const COLD_STARTS: Counter = Counter("ColdStarts");
/// Pages of feeds and lists.
pub const PAGES: Counter = Counter("Pages");
/// Reads of rows that pages took. Each is one round, or two, of calls that run at once.
pub const PAGE_ROUNDS: Counter = Counter("PageRounds");
/// Rows of timelines that were read for pages.
pub const ROWS_READ: Counter = Counter("RowsRead");
/// Rows that were read for pages and may not be shown to the viewer.
pub const ROWS_HIDDEN: Counter = Counter("RowsHidden");
/// Values that were found in a cache of a process.
pub const CACHE_HITS: Counter = Counter("CacheHits");
/// Values that were looked for in a cache of a process and had to be read.
pub const CACHE_MISSES: Counter = Counter("CacheMisses");
/// Values that were found in the shared cache.
pub const SHARED_CACHE_HITS: Counter = Counter("SharedCacheHits");
/// Values that were looked for in the shared cache and had to be read.
pub const SHARED_CACHE_MISSES: Counter = Counter("SharedCacheMisses");
/// Times that the shared cache could not be reached, or did not answer in time.
pub const SHARED_CACHE_FAILURES: Counter = Counter("SharedCacheFailures");
/// Times that a process began to leave the shared cache alone, because it failed again and again.
pub const SHARED_CACHE_BREAKS: Counter = Counter("SharedCacheBreaks");
/// Values that a projection could not change in the shared cache. Readers may find the old ones for a minute.
pub const SHARED_CACHE_WRITES_LOST: Counter = Counter("SharedCacheWritesLost");
/// Commands that were refused because the user reached a rate limit.
pub const RATE_LIMITED: Counter = Counter("RateLimited");
/// Events and counters that were published to the bus.
pub const PUBLISHED: Counter = Counter("Published");
/// Users whose catch-up was handed to the work queue, because it failed or takes long.
pub const HANDED_OVER: Counter = Counter("HandedOver");
/// Tasks of the work queue that were done.
pub const TASKS_DONE: Counter = Counter("TasksDone");
/// Tasks of the work queue that failed and come again.
pub const TASKS_FAILED: Counter = Counter("TasksFailed");
/// Tasks that were put into the quarantine, such as those of events that can never be applied.
pub const QUARANTINED: Counter = Counter("Quarantined");
/// Records of failed batches that were read again and became tasks.
pub const RECOVERED: Counter = Counter("Recovered");
/// Runs of the audit that did not fail. One a day at least is expected, whether there is anything to compare or not.
pub const AUDITS: Counter = Counter("Audits");
/// Items that were compared with what follows from them, or with what they follow from.
pub const AUDITED: Counter = Counter("Audited");
/// Tasks of the audit that repair what differs from the truth.
pub const REPAIRED: Counter = Counter("Repaired");
/// Time from the commit of a change to its publication on the bus. The stream of a table tells only the second of a
/// commit, so the times are up to a second too long.
pub const PUBLISH_LAG: Distribution = Distribution("PublishLag");
/// Time from a command to its application to timelines, viewers and cards. Of each catch-up, the oldest event.
pub const FEED_LAG: Distribution = Distribution("FeedLag");
/// Time from the commit of a counter to the card that shows it, up to a second too long. Of each batch, the oldest one.
pub const COUNT_LAG: Distribution = Distribution("CountLag");
/// Age of the message of a task, or of the report of a failed batch, when a worker receives it, with the delays between
/// attempts.
pub const TASK_AGE: Distribution = Distribution("TaskAge");

/// The names and the units of all metrics, as CloudWatch knows them.
pub const ALL: [(&str, &str); 26] = {
    let counters = [
        COLD_STARTS,
        PAGES,
        PAGE_ROUNDS,
        ROWS_READ,
        ROWS_HIDDEN,
        CACHE_HITS,
        CACHE_MISSES,
        SHARED_CACHE_HITS,
        SHARED_CACHE_MISSES,
        SHARED_CACHE_FAILURES,
        SHARED_CACHE_BREAKS,
        SHARED_CACHE_WRITES_LOST,
        RATE_LIMITED,
        PUBLISHED,
        HANDED_OVER,
        TASKS_DONE,
        TASKS_FAILED,
        QUARANTINED,
        RECOVERED,
        AUDITS,
        AUDITED,
        REPAIRED,
    ];
    let distributions = [PUBLISH_LAG, FEED_LAG, COUNT_LAG, TASK_AGE];
    let mut all = [("", ""); 26];
    let mut at = 0;
    while at < all.len() {
        all[at] = match at < counters.len() {
            true => (counters[at].0, "Count"),
            false => (distributions[at - counters.len()].0, "Milliseconds"),
        };
        at += 1;
    }
    all
};

/// A metric that is a sum. Its unit is `Count`. An invocation that adds nothing writes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter(&'static str);

impl Counter {
    /// Adds to the sum of this invocation.
    pub fn add(self, count: usize) {
        metrics::counter!(self.0).increment(count as u64);
    }

    /// The name in CloudWatch.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// A metric that consists of durations. Its unit is `Milliseconds`. CloudWatch keeps all values, for percentiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distribution(&'static str);

impl Distribution {
    /// Adds a value.
    pub fn record(self, value: Duration) {
        if COLLECTOR.get().is_some() && RECORDED.fetch_add(1, Ordering::Relaxed) >= VALUES_MAX {
            return;
        }
        metrics::histogram!(self.0).record(value.as_millis() as f64);
    }

    /// The name in CloudWatch.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// Where this process's metrics are collected.
static COLLECTOR: OnceLock<&'static Collector> = OnceLock::new();
/// Values of distributions that this process has recorded since the last line.
static RECORDED: AtomicUsize = AtomicUsize::new(0);
/// Whether the process has had an invocation.
static IS_WARM: AtomicBool = AtomicBool::new(false);

/// Collects the metrics of this process, which runs a function of this stack.
///
/// # Errors
/// If something else in this process collects metrics already.
pub(crate) fn start(stack: &str, function: &str) -> anyhow::Result<()> {
    let builder = Builder::new().cloudwatch_namespace(NAMESPACE).with_dimension("Stack", stack.to_owned());
    let collector = builder.init().map_err(|error| anyhow::anyhow!("metrics cannot be collected: {error}"))?;
    for (name, unit) in ALL {
        match unit {
            "Milliseconds" => metrics::describe_histogram!(name, metrics::Unit::Milliseconds, ""),
            _ => metrics::describe_counter!(name, metrics::Unit::Count, ""),
        }
    }
    collector.set_property("Function", function);
    COLLECTOR.set(collector).map_err(|_| anyhow::anyhow!("metrics are collected already"))
}

/// Counts a cold start, if this is the first invocation of the process.
pub(crate) fn begin_invocation() {
    if !IS_WARM.swap(true, Ordering::Relaxed) {
        COLD_STARTS.add(1);
    }
}

/// Writes what was recorded since the last call as one line, if anything was.
pub(crate) fn end_invocation(request_id: &str, trace: Option<TraceId>) {
    let Some(collector) = COLLECTOR.get() else { return };
    RECORDED.store(0, Ordering::Relaxed);
    collector.set_property("RequestId", request_id);
    match trace {
        Some(trace) => collector.set_property("TraceId", trace.to_string()),
        None => collector.remove_property("TraceId"),
    };
    if let Err(error) = collector.flush(std::io::stdout().lock()) {
        tracing::warn!(%error, "the metrics of an invocation could not be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_list_every_metric_with_its_unit() {
        let operating = include_str!("../../docs/operating.md");
        for (name, unit) in ALL {
            let row = operating.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
            let row = row.unwrap_or_else(|| panic!("docs/operating.md does not list {name}"));
            assert!(row.contains(&format!("| {unit} |")), "{row}");
        }
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
