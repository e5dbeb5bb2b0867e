//! DynamoDB with its streams, Kinesis and SQS in memory, called through the real AWS SDKs without a network: a test
//! gives [`config`] to the code under test, which cannot tell the difference. Nothing here is slow, random or wrong
//! by itself; the crate `simulation` puts a [`Server`] of its own in front, which adds latency and faults.
//!
//! [`connector`] replaces the SDKs' HTTP client. [`dynamodb`] is dynoxide, [`kinesis`] is ours, and SQS is the queue
//! server of the local stack. All three have AWS's limits and errors as far as Tidings can meet them. Records are kept
//! for ever, shards are never split, and reads are consistent unless a [`replica`] is asked.

pub mod connector;
mod dynamodb;
mod kinesis;
mod replica;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_limits::sqs::InFlightRules;
use aws_smithy_async::{
    rt::sleep::{SharedAsyncSleep, TokioSleep},
    time::{SharedTimeSource, SystemTimeSource},
};
use futures::{FutureExt as _, future::BoxFuture};
use serde_json::{Value, json};
use tidings_local::{servers::sqs::Queues, sources::Writes};

pub use connector::{Answer, Refused, Request, Server, Service};
use kinesis::Kinesis;
use replica::Replica;

/// What operations of tables and streams begin with that change nothing.
const READS: [&str; 7] = ["Get", "Query", "Scan", "BatchGet", "TransactGet", "Describe", "List"];

/// What queue URLs begin with.
pub const QUEUES_URL: &str = "http://sqs.memory";

/// The three services.
pub struct Aws {
    dynamodb: dynoxide::Database,
    replica: Option<Replica>,
    kinesis: Mutex<Kinesis>,
    queues: Mutex<Queues>,
    /// The time of the queues, in milliseconds since 1970.
    queue_time: Box<dyn Fn() -> i64 + Send + Sync>,
    writes: Arc<Writes>,
}

impl Aws {
    /// Without any table, stream or queue.
    ///
    /// # Errors
    /// If SQLite cannot open a database in memory.
    pub fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let writes = Arc::<Writes>::default();
        Ok(Self {
            dynamodb: dynoxide::Database::memory()?,
            replica: None,
            kinesis: Mutex::new(Kinesis::new(Arc::clone(&writes))),
            queues: Mutex::new(Queues::in_memory(QUEUES_URL)?),
            queue_time: Box::new(now_ms),
            writes,
        })
    }

    /// The same with queues that take the time, in milliseconds since 1970, from this function: by it, messages wait.
    #[must_use]
    pub fn with_queue_time(self, now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { queue_time: Box::new(now_ms), ..self }
    }

    /// The same with queues whose message groups are noisy by this rule.
    #[must_use]
    pub fn with_in_flight_rules(self, rules: InFlightRules) -> Self {
        lock(&self.queues).set_in_flight_rules(rules);
        self
    }

    /// The same with a copy of DynamoDB that may be behind, by times that are drawn from the seed. There must be no
    /// table yet.
    ///
    /// # Errors
    /// If SQLite cannot open a database in memory.
    pub fn with_replica(self, seed: u64) -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self { replica: Some(Replica::new(seed)?), ..self })
    }

    /// How far a partition of the copy is behind at most, for what is written from now on.
    pub fn set_replica_lag_max(&self, lag_max: Duration) {
        self.replica.iter().for_each(|replica| replica.set_lag_max(lag_max));
    }

    /// What the copy answers to a read that asks for no consistency. None if it is not behind, or if there is none.
    pub fn read_replica(&self, request: &Request) -> Option<Answer> {
        let Request { service: Service::DynamoDb, operation, body } = request else { return None };
        self.replica.as_ref()?.read(operation, body)
    }

    /// The same with DynamoDB in a file of this directory, which has to be new. A table with a stream gets slower with
    /// every write in memory, because SQLite cannot be given an index there. In a file, it stays fast.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn in_directory(directory: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let path = directory.join("dynamodb.sqlite");
        let dynamodb = dynoxide::Database::new(path.to_str().ok_or("the path is not UTF-8")?)?;
        dynamodb.enable_bulk_loading()?;
        tidings_local::servers::dynamodb::index_stream_records(&path)?;
        Ok(Self { dynamodb, ..Self::new()? })
    }

    /// Writes items without limits and without records in the table's stream.
    ///
    /// # Errors
    /// If there is no such table, or an item is none.
    pub fn import(&self, table: &str, items: Vec<Value>) -> Result<(), Box<dyn std::error::Error>> {
        let items = items.into_iter().map(serde_json::from_value).collect::<Result<Vec<_>, _>>()?;
        self.dynamodb.import_items(table, items, dynoxide::ImportOptions::default())?;
        Ok(())
    }

    /// Answers a request at once. A receive does not wait for messages.
    pub fn apply(&self, request: &Request) -> Answer {
        let Request { service, operation, body } = request;
        match service {
            Service::DynamoDb | Service::DynamoDbStreams => self.call_dynamodb(operation, body),
            Service::Kinesis => lock(&self.kinesis).call(now_ms(), operation, body),
            Service::Sqs => {
                let answer = lock(&self.queues).call((self.queue_time)(), operation, body);
                Answer { status: answer.status, body: answer.body.into(), query_error: answer.query_error }
            }
        }
    }

    /// Makes a table with the string keys `PK` and, unless it is told otherwise, `SK`.
    pub fn create_table(&self, name: &str, has_sort_key: bool) -> Answer {
        let keys = [("PK", "HASH"), ("SK", "RANGE")];
        let keys = &keys[..if has_sort_key { 2 } else { 1 }];
        let attributes: Vec<_> =
            keys.iter().map(|(name, _)| json!({"AttributeName": name, "AttributeType": "S"})).collect();
        let schema: Vec<_> = keys.iter().map(|(name, kind)| json!({"AttributeName": name, "KeyType": kind})).collect();
        let request = json!({
            "TableName": name, "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": attributes, "KeySchema": schema,
        });
        self.dynamodb("CreateTable", &request)
    }

    /// Makes a queue; gives its URL.
    pub fn create_queue(&self, name: &str) -> String {
        let body = json!({"QueueName": name}).to_string().into();
        self.apply(&Request { service: Service::Sqs, operation: "CreateQueue".to_owned(), body });
        queue_url(name)
    }

    /// An operation of DynamoDB, past the SDK.
    pub fn dynamodb(&self, operation: &str, request: &Value) -> Answer {
        self.call_dynamodb(operation, request.to_string().as_bytes())
    }

    fn call_dynamodb(&self, operation: &str, body: &[u8]) -> Answer {
        let answer = dynamodb::call(&self.dynamodb, operation, body);
        if !READS.iter().any(|read| operation.starts_with(read)) {
            if let Some(replica) = self.replica.as_ref().filter(|_| answer.status == 200) {
                replica.follow(&self.dynamodb, operation, body);
            }
            let body = String::from_utf8_lossy(body);
            self.writes.count_tables(|table| body.contains(table));
        }
        answer
    }

    /// The writes to tables and streams so far. Each is counted once it has taken effect.
    pub fn writes(&self) -> Arc<Writes> {
        Arc::clone(&self.writes)
    }

    /// An operation of SQS, past the SDK.
    pub fn sqs(&self, operation: &str, request: &Value) -> Value {
        let body = request.to_string().into();
        self.apply(&Request { service: Service::Sqs, operation: operation.to_owned(), body }).json()
    }

    /// Every item of a table, in no order.
    pub fn items(&self, table: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut start = Value::Null;
        loop {
            let mut request = json!({"TableName": table});
            if !start.is_null() {
                request["ExclusiveStartKey"] = start;
            }
            let mut page = self.dynamodb("Scan", &request).json();
            if let Value::Array(found) = page["Items"].take() {
                items.extend(found);
            }
            start = page["LastEvaluatedKey"].take();
            if start.is_null() {
                return items;
            }
        }
    }

    /// Data of every record of a Kinesis stream with its shard, in the order of each shard.
    pub fn records(&self, stream: &str) -> Vec<kinesis::Record> {
        lock(&self.kinesis).records(stream)
    }

    /// When the next hidden or delayed message of a queue becomes visible, in milliseconds since 1970.
    pub fn next_visible_ms(&self, queue_url: &str) -> Option<i64> {
        lock(&self.queues).next_visible_ms((self.queue_time)(), queue_url)
    }

    /// Deletes items whose time to live has passed, which AWS does within days.
    pub fn expire_items(&self) {
        // A table without a TTL has nothing to expire; there is nothing else that fails in memory.
        self.dynamodb.sweep_ttl().ok();
        self.replica.iter().for_each(Replica::expire_items);
        self.writes.count_tables(|_| true);
    }
}

/// Without latency or faults; receives do not wait.
impl Server for Aws {
    fn call(self: Arc<Self>, request: Request) -> BoxFuture<'static, Result<Answer, Refused>> {
        async move { Ok(self.apply(&request)) }.boxed()
    }
}

pub use kinesis::Record;

/// URL of the queue with this name.
pub fn queue_url(name: &str) -> String {
    format!("{QUEUES_URL}/{}/{name}", tidings_local::aws::ACCOUNT)
}

/// What the SDKs' clients are made from, so that they call `server`. The SDKs share a budget of retries among all
/// clients of one region in a process: clients that are to be apart get different regions.
pub fn config(server: Arc<dyn Server>, region: &str) -> SdkConfig {
    let credentials = Credentials::new("memory", "memory", None, None, "aws-memory");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .endpoint_url("http://aws.memory")
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(connector::InProcess::new(server))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(SharedTimeSource::new(SystemTimeSource::new()))
        .build()
}

fn now_ms() -> i64 {
    i64::try_from(time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use aws_sdk_kinesis::primitives::Blob;

    use super::*;

    fn aws() -> (Arc<Aws>, SdkConfig) {
        let aws = Arc::new(Aws::new().unwrap());
        (Arc::clone(&aws), config(aws, "us-east-1"))
    }

    #[tokio::test]
    async fn dynamodb_answers_the_sdk() {
        let (aws, config) = aws();
        assert_eq!(aws.create_table("table", true).status, 200);
        let client = aws_sdk_dynamodb::Client::new(&config);
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let put = || client.put_item().table_name("table").item("PK", text("a")).item("SK", text("b"));
        put().send().await.unwrap();
        let refused = put().condition_expression("attribute_not_exists(PK)").send().await.unwrap_err();
        assert!(refused.as_service_error().unwrap().is_conditional_check_failed_exception());
        assert_eq!(aws.items("table"), [json!({"PK": {"S": "a"}, "SK": {"S": "b"}})]);
    }

    #[tokio::test]
    async fn kinesis_answers_the_sdk() {
        let (aws, config) = aws();
        let client = aws_sdk_kinesis::Client::new(&config);
        client.create_stream().stream_name("s").shard_count(2).send().await.unwrap();
        let record = aws_sdk_kinesis::types::PutRecordsRequestEntry::builder().data(Blob::new(b"x")).partition_key("k");
        client.put_records().stream_name("s").records(record.build().unwrap()).send().await.unwrap();
        assert_eq!(aws.records("s").into_iter().map(|record| record.data).collect::<Vec<_>>(), [b"x"]);
        let missing = client.put_records().stream_name("t").records(
            aws_sdk_kinesis::types::PutRecordsRequestEntry::builder()
                .data(Blob::new(b"x"))
                .partition_key("k")
                .build()
                .unwrap(),
        );
        assert!(missing.send().await.unwrap_err().as_service_error().unwrap().is_resource_not_found_exception());
    }

    #[tokio::test]
    async fn sqs_answers_the_sdk() {
        let (aws, config) = aws();
        let url = aws.create_queue("q");
        let client = aws_sdk_sqs::Client::new(&config);
        client.send_message().queue_url(&url).message_body("hello").send().await.unwrap();
        let received = client.receive_message().queue_url(&url).send().await.unwrap();
        assert_eq!(received.messages()[0].body(), Some("hello"));
        assert!(aws.next_visible_ms(&url).is_some());
        let missing = client.send_message().queue_url(queue_url("r")).message_body("hello").send().await.unwrap_err();
        assert!(missing.as_service_error().unwrap().is_queue_does_not_exist());
    }
}
