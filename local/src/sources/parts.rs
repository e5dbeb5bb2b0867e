//! What mappings from streams and mappings from queues have in common.

use std::sync::Arc;

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

/// What every mapping consists of.
pub(super) struct Parts<I> {
    pub(super) clients: Clients,
    /// The function that the mapping invokes.
    pub(super) function: String,
    pub(super) activity: Arc<Activity>,
    pub(super) lifecycle: Lifecycle,
    pub(super) chaos: Chaos,
    pub(super) invoker: I,
}
