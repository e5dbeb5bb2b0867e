//! Metrics kept in memory, for the simulation and for tests.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder,
};

/// What was counted and recorded while it was in use. Clones share the values.
#[derive(Debug, Clone, Default)]
pub struct Recorded(Arc<Values>);

#[derive(Debug, Default)]
struct Values {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    distributions: Mutex<BTreeMap<String, Arc<Summary>>>,
}

/// The number and the largest of the values of a distribution.
#[derive(Debug, Default)]
struct Summary {
    count: AtomicU64,
    max: AtomicU64,
}

impl Recorded {
    /// Runs `f`. What `f` counts and records in this thread is recorded here, and nowhere else.
    pub fn within<T>(&self, f: impl FnOnce() -> T) -> T {
        with_local_recorder(&*self.0, f)
    }

    /// Everything that this thread counts and records is recorded here, until the returned guard is dropped.
    pub fn begin(&self) -> impl Drop + use<'_> {
        metrics::set_default_local_recorder(&*self.0)
    }

    /// The sums of all counters and the numbers of values of all distributions, by name.
    pub fn all(&self) -> BTreeMap<String, u64> {
        let (counters, distributions) = (lock(&self.0.counters), lock(&self.0.distributions));
        let sums = counters.iter().map(|(name, sum)| (name.clone(), sum.load(Ordering::Relaxed)));
        let counts = distributions.iter().map(|(name, summary)| (name.clone(), summary.count.load(Ordering::Relaxed)));
        sums.chain(counts).collect()
    }

    /// The sum of a counter.
    pub fn sum(&self, counter: super::Counter) -> u64 {
        let counters = lock(&self.0.counters);
        counters.get(counter.name()).map_or(0, |sum| sum.load(Ordering::Relaxed))
    }

    /// The number of values of a distribution.
    pub fn count(&self, distribution: super::Distribution) -> u64 {
        let distributions = lock(&self.0.distributions);
        distributions.get(distribution.name()).map_or(0, |summary| summary.count.load(Ordering::Relaxed))
    }

    /// The largest value of a distribution in milliseconds. 0 if there is none.
    pub fn max_ms(&self, distribution: super::Distribution) -> u64 {
        let distributions = lock(&self.0.distributions);
        distributions.get(distribution.name()).map_or(0, |summary| summary.max.load(Ordering::Relaxed))
    }
}

impl Recorder for Values {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::clone(lock(&self.counters).entry(key.name().to_owned()).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::clone(lock(&self.distributions).entry(key.name().to_owned()).or_default()))
    }
}

impl HistogramFn for Summary {
    fn record(&self, value: f64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.max.fetch_max(value as u64, Ordering::Relaxed);
    }
}

fn lock<T>(values: &Mutex<T>) -> MutexGuard<'_, T> {
    values.lock().unwrap_or_else(PoisonError::into_inner)
}
