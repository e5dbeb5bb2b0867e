//! The embedded servers, helpers to create streams, tables, queues and mappings, and a function that follows a script.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_limits::sqs::InFlightRules;
use aws_sdk_dynamodb::types as dynamodb;
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_local::{
    aws,
    invoke::{Invoke, InvokeError},
    observe::Observer,
    servers::{Endpoints, Ports, Servers},
    sources::{Chaos, Clients, Pace, Sources},
    template::model::{EventSource, Function, QueueSource, StreamKind, StreamSource},
};

use crate::support::eventually;

/// The name of the function that all mappings invoke.
pub(crate) const FUNCTION: &str = "Function";

pub(crate) struct World {
    pub(crate) clients: Clients,
    /// The URL of DynamoDB.
    pub(crate) dynamodb: String,
    /// The URL of Kinesis.
    pub(crate) kinesis: String,
    directory: TempDir,
    _servers: Servers,
}

impl World {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (ports, endpoints) = Ports::open().unwrap();
        let servers = Servers::start(ports, directory.path(), Observer::default(), InFlightRules::default()).unwrap();
        let clients = Clients {
            dynamodb: aws::dynamodb(&endpoints.dynamodb),
            streams: aws::dynamodbstreams(&endpoints.dynamodb),
            kinesis: aws::kinesis(&endpoints.kinesis),
            sqs: aws::sqs(&endpoints.sqs),
            writes: None,
        };
        let Endpoints { dynamodb, kinesis, .. } = endpoints;
        Self { clients, dynamodb, kinesis, directory, _servers: servers }
    }

    /// A path for a file that does not exist yet.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) async fn stream(&self, name: &str, shards: i32) {
        self.clients.kinesis.create_stream().stream_name(name).shard_count(shards).send().await.unwrap();
        eventually("the stream to be active", async || {
            let described = self.clients.kinesis.describe_stream_summary().stream_name(name).send().await.unwrap();
            described.stream_description_summary.unwrap().stream_status.as_str() == "ACTIVE"
        })
        .await;
    }

    /// Puts a record. Returns its sequence number.
    pub(crate) async fn put(&self, stream: &str, key: &str, data: Value) -> String {
        let data = aws_sdk_kinesis::primitives::Blob::new(data.to_string());
        let request = self.clients.kinesis.put_record().stream_name(stream).partition_key(key).data(data);
        request.send().await.unwrap().sequence_number
    }

    /// Puts the records {"n": 0}, {"n": 1}, … with one partition key. Returns their sequence numbers.
    pub(crate) async fn put_numbers(&self, stream: &str, key: &str, numbers: std::ops::Range<u64>) -> Vec<String> {
        let mut sequences = Vec::new();
        for n in numbers {
            sequences.push(self.put(stream, key, json!({ "n": n })).await);
        }
        sequences
    }

    pub(crate) async fn table(&self, name: &str) {
        let attribute = dynamodb::AttributeDefinition::builder().attribute_name("PK");
        let key = dynamodb::KeySchemaElement::builder().attribute_name("PK").key_type(dynamodb::KeyType::Hash);
        let stream = dynamodb::StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(dynamodb::StreamViewType::NewAndOldImages);
        let request = self.clients.dynamodb.create_table().table_name(name);
        request
            .billing_mode(dynamodb::BillingMode::PayPerRequest)
            .attribute_definitions(attribute.attribute_type(dynamodb::ScalarAttributeType::S).build().unwrap())
            .key_schema(key.build().unwrap())
            .stream_specification(stream.build().unwrap())
            .send()
            .await
            .unwrap();
    }

    pub(crate) async fn put_item(&self, table: &str, key: &str, n: u64) {
        let request = self.clients.dynamodb.put_item().table_name(table);
        let n = dynamodb::AttributeValue::N(n.to_string());
        request.item("PK", dynamodb::AttributeValue::S(key.into())).item("n", n).send().await.unwrap();
    }

    pub(crate) async fn queue(&self, name: &str, attributes: &[(QueueAttributeName, String)]) -> String {
        let attributes: HashMap<_, _> = attributes.iter().cloned().collect();
        let request = self.clients.sqs.create_queue().queue_name(name).set_attributes(Some(attributes));
        request.send().await.unwrap().queue_url.unwrap()
    }

    pub(crate) async fn send(&self, queue_url: &str, body: &str) {
        self.clients.sqs.send_message().queue_url(queue_url).message_body(body).send().await.unwrap();
    }

    /// The numbers of visible and invisible messages of a queue.
    pub(crate) async fn messages(&self, queue_url: &str) -> (u64, u64) {
        let request = self.clients.sqs.get_queue_attributes().queue_url(queue_url);
        let attributes = request.attribute_names(QueueAttributeName::All).send().await.unwrap().attributes.unwrap();
        let number = |name| attributes[&name].parse().unwrap();
        (
            number(QueueAttributeName::ApproximateNumberOfMessages),
            number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        )
    }

    /// Takes one message from a queue, and waits for it.
    pub(crate) async fn take(&self, queue_url: &str) -> Message {
        let request = self.clients.sqs.receive_message().queue_url(queue_url).wait_time_seconds(20);
        let message = request.send().await.unwrap().messages.unwrap_or_default().pop().expect("a message within 20 s");
        let delete = self.clients.sqs.delete_message().queue_url(queue_url);
        delete.receipt_handle(message.receipt_handle.as_deref().unwrap()).send().await.unwrap();
        message
    }

    pub(crate) async fn take_json(&self, queue_url: &str) -> Value {
        serde_json::from_str(self.take(queue_url).await.body.as_deref().unwrap()).unwrap()
    }

    /// Starts mappings with their checkpoints in the file `checkpoints` of this world.
    pub(crate) async fn sources<I: Invoke>(&self, sources: Vec<EventSource>, chaos: Chaos, invoker: I) -> Sources {
        let function = Function { timeout: Duration::from_secs(10), sources, ..Function::named(FUNCTION) };
        let checkpoints = self.file("checkpoints.sqlite");
        Sources::start(&[function], &self.clients, Some(&checkpoints), chaos, Pace::LOCAL, invoker).await.unwrap()
    }

    /// Starts one mapping from a stream.
    pub(crate) async fn stream_source<I: Invoke>(&self, source: StreamSource, invoker: I) -> Sources {
        self.sources(vec![EventSource::Stream(source)], Chaos::default(), invoker).await
    }

    /// Starts one mapping from a queue.
    pub(crate) async fn queue_source<I: Invoke>(&self, source: QueueSource, invoker: I) -> Sources {
        self.sources(vec![EventSource::Queue(source)], Chaos::default(), invoker).await
    }
}

/// A mapping from a stream with default settings, except that it reports failures.
pub(crate) fn from_stream(stream: StreamKind) -> StreamSource {
    StreamSource {
        id: "source".into(),
        stream,
        enhanced_fan_out: false,
        from_oldest: true,
        batch_size: 100,
        batching_window: Duration::ZERO,
        parallelization_factor: 1,
        bisect: false,
        max_retries: None,
        max_record_age: None,
        report_failures: true,
        on_failure_queue: None,
        filters: vec![],
    }
}

pub(crate) fn from_kinesis(stream: &str) -> StreamSource {
    from_stream(StreamKind::Kinesis(stream.into()))
}

pub(crate) fn from_queue(queue: &str) -> QueueSource {
    QueueSource {
        id: "source".into(),
        queue: queue.into(),
        batch_size: 10,
        batching_window: Duration::ZERO,
        report_failures: true,
        max_concurrency: None,
        provisioned_pollers: None,
        filters: vec![],
    }
}

type Behaviour = dyn Fn(&Value, usize) -> Answer + Send + Sync;
type Answer = Result<Value, InvokeError>;

/// A function that stores its events and answers by a script. The script gets the event and the number of the
/// invocation, starting from 1.
#[derive(Clone)]
pub(crate) struct Script {
    events: Arc<Mutex<Vec<Value>>>,
    answer: Arc<Behaviour>,
    /// How long an invocation takes.
    duration: Duration,
}

impl Script {
    pub(crate) fn new(answer: impl Fn(&Value, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self { events: Arc::default(), answer: Arc::new(answer), duration: Duration::ZERO }
    }

    /// Always succeeds.
    pub(crate) fn ok() -> Self {
        Self::new(|_, _| Ok(Value::Null))
    }

    /// Stops at the first record that is `bad`, and reports it.
    pub(crate) fn reports(bad: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        Self::new(move |event, _| {
            let failure =
                records(event).find(|record| bad(record)).map(|record| json!({ "itemIdentifier": id(record) }));
            Ok(json!({ "batchItemFailures": failure.into_iter().collect::<Vec<_>>() }))
        })
    }

    pub(crate) fn taking(self, duration: Duration) -> Self {
        Self { duration, ..self }
    }

    /// All events so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.events.lock().unwrap().clone()
    }

    /// The numbers (see [`number`]) of all records, invocation by invocation.
    pub(crate) fn batches(&self) -> Vec<Vec<u64>> {
        self.events().iter().map(|event| records(event).map(number).collect()).collect()
    }

    /// The numbers of all records, in the order of delivery.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.batches().concat()
    }
}

impl Invoke for Script {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        assert_eq!(function, FUNCTION);
        let event: Value = serde_json::from_slice(&payload).unwrap();
        let call = {
            let mut events = self.events.lock().unwrap();
            events.push(event.clone());
            events.len()
        };
        tokio::time::sleep(self.duration).await;
        (self.answer)(&event, call).map(|answer| answer.to_string().into())
    }
}

pub(crate) fn records(event: &Value) -> impl Iterator<Item = &Value> {
    event["Records"].as_array().expect("an event has records").iter()
}

/// The id to report a record by: its sequence number or its message id.
pub(crate) fn id(record: &Value) -> &str {
    let id = record["kinesis"]["sequenceNumber"].as_str().or(record["dynamodb"]["SequenceNumber"].as_str());
    id.or(record["messageId"].as_str()).expect("a record has an id")
}

/// The `n` in a record's payload.
pub(crate) fn number(record: &Value) -> u64 {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    if let Some(data) = record["kinesis"]["data"].as_str() {
        let data: Value = serde_json::from_slice(&STANDARD.decode(data).unwrap()).unwrap();
        return data["n"].as_u64().unwrap();
    }
    if let Some(body) = record["body"].as_str() {
        return serde_json::from_str::<Value>(body).unwrap()["n"].as_u64().unwrap();
    }
    record["dynamodb"]["NewImage"]["n"]["N"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn partition_key(record: &Value) -> &str {
    record["kinesis"]["partitionKey"].as_str().unwrap()
}

/// Waits until all sources were idle twice in a row.
pub(crate) async fn idle(sources: &Sources) {
    let all_idle = async || sources.status().await.iter().all(|source| source.idle);
    eventually("all sources to be idle", async || all_idle().await && all_idle().await).await;
}
