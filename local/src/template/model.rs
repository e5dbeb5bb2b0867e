//! The system that a template describes, after its parameters and intrinsic functions were resolved. These are plain
//! values in the units of this crate. What does not fit into this model is an error or a warning of the parser, so
//! nothing is lost silently.

use std::{collections::BTreeMap, time::Duration};

use aws_limits::{http_api::Throttle, lambda::Concurrency};

/// Everything in the template that has a meaning on one machine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct System {
    /// DynamoDB tables.
    pub tables: Vec<Table>,
    /// Names of tables that event sources read and that the template does not make. They have to exist already.
    pub other_tables: Vec<String>,
    /// Kinesis data streams.
    pub streams: Vec<KinesisStream>,
    /// SQS queues.
    pub queues: Vec<Queue>,
    /// Lambda functions, with what invokes them.
    pub functions: Vec<Function>,
    /// The HTTP API. A template has at most one.
    pub api: Option<HttpApi>,
    /// Function URLs, with those of nested stacks.
    pub function_urls: Vec<FunctionUrl>,
    /// Alarms about metrics, with those of nested stacks.
    pub alarms: Vec<Alarm>,
    /// Alarms about other alarms, with those of nested stacks.
    pub composite_alarms: Vec<CompositeAlarm>,
    /// Resources and properties without meaning on one machine, each with its position in the file.
    pub warnings: Vec<String>,
}

impl System {
    /// Whether consumers of the bus have enhanced fan-out.
    pub fn has_enhanced_fan_out(&self) -> bool {
        let mut sources = self.functions.iter().flat_map(|function| &function.sources);
        sources.any(|source| matches!(source, EventSource::Stream(stream) if stream.enhanced_fan_out))
    }
}

/// A DynamoDB table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The physical name, as `!Ref` returns it.
    pub name: String,
    /// The name and the scalar type (`S`, `N` or `B`) of each key attribute.
    pub attributes: Vec<(String, String)>,
    /// The key of the table.
    pub key: KeySchema,
    /// Global secondary indexes.
    pub indexes: Vec<Index>,
    /// The `StreamViewType`, if the table has a stream.
    pub stream_view: Option<String>,
    /// The attribute with an item's expiry in epoch seconds.
    pub ttl_attribute: Option<String>,
}

/// The names of the partition key and of the optional sort key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySchema {
    /// The key of type `HASH`.
    pub partition: String,
    /// The key of type `RANGE`.
    pub sort: Option<String>,
}

/// A global secondary index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The name of the index.
    pub name: String,
    /// The key of the index.
    pub key: KeySchema,
    /// `ALL`, `KEYS_ONLY` or `INCLUDE`.
    pub projection: String,
    /// With `INCLUDE`: the attributes besides the keys.
    pub non_key_attributes: Vec<String>,
}

/// A Kinesis data stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KinesisStream {
    /// The physical name.
    pub name: String,
    /// The number of shards. An on-demand stream starts with four, as on AWS.
    pub shards: u32,
}

/// A standard SQS queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The physical name.
    pub name: String,
    /// How long a received message stays hidden.
    pub visibility_timeout: Duration,
    /// How long a message is kept.
    pub retention: Duration,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
}

/// A queue's redrive policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// The physical name of the dead-letter queue.
    pub dead_letter_queue: String,
    /// After this many receives, a message moves.
    pub max_receive_count: u32,
}

/// A Lambda function.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// The logical id in the template. The other parts of this crate call the function by it.
    pub name: String,
    /// The physical name, as `!Ref` returns it.
    pub physical_name: String,
    /// The binary that `cargo` builds for the function (`Metadata.BuildProperties.Binary`).
    pub binary: String,
    /// The environment, with all references resolved.
    pub environment: BTreeMap<String, String>,
    /// The time limit of one invocation.
    pub timeout: Duration,
    /// The memory in MiB. The function is told this number, but the limit is not enforced.
    pub memory_mib: u32,
    /// `ReservedConcurrentExecutions`.
    pub max_concurrency: Option<u32>,
    /// `ProvisionedConcurrencyConfig.ProvisionedConcurrentExecutions`; 0 without it.
    pub provisioned: u32,
    /// Whether `RecursiveLoop` is `Allow`: one chain of requests may invoke the function any number of times.
    pub allows_recursion: bool,
    /// Routes of the HTTP API that invoke it.
    pub routes: Vec<Route>,
    /// Streams, queues and schedules that invoke it.
    pub sources: Vec<EventSource>,
    /// What the function may do, from its own inline policies.
    pub statements: Vec<Statement>,
}

impl Function {
    /// A function of this name, without anything else.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            physical_name: name.to_owned(),
            binary: name.to_owned(),
            environment: BTreeMap::new(),
            timeout: Duration::from_secs(3),
            memory_mib: 128,
            max_concurrency: None,
            provisioned: 0,
            allows_recursion: false,
            routes: Vec::new(),
            sources: Vec::new(),
            statements: Vec::new(),
        }
    }

    /// What the function has of the account's concurrency for itself.
    pub fn concurrency(&self) -> Concurrency {
        Concurrency { reserved: self.max_concurrency.map(f64::from), provisioned: f64::from(self.provisioned) }
    }
}

/// A statement of a policy. It allows all of its actions on all of its resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Actions, for example `dynamodb:GetItem`.
    pub actions: Vec<String>,
    /// ARNs of the resources.
    pub resources: Vec<String>,
    /// If present, the statement allows access only to these partitions of the tables (`dynamodb:LeadingKeys`). One
    /// that ends with `*` stands for all that begin like it.
    pub leading_keys: Option<Vec<String>>,
}

/// A metric of CloudWatch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricId {
    /// The namespace, for example `AWS/Lambda`.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The dimensions. Metrics of one name with different dimensions are different metrics.
    pub dimensions: BTreeMap<String, String>,
}

impl MetricId {
    /// The metric with these dimensions.
    pub fn new<const N: usize>(namespace: &str, name: &str, dimensions: [(&str, String); N]) -> Self {
        let dimensions = dimensions.map(|(name, value)| (name.to_owned(), value)).into();
        Self { namespace: namespace.to_owned(), name: name.to_owned(), dimensions }
    }
}

/// What is made of the values of a period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// Their sum.
    Sum,
    /// Their number.
    SampleCount,
    /// Their mean.
    Average,
    /// The smallest one.
    Minimum,
    /// The largest one.
    Maximum,
    /// So many percent of the values are this large at most.
    Percentile(f64),
}

/// An alarm about metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// The logical id in the template.
    pub id: String,
    /// The physical name, as `!Ref` returns it.
    pub name: String,
    /// `AlarmDescription`.
    pub description: String,
    /// The metrics. The alarm looks at their sum.
    pub metrics: Vec<AlarmMetric>,
    /// The length of a period in seconds.
    pub period_s: u32,
    /// How many of the last periods count.
    pub evaluation_periods: u32,
    /// How many of these have to be beyond the threshold.
    pub datapoints: u32,
    /// What is beyond the threshold.
    pub comparison: Comparison,
    /// The threshold.
    pub threshold: f64,
    /// What a period without data counts as.
    pub missing: MissingData,
}

/// A metric that an alarm looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmMetric {
    /// The metric.
    pub metric: MetricId,
    /// What is made of its values.
    pub statistic: Statistic,
}

/// Which values are beyond a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `GreaterThanThreshold`.
    Greater,
    /// `GreaterThanOrEqualToThreshold`.
    GreaterOrEqual,
    /// `LessThanThreshold`.
    Less,
    /// `LessThanOrEqualToThreshold`.
    LessOrEqual,
}

/// `TreatMissingData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingData {
    /// A period without data is beyond the threshold.
    Breaching,
    /// A period without data is not beyond the threshold.
    NotBreaching,
    /// A period without data tells nothing.
    Unknown,
}

/// An alarm about other alarms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompositeAlarm {
    /// The logical id in the template.
    pub id: String,
    /// `AlarmDescription`.
    pub description: String,
    /// The physical names of alarms. It fires when one of them does.
    pub any_of: Vec<String>,
}

/// One route of the HTTP API, for example `GET` and `/v1/users/{user}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method in capitals.
    pub method: String,
    /// The path with `{parameters}`.
    pub path: String,
}

/// An event source: an event source mapping, or a schedule.
#[derive(Debug, Clone, PartialEq)]
pub enum EventSource {
    /// A DynamoDB stream or a Kinesis stream.
    Stream(StreamSource),
    /// An SQS queue.
    Queue(QueueSource),
    /// A schedule.
    Schedule(ScheduleSource),
}

/// The stream that a mapping reads.
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
    /// Unique, and the same after a restart (logical ids of function and event). Checkpoints are stored under this id.
    pub id: String,
    /// The stream.
    pub stream: StreamKind,
    /// Whether it is read by a consumer with enhanced fan-out.
    pub enhanced_fan_out: bool,
    /// `TRIM_HORIZON` if true, otherwise `LATEST`.
    pub from_oldest: bool,
    /// `BatchSize`.
    pub batch_size: u32,
    /// `MaximumBatchingWindowInSeconds`.
    pub batching_window: Duration,
    /// `ParallelizationFactor`: 1–10 concurrent batches for each shard.
    pub parallelization_factor: u32,
    /// `BisectBatchOnFunctionError`.
    pub bisect: bool,
    /// `MaximumRetryAttempts`. `None` means no limit.
    pub max_retries: Option<u32>,
    /// `MaximumRecordAgeInSeconds`. `None` means no limit.
    pub max_record_age: Option<Duration>,
    /// Whether `FunctionResponseTypes` contains `ReportBatchItemFailures`.
    pub report_failures: bool,
    /// The physical name of the queue that receives a report about batches that were given up.
    pub on_failure_queue: Option<String>,
    /// `FilterCriteria` patterns. A record passes if one of them matches, or if there are none.
    pub filters: Vec<serde_json::Value>,
}

/// A mapping from a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSource {
    /// Unique, and the same after a restart.
    pub id: String,
    /// The physical name of the queue.
    pub queue: String,
    /// `BatchSize`.
    pub batch_size: u32,
    /// `MaximumBatchingWindowInSeconds`.
    pub batching_window: Duration,
    /// Whether `FunctionResponseTypes` contains `ReportBatchItemFailures`.
    pub report_failures: bool,
    /// `ScalingConfig.MaximumConcurrency`.
    pub max_concurrency: Option<u32>,
    /// `ProvisionedPollerConfig`, whose minimum and maximum are this.
    pub provisioned_pollers: Option<u32>,
    /// `FilterCriteria` patterns on the message body.
    pub filters: Vec<serde_json::Value>,
}

/// A rule of EventBridge that invokes a function again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleSource {
    /// Unique, and the same after a restart.
    pub id: String,
    /// How often. The first invocation comes after this time.
    pub every: Duration,
    /// The event of each invocation, instead of EventBridge's own.
    pub input: Option<String>,
}

/// The HTTP API without its routes, which belong to the functions.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpApi {
    /// The physical name, as `!Ref` returns it: the id of the API.
    pub name: String,
    /// CORS, if it is configured.
    pub cors: Option<Cors>,
    /// The JWT authorizer of every route, if there is one.
    pub authorizer: Option<JwtAuthorizer>,
    /// The throttling of each route, if there is one.
    pub throttle: Option<Throttle>,
}

/// A function URL without authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionUrl {
    /// The physical name of the function that it invokes.
    pub function: String,
    /// CORS, if it is configured.
    pub cors: Option<Cors>,
}

/// `CorsConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cors {
    /// Allowed origins; `*` means any.
    pub allow_origins: Vec<String>,
    /// Allowed methods; `*` means any.
    pub allow_methods: Vec<String>,
    /// Allowed headers; `*` means any.
    pub allow_headers: Vec<String>,
    /// Response headers that scripts may read.
    pub expose_headers: Vec<String>,
    /// Whether credentials are allowed.
    pub allow_credentials: bool,
    /// How long a browser may cache the answer to a preflight request.
    pub max_age: Option<Duration>,
}

/// A JWT authorizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtAuthorizer {
    /// The required `iss`.
    pub issuer: String,
    /// `aud` (or `client_id`) must be one of these.
    pub audience: Vec<String>,
}
