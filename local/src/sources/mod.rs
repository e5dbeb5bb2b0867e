//! Event source mappings: what Lambda does between a stream or a queue and a function, as AWS documents it.
//!
//! - [`stream`] is a mapping from a stream. It reads the shards of DynamoDB and Kinesis streams through [`shards`], in
//!   the order of resharding, and stores [`checkpoint`]s. [`lane`] makes batches. [`batch_processor`] invokes the
//!   function with a batch, retries, bisects, and gives up. It reports what it gave up to a destination ([`failure`]).
//! - [`queue`] is a mapping from an SQS queue.
//! - [`schedule`] is a rule that invokes a function again and again. It is no mapping, but an event source as well.
//! - [`filter`] selects records. [`record_json`] turns records into the JSON that functions receive.
//! - [`lifecycle`] pauses and stops all mappings. [`activity`] tells what a mapping is doing. [`parts`] is what both
//!   kinds of mapping have in common.
//!
//! Delivery is at least once. No mapping may promise more than AWS does: a function that relies on more must fail here,
//! too.

mod activity;
mod batch_processor;
mod checkpoint;
mod failure;
mod filter;
mod lane;
mod lifecycle;
mod parts;
mod queue;
mod record_json;
mod schedule;
mod shards;
mod stream;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    invoke::Invoke,
    template::model::{EventSource, Function},
};
use activity::Activity;
use checkpoint::Checkpoints;
use lifecycle::{Lifecycle, Mode};
pub use parts::{Chaos, Clients, Pace, Writes};
use parts::{ChaosSwitch, Parts};

/// How long [`Sources::shutdown`] waits for batches in flight. Batches that take longer are delivered again later.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);
/// How long [`Sources::status`] waits until every mapping has polled its source once more.
const STATUS_MAX: Duration = Duration::from_millis(500);
const STATUS_INTERVAL: Duration = Duration::from_millis(5);

/// What one mapping is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// The id of the [`EventSource`].
    pub id: String,
    /// The function that the mapping invokes.
    pub function: String,
    /// Whether the mapping had nothing to read and nothing in flight at the time of the question. A paused mapping is
    /// never idle.
    pub idle: bool,
}

/// The running event source mappings of a system. Dropping this value stops them at once; batches in flight are
/// delivered again after the next start. [`Sources::shutdown`] waits for batches in flight.
pub struct Sources {
    lifecycle: Lifecycle,
    chaos: ChaosSwitch,
    activities: Vec<Arc<Activity>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Sources {
    /// Starts a mapping for every event source of `functions`. The mappings store their checkpoints in the file
    /// `checkpoints`, or in memory if there is no file.
    ///
    /// # Errors
    /// If a stream or queue does not exist, if Lambda would not accept a filter, or if the checkpoints cannot be read.
    pub async fn start<I: Invoke>(
        functions: &[Function],
        clients: &Clients,
        checkpoints: Option<&Path>,
        chaos: Chaos,
        pace: Pace,
        invoker: I,
    ) -> anyhow::Result<Self> {
        let checkpoints = Checkpoints::open(checkpoints)?;
        let (lifecycle, chaos) = (Lifecycle::new(), ChaosSwitch::new(chaos));
        let (mut activities, mut tasks) = (Vec::new(), JoinSet::new());
        for function in functions {
            for source in &function.sources {
                let id = match source {
                    EventSource::Stream(source) => &source.id,
                    EventSource::Queue(source) => &source.id,
                    EventSource::Schedule(source) => &source.id,
                };
                let activity = Activity::new(id, &function.name);
                activities.push(activity.clone());
                let parts = Parts {
                    clients: clients.clone(),
                    function: function.name.clone(),
                    activity,
                    lifecycle: lifecycle.clone(),
                    chaos: chaos.clone(),
                    pace,
                    invoker: invoker.clone(),
                };
                match source {
                    EventSource::Stream(source) => {
                        let mapping = stream::Mapping::open(parts, source.clone(), checkpoints.clone()).await;
                        tasks.spawn(mapping.with_context(|| format!("event source {id}"))?.run());
                    }
                    EventSource::Queue(source) => {
                        let mapping = queue::Mapping::open(parts, source.clone()).await;
                        tasks.spawn(mapping.with_context(|| format!("event source {id}"))?.run());
                    }
                    EventSource::Schedule(source) => {
                        tasks.spawn(schedule::Schedule::open(parts, source.clone()).run());
                    }
                }
            }
        }
        Ok(Self { lifecycle, chaos, activities, tasks: Mutex::new(tasks) })
    }

    /// Stops reading. Batches that were read already go on until their next retry, and wait there.
    pub fn pause(&self) {
        self.lifecycle.set(Mode::Paused);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.lifecycle.set(Mode::Running);
    }

    /// Whether the mappings are paused.
    pub fn is_paused(&self) -> bool {
        self.lifecycle.mode() == Mode::Paused
    }

    /// The faults that the mappings make at present.
    pub fn chaos(&self) -> Chaos {
        self.chaos.get()
    }

    /// Makes these faults from now on.
    pub fn set_chaos(&self, chaos: Chaos) {
        self.chaos.set(chaos);
    }

    /// How many records and messages each mapping has read and not finished: its id, its function and the number.
    pub fn in_flight(&self) -> Vec<(String, String, usize)> {
        let each = |activity: &Arc<Activity>| (activity.id.clone(), activity.function.clone(), activity.in_flight());
        self.activities.iter().map(each).collect()
    }

    /// What the mappings are doing. Each mapping polls its source once more for this, so the answer takes account of
    /// all records that were written before the call. Takes up to half a second.
    pub async fn status(&self) -> Vec<SourceStatus> {
        let read_before: Vec<_> = self.activities.iter().map(|activity| activity.read_count()).collect();
        let poll = self.lifecycle.request_poll();
        let deadline = Instant::now() + STATUS_MAX;
        while Instant::now() < deadline
            && self.activities.iter().any(|activity| !activity.is_busy() && !activity.found_nothing(poll))
        {
            tokio::time::sleep(STATUS_INTERVAL).await;
        }
        let running = self.lifecycle.mode() == Mode::Running;
        let status = |(activity, read_before): (&Arc<Activity>, u64)| SourceStatus {
            id: activity.id.clone(),
            function: activity.function.clone(),
            idle: running
                && activity.found_nothing(poll)
                && !activity.is_busy()
                && activity.read_count() == read_before,
        };
        self.activities.iter().zip(read_before).map(status).collect()
    }

    /// Stops all mappings. Waits a few seconds at most until the batches in flight are done and their checkpoints are
    /// stored.
    pub async fn shutdown(&self) {
        self.lifecycle.set(Mode::Stopped);
        let mut tasks = self.tasks.lock().await;
        if timeout(SHUTDOWN_MAX, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::info!("some batches are still in flight; they will be delivered again after the next start");
            tasks.shutdown().await;
        }
    }
}
