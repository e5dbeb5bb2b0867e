//! The metrics of Tidings itself, next to those that AWS keeps of its services. Code counts and records by the
//! constants below. At the end of each invocation, a function writes what it recorded as one line in the embedded
//! metric format of CloudWatch ([`runtime::run`](crate::runtime::run)), and CloudWatch makes metrics of the line.
//!
//! Nearly all invocations read pages, and lines cost more than what they count. So a process that counts nothing but
//! pages writes a line every ten seconds at most, with the sums of all its invocations since the last one. What a
//! process has counted since then is lost when Lambda ends it.
//!
//! All metrics have one dimension, the stack. A metric costs money for each combination of dimensions, so the function
//! and the request are properties of the line: CloudWatch Logs can be searched for them. docs/operating.md lists the
//! metrics, and a test compares the list with [`ALL`].
//!
//! The facade is the crate `metrics`, so the simulation and tests can record into [`Recorded`] instead.

mod recorded;

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use metrics_cloudwatch_embedded::{Builder, Collector};
pub use recorded::Recorded;

use crate::trace::TraceId;

/// The namespace of the metrics in CloudWatch.
pub const NAMESPACE: &str = "Tidings";
/// Values in one line at most. The embedded metric format allows so many of one metric. Further values of the same
/// invocation are left out.
const VALUES_MAX: usize = 100;

/// The pause between two lines of a process that counts nothing but pages.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Invocations that were the first one of their process.
pub const COLD_STARTS: Counter = Counter::new("ColdStarts");
/// Pages of feeds and lists.
pub const PAGES: Counter = Counter::of_pages("Pages");
/// Reads of rows that pages took. Each is one round, or two, of calls that run at once.
pub const PAGE_ROUNDS: Counter = Counter::of_pages("PageRounds");
/// Rows of timelines that were read for pages.
pub const ROWS_READ: Counter = Counter::of_pages("RowsRead");
/// Rows that were read for pages and may not be shown to the viewer.
pub const ROWS_HIDDEN: Counter = Counter::of_pages("RowsHidden");
/// Values that were found in a cache of a process.
pub const CACHE_HITS: Counter = Counter::of_pages("CacheHits");
/// Values that were looked for in a cache of a process and had to be read.
pub const CACHE_MISSES: Counter = Counter::of_pages("CacheMisses");
/// Values that were found in the shared cache.
pub const SHARED_CACHE_HITS: Counter = Counter::of_pages("SharedCacheHits");
/// Values that were looked for in the shared cache and had to be read.
pub const SHARED_CACHE_MISSES: Counter = Counter::of_pages("SharedCacheMisses");
/// Times that the shared cache could not be reached, or did not answer in time.
pub const SHARED_CACHE_FAILURES: Counter = Counter::new("SharedCacheFailures");
/// Times that a process began to leave the shared cache alone, because it failed again and again.
pub const SHARED_CACHE_BREAKS: Counter = Counter::new("SharedCacheBreaks");
/// Values that a projection could not change in the shared cache. Readers may find the old ones for a minute.
pub const SHARED_CACHE_WRITES_LOST: Counter = Counter::new("SharedCacheWritesLost");
/// Commands that were refused because the user reached a rate limit.
pub const RATE_LIMITED: Counter = Counter::new("RateLimited");
/// Events and counters that were published to the bus.
pub const PUBLISHED: Counter = Counter::new("Published");
/// Users whose catch-up was handed to the work queue, because it failed, takes long, or would begin late.
pub const HANDED_OVER: Counter = Counter::new("HandedOver");
/// Rows that were not pushed, because nobody has read the home for long.
pub const ROWS_LEFT_OUT: Counter = Counter::new("RowsLeftOut");
/// Homes that had been left out, and have all rows again.
pub const HOMES_COMPLETED: Counter = Counter::new("HomesCompleted");
/// Tasks of the work queue that were done.
pub const TASKS_DONE: Counter = Counter::new("TasksDone");
/// Tasks of the work queue that failed and come again.
pub const TASKS_FAILED: Counter = Counter::new("TasksFailed");
/// Tasks that were put into the quarantine, such as those of events that can never be applied.
pub const QUARANTINED: Counter = Counter::new("Quarantined");
/// Records of failed batches that were read again and became tasks.
pub const RECOVERED: Counter = Counter::new("Recovered");
/// Runs of the audit that did not fail. One a day at least is expected, whether there is anything to compare or not.
pub const AUDITS: Counter = Counter::new("Audits");
/// Items that were compared with what follows from them, or with what they follow from.
pub const AUDITED: Counter = Counter::new("Audited");
/// Tasks of the audit that repair what differs from the truth.
pub const REPAIRED: Counter = Counter::new("Repaired");
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
pub const ALL: [(&str, &str); 28] = {
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
        ROWS_LEFT_OUT,
        HOMES_COMPLETED,
        TASKS_DONE,
        TASKS_FAILED,
        QUARANTINED,
        RECOVERED,
        AUDITS,
        AUDITED,
        REPAIRED,
    ];
    let distributions = [PUBLISH_LAG, FEED_LAG, COUNT_LAG, TASK_AGE];
    let mut all = [("", ""); 28];
    let mut at = 0;
    while at < all.len() {
        all[at] = match at < counters.len() {
            true => (counters[at].name, "Count"),
            false => (distributions[at - counters.len()].0, "Milliseconds"),
        };
        at += 1;
    }
    all
};

/// A metric that is a sum. Its unit is `Count`. An invocation that adds nothing writes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    name: &'static str,
    /// Whether it may wait for the next line.
    waits: bool,
}

impl Counter {
    const fn new(name: &'static str) -> Self {
        Self { name, waits: false }
    }

    const fn of_pages(name: &'static str) -> Self {
        Self { name, waits: true }
    }

    /// Adds to the sum of the next line.
    pub fn add(self, count: usize) {
        if !self.waits {
            IS_URGENT.store(true, Ordering::Relaxed);
        }
        metrics::counter!(self.name).increment(count as u64);
    }

    /// The name in CloudWatch.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// A metric that consists of durations. Its unit is `Milliseconds`. CloudWatch keeps all values, for percentiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distribution(&'static str);

impl Distribution {
    /// Adds a value.
    pub fn record(self, value: Duration) {
        IS_URGENT.store(true, Ordering::Relaxed);
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
/// Whether something was recorded since the last line that does not wait.
static IS_URGENT: AtomicBool = AtomicBool::new(false);
/// What this process has written.
static LINES: Mutex<Lines> = Mutex::new(Lines { written: None, waiting: 0 });
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

/// When lines are written.
#[derive(Debug)]
struct Lines {
    /// When the last one was.
    written: Option<Instant>,
    /// Invocations since then.
    waiting: u32,
}

impl Lines {
    /// Counts an invocation that ends. Returns how many invocations the line is about that is to be written now, if one
    /// is.
    fn end_invocation(&mut self, is_urgent: bool, now: Instant) -> Option<u32> {
        self.waiting += 1;
        let waits = !is_urgent && self.written.is_some_and(|at| now.saturating_duration_since(at) < LINE_INTERVAL);
        if waits {
            return None;
        }
        self.written = Some(now);
        Some(std::mem::take(&mut self.waiting))
    }
}

/// Writes what was recorded since the last line as one line, if anything was, unless it can wait.
pub(crate) fn end_invocation(request_id: &str, trace: Option<TraceId>) {
    let Some(collector) = COLLECTOR.get() else { return };
    let is_urgent = IS_URGENT.swap(false, Ordering::Relaxed);
    let invocations = LINES.lock().unwrap_or_else(PoisonError::into_inner).end_invocation(is_urgent, Instant::now());
    let Some(invocations) = invocations else { return };
    RECORDED.store(0, Ordering::Relaxed);
    collector.set_property("Invocations", invocations);
    // A line about several invocations is about none in particular.
    if invocations == 1 {
        collector.set_property("RequestId", request_id);
    } else {
        collector.remove_property("RequestId");
    }
    match trace.filter(|_| invocations == 1) {
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
    fn a_line_waits_for_ten_seconds_after_the_last_one_unless_it_is_urgent() {
        let (begin, mut lines) = (Instant::now(), Lines { written: None, waiting: 0 });
        let mut at = |seconds, is_urgent| lines.end_invocation(is_urgent, begin + Duration::from_secs(seconds));
        assert_eq!([at(0, false), at(1, false), at(9, false)], [Some(1), None, None]);
        assert_eq!([at(10, false), at(11, false), at(12, true)], [Some(3), None, Some(2)]);
        assert_eq!([at(21, false), at(22, false)], [None, Some(2)]);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
