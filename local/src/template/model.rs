//! The system that a template describes, after its parameters and intrinsic functions are resolved: plain values, in
//! the units that the rest of this crate works in. What the template says and this model cannot hold is an error or a
//! named warning of the parser, never silently lost.

use std::{collections::BTreeMap, time::Duration};

/// Everything in the template that has a meaning on one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct System {
    /// DynamoDB tables.
    pub tables: Vec<Table>,
    /// Kinesis data streams.
    pub streams: Vec<KinesisStream>,
    /// SQS queues.
    pub queues: Vec<Queue>,
    /// Lambda functions with what invokes them.
    pub functions: Vec<Function>,
    /// The HTTP API; a template has at most one.
    pub api: Option<HttpApi>,
    /// Resources and properties that have no meaning on one machine, each with its place in the file.
    pub warnings: Vec<String>,
}

/// A DynamoDB table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Physical name, as `!Ref` gives it.
    pub name: String,
    /// Name and scalar type (`S`, `N` or `B`) of every key attribute.
    pub attributes: Vec<(String, String)>,
    /// The table's own key.
    pub key: KeySchema,
    /// Global secondary indexes.
    pub indexes: Vec<Index>,
    /// `StreamViewType` if the table has a stream.
    pub stream_view: Option<String>,
    /// Attribute that holds an item's expiry in epoch seconds.
    pub ttl_attribute: Option<String>,
}

/// Partition key and optional sort key, by attribute name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySchema {
    /// `HASH`.
    pub partition: String,
    /// `RANGE`.
    pub sort: Option<String>,
}

/// A global secondary index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Name of the index.
    pub name: String,
    /// Its key.
    pub key: KeySchema,
    /// `ALL`, `KEYS_ONLY` or `INCLUDE`.
    pub projection: String,
    /// With `INCLUDE`: the attributes beside the keys.
    pub non_key_attributes: Vec<String>,
}

/// A Kinesis data stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KinesisStream {
    /// Physical name.
    pub name: String,
    /// Shards to open; an on-demand stream starts with four, as on AWS.
    pub shards: u32,
}

/// A standard SQS queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Physical name.
    pub name: String,
    /// How long a received message stays hidden.
    pub visibility_timeout: Duration,
    /// How long a message is kept.
    pub retention: Duration,
    /// Where a message goes that was received too often.
    pub redrive: Option<Redrive>,
}

/// A queue's redrive policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// Physical name of the dead-letter queue.
    pub dead_letter_queue: String,
    /// Receives after which a message moves there.
    pub max_receive_count: u32,
}

/// A Lambda function.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Logical id in the template; what the other parts of this crate call the function by.
    pub name: String,
    /// Physical name, as `!Ref` gives it.
    pub physical_name: String,
    /// Binary that `cargo` builds for it (`Metadata.BuildProperties.Binary`).
    pub binary: String,
    /// Environment, resolved.
    pub environment: BTreeMap<String, String>,
    /// Time that one invocation may take.
    pub timeout: Duration,
    /// Memory in MiB; told to the function, not enforced.
    pub memory_mib: u32,
    /// `ReservedConcurrentExecutions`.
    pub max_concurrency: Option<u32>,
    /// Routes of the HTTP API that invoke it.
    pub routes: Vec<Route>,
    /// Streams and queues that invoke it.
    pub sources: Vec<EventSource>,
    /// What it may do, by its own inline policies.
    pub statements: Vec<Statement>,
}

/// A statement of a policy, which allows all of its actions on all of its resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// As `dynamodb:GetItem`.
    pub actions: Vec<String>,
    /// ARNs.
    pub resources: Vec<String>,
    /// If there are any: only in these partitions of the tables (`dynamodb:LeadingKeys`).
    pub leading_keys: Option<Vec<String>>,
}

/// One route of the HTTP API, as `GET` and `/v1/users/{user}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Method in capitals.
    pub method: String,
    /// Path with `{parameters}`.
    pub path: String,
}

/// An event source mapping.
#[derive(Debug, Clone, PartialEq)]
pub enum EventSource {
    /// A DynamoDB stream or a Kinesis stream.
    Stream(StreamSource),
    /// An SQS queue.
    Queue(QueueSource),
}

/// What a stream source reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamKind {
    /// The stream of the table with this physical name.
    DynamoDb(String),
    /// The Kinesis stream with this physical name.
    Kinesis(String),
}

/// A mapping from a stream, with the settings of `CreateEventSourceMapping`.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSource {
    /// Unique and stable across restarts (function and event logical ids); checkpoints are kept under it.
    pub id: String,
    /// The stream.
    pub stream: StreamKind,
    /// `TRIM_HORIZON` if true, else `LATEST`.
    pub from_oldest: bool,
    /// `BatchSize`.
    pub batch_size: u32,
    /// `MaximumBatchingWindowInSeconds`.
    pub batching_window: Duration,
    /// `ParallelizationFactor`, 1–10 concurrent batches a shard.
    pub parallelization_factor: u32,
    /// `BisectBatchOnFunctionError`.
    pub bisect: bool,
    /// `MaximumRetryAttempts`; none means without end.
    pub max_retries: Option<u32>,
    /// `MaximumRecordAgeInSeconds`; none means without end.
    pub max_record_age: Option<Duration>,
    /// Whether `FunctionResponseTypes` has `ReportBatchItemFailures`.
    pub report_failures: bool,
    /// Physical name of the queue that is told of batches given up.
    pub on_failure_queue: Option<String>,
    /// `FilterCriteria` patterns; a record passes if any matches, or if there is none.
    pub filters: Vec<serde_json::Value>,
}

/// A mapping from a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSource {
    /// Unique and stable across restarts.
    pub id: String,
    /// Physical name of the queue.
    pub queue: String,
    /// `BatchSize`.
    pub batch_size: u32,
    /// `MaximumBatchingWindowInSeconds`.
    pub batching_window: Duration,
    /// Whether `FunctionResponseTypes` has `ReportBatchItemFailures`.
    pub report_failures: bool,
    /// `ScalingConfig.MaximumConcurrency`.
    pub max_concurrency: Option<u32>,
    /// `FilterCriteria` patterns on the message body.
    pub filters: Vec<serde_json::Value>,
}

/// The HTTP API without its routes, which stand with the functions.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpApi {
    /// CORS, if configured.
    pub cors: Option<Cors>,
    /// The JWT authorizer of every route, if there is one.
    pub authorizer: Option<JwtAuthorizer>,
}

/// `CorsConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cors {
    /// Origins; `*` means any.
    pub allow_origins: Vec<String>,
    /// Methods; `*` means any.
    pub allow_methods: Vec<String>,
    /// Headers; `*` means any.
    pub allow_headers: Vec<String>,
    /// Response headers that scripts may read.
    pub expose_headers: Vec<String>,
    /// Whether cookies are allowed.
    pub allow_credentials: bool,
    /// How long a browser may cache a preflight answer.
    pub max_age: Option<Duration>,
}

/// A JWT authorizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtAuthorizer {
    /// Required `iss`.
    pub issuer: String,
    /// `aud` (or `client_id`) must be one of these.
    pub audience: Vec<String>,
}
