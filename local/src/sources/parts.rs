//! What mappings from streams and mappings from queues have in common.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_limits::{Limits, numbers, sqs::Pollers};
use tokio::sync::watch;

use super::{activity::Activity, lifecycle::Lifecycle};

/// The AWS clients that mappings use.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Finds the stream of a table.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Reads the streams of tables.
    pub streams: aws_sdk_dynamodbstreams::Client,
    /// Reads Kinesis streams.
    pub kinesis: aws_sdk_kinesis::Client,
    /// Reads queues, and writes to the queues that are on-failure destinations.
    pub sqs: aws_sdk_sqs::Client,
    /// The writes so far, if the servers are in this process. A mapping that has read a stream to its end reads it
    /// again only when there was another write.
    pub writes: Option<Arc<Writes>>,
}

/// How often something may have been written.
#[derive(Debug, Default)]
pub struct Writes {
    /// To all tables.
    pub dynamodb: AtomicU64,
    /// To the tables with these names, and so to their streams, since somebody first asked.
    tables: Mutex<HashMap<String, u64>>,
    /// To the shards with these ids, of any stream of Kinesis.
    shards: Mutex<HashMap<String, u64>>,
}

impl Writes {
    /// Counts a request that has changed tables, or may have. `names` tells whether it names a table.
    pub fn count_tables(&self, names: impl Fn(&str) -> bool) {
        self.dynamodb.fetch_add(1, Ordering::SeqCst);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.iter_mut().filter(|(table, _)| names(table)).for_each(|(_, count)| *count += 1);
    }

    /// Counts records that were put into a shard of Kinesis.
    pub fn count_shard(&self, shard: &str) {
        *self.shards.lock().unwrap_or_else(PoisonError::into_inner).entry(shard.to_owned()).or_default() += 1;
    }

    /// So far, to a shard of Kinesis.
    pub(super) fn to_shard(&self, shard: &str) -> u64 {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).get(shard).copied().unwrap_or_default()
    }

    /// So far, to a table.
    pub(super) fn to_table(&self, table: &str) -> u64 {
        *self.tables.lock().unwrap_or_else(PoisonError::into_inner).entry(table.to_owned()).or_default()
    }
}

/// Faults for tests. AWS allows each of them but shows them rarely; mappings with these settings show them often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chaos {
    /// Delivers some records twice, in the same batch or in a later one. The repeated records of one key keep their
    /// order, as they do when a checkpoint was lost.
    pub duplicate_records: bool,
    /// Delivers records out of order. Records of a stream change their order across keys, never within a key. Messages
    /// of a queue change their order in any way.
    pub reorder_records: bool,
}

/// The faults that the mappings of a system make at present. Clones are the same switch.
#[derive(Debug, Clone)]
pub(super) struct ChaosSwitch(watch::Sender<Chaos>);

impl ChaosSwitch {
    pub(super) fn new(chaos: Chaos) -> Self {
        Self(watch::Sender::new(chaos))
    }

    pub(super) fn get(&self) -> Chaos {
        *self.0.borrow()
    }

    pub(super) fn set(&self, chaos: Chaos) {
        self.0.send_replace(chaos);
    }
}

/// How often mappings poll, and how soon they retry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// The shortest and the longest pause between two reads of a DynamoDB stream's shard without new records.
    pub dynamodb_poll: [Duration; 2],
    /// The shortest and the longest pause between two reads of a Kinesis stream's shard without new records.
    pub kinesis_poll: [Duration; 2],
    /// The length of a long poll of a queue. A shutdown waits for its end: an interrupted receive would hide messages
    /// for the visibility timeout. So it is shorter than the 20 s that SQS allows.
    pub long_poll: Duration,
    /// The pause before the first retry of a batch. It doubles with each further failure in a row, up to 50 times.
    pub retry_pause: Duration,
    /// How many batches of a queue a mapping processes at once. Without it, few, because they share one machine.
    pub pollers: Option<Pollers>,
}

impl Pace {
    /// Faster than AWS, because a developer does not want to wait.
    pub const LOCAL: Self = {
        let poll = [Duration::from_millis(20), Duration::from_millis(250)];
        Self {
            dynamodb_poll: poll,
            kinesis_poll: poll,
            long_poll: Duration::from_secs(1),
            retry_pause: Duration::from_millis(100),
            pollers: None,
        }
    };
    /// As on AWS. Lambda polls queues with long polls, of which 20 s is the longest. It polls the shards of a DynamoDB
    /// stream four times a second and those of a Kinesis stream once a second (AWS Lambda Developer Guide, "Using AWS
    /// Lambda with Amazon DynamoDB" and "with Amazon Kinesis"). The guide does not say how long Lambda waits before a
    /// retry.
    pub const AWS: Self = Self {
        dynamodb_poll: [Duration::from_millis(250); 2],
        kinesis_poll: [Duration::from_secs(1); 2],
        long_poll: Duration::from_secs(20),
        retry_pause: Duration::from_millis(500),
        pollers: None,
    };

    /// As on AWS, with these limits.
    pub fn limited(limits: &Limits) -> Self {
        let mut pace = Self { pollers: Some(Pollers::new(limits, None)), ..Self::AWS };
        if limits.enhanced_fan_out {
            pace.kinesis_poll = [numbers::FAN_OUT_DELAY.duration(); 2];
        }
        pace
    }
}

/// What every mapping consists of.
pub(super) struct Parts<I> {
    pub(super) clients: Clients,
    /// The function that the mapping invokes.
    pub(super) function: String,
    pub(super) activity: Arc<Activity>,
    pub(super) lifecycle: Lifecycle,
    pub(super) chaos: ChaosSwitch,
    pub(super) pace: Pace,
    pub(super) invoker: I,
}
