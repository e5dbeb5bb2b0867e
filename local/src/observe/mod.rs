//! What the stack is doing, for people who watch it (`GET /dev/live`): requests, invocations, and writes to tables. One
//! decorator of [`Invoke`] sees them all but the writes: every request and every batch of an event source reaches a
//! function through it. While nobody watches, observing costs one comparison.
//!
//! [`payload`] reads what a function is called with, and [`writes`] which items a request to DynamoDB writes. Nobody
//! waits for a watcher: one who is too slow loses observations and is told how many.

pub mod payload;
pub mod writes;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;
use time::OffsetDateTime;
use tokio::{
    sync::{broadcast, watch},
    time::Instant,
};

use crate::{
    invoke::{Invoke, InvokeError},
    lineage::TraceHeader,
    metrics::Metrics,
};
use payload::Call;
use writes::Written;

/// The most observations that wait for a slow watcher. A channel rounds this up to a power of two.
const BACKLOG_MAX: usize = 2_048;
/// The most watchers at a time. Each has an open connection.
const WATCHERS_MAX: usize = 16;

/// Something that has happened. Times are in milliseconds since 1970.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Observation {
    /// A request was answered.
    Request {
        /// When the function was called.
        at: i64,
        /// How long the function took.
        ms: f64,
        /// The function that answered.
        function: String,
        /// What was asked, and the answer.
        #[serde(flatten)]
        request: payload::Request,
    },
    /// An event source has given records to a function.
    Started {
        /// The same number as in the [`Observation::Ended`] of the invocation.
        invocation: u64,
        /// When.
        at: i64,
        /// The function.
        function: String,
        /// What it was given.
        #[serde(flatten)]
        batch: payload::Batch,
    },
    /// A function is done with records, or has failed.
    Ended {
        /// The same number as in the [`Observation::Started`] of the invocation.
        invocation: u64,
        /// When.
        at: i64,
        /// How long the invocation took.
        ms: f64,
        /// The function.
        function: String,
        /// How it ended.
        outcome: Outcome,
    },
    /// Items were written to tables.
    Written {
        /// When.
        at: i64,
        /// What, and by whom.
        #[serde(flatten)]
        written: Written,
    },
}

impl Observation {
    /// The name of the kind, as it is in the JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Request { .. } => "request",
            Self::Started { .. } => "started",
            Self::Ended { .. } => "ended",
            Self::Written { .. } => "written",
        }
    }
}

/// How an invocation by an event source has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All records are done.
    Done,
    /// The function reported some records as failed.
    PartlyFailed,
    /// The function's code returned an error.
    Failed,
    /// The process ended before it answered.
    Crashed,
    /// The process was killed after the function's timeout.
    TimedOut,
    /// No code ran: the same chain of requests has invoked the function too often.
    Stopped,
    /// No code ran: too many invocations, or somebody throttles the function.
    Throttled,
    /// No code ran: there is no process.
    Unavailable,
}

impl Outcome {
    fn of(answer: &Result<Bytes, InvokeError>) -> Self {
        match answer {
            Ok(answer) if payload::reports_failures(answer) => Self::PartlyFailed,
            Ok(_) => Self::Done,
            Err(InvokeError::Function(_)) => Self::Failed,
            Err(InvokeError::Crashed) => Self::Crashed,
            Err(InvokeError::TimedOut(_)) => Self::TimedOut,
            Err(InvokeError::Recursive(_)) => Self::Stopped,
            Err(InvokeError::Throttled) => Self::Throttled,
            Err(InvokeError::Unavailable(_)) => Self::Unavailable,
        }
    }
}

/// Where observations come together. Clones are the same place.
#[derive(Debug, Clone)]
pub struct Observer {
    observations: broadcast::Sender<Arc<Observation>>,
    closed: watch::Sender<bool>,
    invocations: Arc<AtomicU64>,
}

/// What a watcher receives next.
#[derive(Debug)]
pub enum Next {
    /// Something has happened.
    Observation(Arc<Observation>),
    /// The watcher was too slow: so many observations are lost.
    Skipped(u64),
    /// The stack stops.
    Closed,
}

/// Somebody who watches.
#[derive(Debug)]
pub struct Watcher {
    observations: broadcast::Receiver<Arc<Observation>>,
    closed: watch::Receiver<bool>,
}

impl Watcher {
    /// Waits for the next observation. Can be cancelled without a loss.
    pub async fn next(&mut self) -> Next {
        tokio::select! {
            _closed = self.closed.wait_for(|closed| *closed) => Next::Closed,
            received = self.observations.recv() => match received {
                Ok(observation) => Next::Observation(observation),
                Err(broadcast::error::RecvError::Lagged(skipped)) => Next::Skipped(skipped),
                Err(broadcast::error::RecvError::Closed) => Next::Closed,
            },
        }
    }
}

impl Default for Observer {
    fn default() -> Self {
        let (observations, _) = broadcast::channel(BACKLOG_MAX);
        Self { observations, closed: watch::Sender::new(false), invocations: Arc::default() }
    }
}

impl Observer {
    /// Begins to watch. `None` if too many already do.
    pub fn watch(&self) -> Option<Watcher> {
        let allowed = self.observations.receiver_count() < WATCHERS_MAX;
        allowed.then(|| Watcher { observations: self.observations.subscribe(), closed: self.closed.subscribe() })
    }

    /// Whether anybody watches.
    pub fn is_watched(&self) -> bool {
        self.observations.receiver_count() > 0
    }

    /// Tells everybody who watches.
    fn tell(&self, observation: Observation) {
        // An error means that nobody watches any more.
        drop(self.observations.send(Arc::new(observation)));
    }

    /// Tells that items were written.
    pub fn tell_written(&self, written: Written) {
        self.tell(Observation::Written { at: epoch_ms(), written });
    }

    /// Ends all watching, because the stack stops.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }
}

/// An invoker that tells an observer about every invocation.
#[derive(Debug, Clone)]
pub struct Observed<I> {
    invoker: I,
    observer: Observer,
}

impl<I: Invoke> Observed<I> {
    /// `invoker`, observed by `observer`.
    pub fn new(invoker: I, observer: Observer) -> Self {
        Self { invoker, observer }
    }
}

impl<I: Invoke> Observed<I> {
    /// Waits for `answer`, the function's answer to `payload`, and tells watchers about it.
    async fn observe(
        &self,
        function: &str,
        payload: &Bytes,
        answer: impl Future<Output = Result<Bytes, InvokeError>>,
    ) -> Result<Bytes, InvokeError> {
        let call = if self.observer.is_watched() { payload::read(payload) } else { None };
        let Some(call) = call else {
            return answer.await;
        };
        let (at, began, function_name) = (epoch_ms(), Instant::now(), function.to_owned());
        match call {
            Call::Request(request) => {
                let answer = answer.await;
                let request = request.answered(answer.as_ref().ok());
                let ms = in_ms(began.elapsed());
                self.observer.tell(Observation::Request { at, ms, function: function_name, request });
                answer
            }
            Call::Batch(batch) => {
                let invocation = self.observer.invocations.fetch_add(1, Ordering::Relaxed);
                self.observer.tell(Observation::Started { invocation, at, function: function_name.clone(), batch });
                let answer = answer.await;
                let (at, ms, outcome) = (epoch_ms(), in_ms(began.elapsed()), Outcome::of(&answer));
                self.observer.tell(Observation::Ended { invocation, at, ms, function: function_name, outcome });
                answer
            }
        }
    }
}

impl<I: Invoke> Invoke for Observed<I> {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        self.observe(function, &payload, self.invoker.invoke(function, payload.clone())).await
    }

    async fn invoke_in_chain(&self, function: &str, payload: Bytes, trace: &TraceHeader) -> Result<Bytes, InvokeError> {
        self.observe(function, &payload, self.invoker.invoke_in_chain(function, payload.clone(), trace)).await
    }

    fn metrics(&self) -> Option<&Metrics> {
        self.invoker.metrics()
    }
}

fn epoch_ms() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// Milliseconds with one decimal.
fn in_ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests;
