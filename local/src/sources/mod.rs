//! Event source mappings: what Lambda does between a stream or a queue and a function, with its documented semantics.
//!
//! - [`stream`] reads the shards of DynamoDB and Kinesis streams through [`shards`], in the order of resharding, and keeps
//!   [`checkpoint`]s; [`lane`] makes batches; [`delivery`] retries, bisects and gives up on them, telling [`failure`]'s
//!   destination.
//! - [`queue`] polls SQS queues.
//! - [`filter`] and [`event`] are what records are selected by and what functions see of them.
//!
//! Delivery is at least once. Nothing here may make it more convenient than AWS does: a function that relies on more must
//! fail here, too.

mod checkpoint;
mod control;
mod delivery;
mod event;
mod failure;
mod filter;
mod lane;
mod queue;
mod shards;
mod stream;

use std::{path::Path, time::Duration};

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
use checkpoint::Checkpoints;
use control::{Control, Mode, SourceState};

/// How long [`Sources::shutdown`] waits for batches in flight before it leaves them to be delivered again.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);
/// How long [`Sources::status`] waits for every mapping to look at its source once more.
const STATUS_MAX: Duration = Duration::from_millis(500);
const STATUS_INTERVAL: Duration = Duration::from_millis(5);

/// Clients for what mappings read and write.
#[derive(Debug, Clone)]
pub struct Clients {
    /// To find the stream of a table.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// To read it.
    pub streams: aws_sdk_dynamodbstreams::Client,
    /// To read Kinesis streams.
    pub kinesis: aws_sdk_kinesis::Client,
    /// To read queues, and to tell on-failure queues.
    pub sqs: aws_sdk_sqs::Client,
}

/// Misfortunes that AWS allows and seldom shows, to be shown often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chaos {
    /// Deliver records a second time now and then, in the same batch or in a later one. As after a lost checkpoint, what is
    /// repeated of one key is repeated in order.
    pub duplicate_records: bool,
    /// Deliver records out of order: of streams across keys, never within one; of queues in any order.
    pub reorder_records: bool,
}

/// How often mappings look for records, and how soon they try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Shortest and longest pause between two reads of a shard of a DynamoDB stream that has nothing new.
    pub dynamodb_poll: [Duration; 2],
    /// The same for a shard of a Kinesis stream.
    pub kinesis_poll: [Duration; 2],
    /// Pause before the first retry of a batch. Later pauses double, up to fifty times this one.
    pub retry_pause: Duration,
}

impl Pace {
    /// Faster than AWS: a developer does not want to wait.
    pub const LOCAL: Self = {
        let poll = [Duration::from_millis(20), Duration::from_millis(250)];
        Self { dynamodb_poll: poll, kinesis_poll: poll, retry_pause: Duration::from_millis(100) }
    };
    /// As on AWS: Lambda polls the shards of a DynamoDB stream four times a second and those of a Kinesis stream once
    /// (AWS Lambda Developer Guide, "Using AWS Lambda with Amazon DynamoDB" and "with Amazon Kinesis"). The guide names no
    /// pause before a retry.
    pub const AWS: Self = Self {
        dynamodb_poll: [Duration::from_millis(250); 2],
        kinesis_poll: [Duration::from_secs(1); 2],
        retry_pause: Duration::from_millis(500),
    };
}

/// What one mapping is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// [`EventSource`]'s id.
    pub id: String,
    /// The function that it invokes.
    pub function: String,
    /// Whether there was nothing to read and nothing in flight at the time of the question. False while paused.
    pub idle: bool,
}

/// The running event source mappings of a system. Dropping them leaves batches in flight to be delivered again after the
/// next start; [`Sources::shutdown`] waits for them.
pub struct Sources {
    control: Control,
    states: Vec<std::sync::Arc<SourceState>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Sources {
    /// Starts a mapping for every event source of `functions`. Checkpoints are kept in the file `checkpoints`, or in
    /// memory.
    ///
    /// # Errors
    /// If a stream or queue does not exist, a filter is none that Lambda accepts, or checkpoints cannot be read.
    pub async fn start<I: Invoke>(
        functions: &[Function],
        clients: &Clients,
        checkpoints: Option<&Path>,
        chaos: Chaos,
        pace: Pace,
        invoker: I,
    ) -> anyhow::Result<Self> {
        let checkpoints = Checkpoints::open(checkpoints)?;
        let control = Control::new();
        let (mut states, mut tasks) = (Vec::new(), JoinSet::new());
        for function in functions {
            for source in &function.sources {
                let id = match source {
                    EventSource::Stream(source) => &source.id,
                    EventSource::Queue(source) => &source.id,
                };
                let state = SourceState::new(id, &function.name);
                states.push(state.clone());
                let parts = Parts {
                    clients: clients.clone(),
                    function: function.name.clone(),
                    state,
                    control: control.clone(),
                    chaos,
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
                }
            }
        }
        Ok(Self { control, states, tasks: Mutex::new(tasks) })
    }

    /// Stops reading. What was read already and is being delivered goes on to its next retry, and stops there.
    pub fn pause(&self) {
        self.control.set(Mode::Paused);
    }

    /// Goes on reading.
    pub fn resume(&self) {
        self.control.set(Mode::Running);
    }

    /// What the mappings are doing. Has each look at its source once more, so that records which were written before the
    /// call are never overlooked; takes up to half a second.
    pub async fn status(&self) -> Vec<SourceStatus> {
        let before: Vec<_> = self.states.iter().map(|state| state.activity()).collect();
        let look = self.control.look_now();
        let deadline = Instant::now() + STATUS_MAX;
        while Instant::now() < deadline
            && self.states.iter().any(|state| !state.is_busy() && !state.found_nothing(look))
        {
            tokio::time::sleep(STATUS_INTERVAL).await;
        }
        let running = self.control.mode() == Mode::Running;
        let status = |(state, before): (&std::sync::Arc<SourceState>, u64)| SourceStatus {
            id: state.id.clone(),
            function: state.function.clone(),
            idle: running && state.found_nothing(look) && !state.is_busy() && state.activity() == before,
        };
        self.states.iter().zip(before).map(status).collect()
    }

    /// Stops all mappings and waits, for a few seconds at most, until the batches in flight are done with and their
    /// checkpoints stored.
    pub async fn shutdown(&self) {
        self.control.set(Mode::Stopped);
        let mut tasks = self.tasks.lock().await;
        if timeout(SHUTDOWN_MAX, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::info!("batches in flight will be delivered again");
            tasks.shutdown().await;
        }
    }
}

/// What every kind of mapping is made of.
struct Parts<I> {
    clients: Clients,
    function: String,
    state: std::sync::Arc<SourceState>,
    control: Control,
    chaos: Chaos,
    pace: Pace,
    invoker: I,
}
