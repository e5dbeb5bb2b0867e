//! What functions are called with: requests of the HTTP API, and batches of event sources. Of a batch, this module
//! reads what leads from one stop of an event to the next: whose event it is, and which post it is about. What it does
//! not know, it leaves out, because the functions alone decide what a record means.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::Value;

/// The most records of a batch that are named.
const RECORDS_NAMED_MAX: usize = 100;

/// A call of a function.
#[derive(Debug)]
pub(super) enum Call {
    /// By the gateway.
    Request(Request),
    /// By an event source.
    Batch(Batch),
}

/// A request to the HTTP API and what came back.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// The route, for example `GET /v1/posts/{post}`.
    pub route: String,
    /// The path as it was requested.
    pub path: String,
    /// The caller, if the route needs a token.
    pub user: Option<String>,
    /// The status of the answer. `None` if the function did not answer.
    pub status: Option<u64>,
    /// The answer's `Tidings-Cost`.
    pub cost: Option<String>,
    /// The answer's `Tidings-Version`.
    pub version: Option<u64>,
    /// The answer's `Location`.
    pub location: Option<String>,
}

/// Records that an event source gives to a function.
#[derive(Debug, Clone, Serialize)]
pub struct Batch {
    /// Where they come from: `dynamodb`, `kinesis` or `sqs`.
    pub source: String,
    /// How many there are.
    pub size: usize,
    /// The first of them.
    pub records: Vec<Record>,
}

/// A record of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Record {
    /// What it is: the event's name, the type of the CloudEvent, or the name of the task.
    #[serde(rename = "type")]
    pub kind: String,
    /// The user and the version of the event in the user's log, for example `ada/7`. Otherwise another name.
    pub id: String,
    /// The post that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    /// When the command decided, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<i64>,
    /// How many users a task concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<usize>,
}

/// Reads the payload of a call. `None` if it is neither a request nor a batch.
pub(super) fn read(payload: &[u8]) -> Option<Call> {
    let payload: Value = serde_json::from_slice(payload).ok()?;
    if let Some(route) = payload["routeKey"].as_str() {
        return Some(Call::Request(Request {
            route: route.to_owned(),
            path: text(&payload["rawPath"]),
            user: payload["requestContext"]["authorizer"]["jwt"]["claims"]["sub"].as_str().map(ToOwned::to_owned),
            status: None,
            cost: None,
            version: None,
            location: None,
        }));
    }
    let records = payload["Records"].as_array()?;
    let source = records.first()?["eventSource"].as_str()?.trim_start_matches("aws:").to_owned();
    let read = match source.as_str() {
        "dynamodb" => of_table,
        "kinesis" => of_bus,
        "sqs" => of_queue,
        _ => return None,
    };
    let named = records.iter().take(RECORDS_NAMED_MAX).map(read).collect();
    Some(Call::Batch(Batch { source, size: records.len(), records: named }))
}

impl Request {
    /// The request with what the function answered.
    pub(super) fn answered(mut self, answer: Option<&bytes::Bytes>) -> Self {
        let Some(answer) = answer.and_then(|answer| serde_json::from_slice::<Value>(answer).ok()) else {
            return self;
        };
        let header = |name: &str| answer["headers"][name].as_str().map(ToOwned::to_owned);
        self.status = answer["statusCode"].as_u64();
        self.cost = header("tidings-cost");
        self.version = header("tidings-version").and_then(|version| version.parse().ok());
        self.location = header("location");
        self
    }
}

/// Whether a function's answer to a batch reports failed records.
pub(super) fn reports_failures(answer: &[u8]) -> bool {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    answer["batchItemFailures"].as_array().is_some_and(|failures| !failures.is_empty())
}

/// A change of an item. The image has DynamoDB's types: `{"S": "text"}`.
fn of_table(record: &Value) -> Record {
    let (keys, image) = (&record["dynamodb"]["Keys"], &record["dynamodb"]["NewImage"]);
    let log_entry = image["user"]["S"].as_str().zip(image["version"]["N"].as_str());
    Record {
        kind: text(&image["type"]["S"]),
        id: match log_entry {
            Some((user, version)) => format!("{user}/{version}"),
            None => format!("{}/{}", text(&keys["PK"]["S"]), text(&keys["SK"]["S"])),
        },
        post: image["data"]["M"]["post"]["S"].as_str().map(ToOwned::to_owned),
        decided_at: image["at"]["N"].as_str().and_then(|at| at.parse().ok()),
        users: None,
    }
}

/// A CloudEvent.
fn of_bus(record: &Value) -> Record {
    let data = record["kinesis"]["data"].as_str().and_then(|data| BASE64_STANDARD.decode(data).ok());
    let event: Value = data.and_then(|data| serde_json::from_slice(&data).ok()).unwrap_or_default();
    Record {
        kind: text(&event["type"]),
        id: text(&event["id"]),
        post: event["data"]["post"].as_str().map(ToOwned::to_owned),
        ..Record::default()
    }
}

/// A task: an object with one member, whose name is that of the task.
fn of_queue(record: &Value) -> Record {
    let body = record["body"].as_str().and_then(|body| serde_json::from_str(body).ok());
    let body: serde_json::Map<String, Value> = body.unwrap_or_default();
    let Some((kind, task)) = body.into_iter().next() else {
        return Record::default();
    };
    Record {
        kind,
        id: text(&record["messageId"]),
        post: task["post"].as_str().map(ToOwned::to_owned),
        users: task["viewers"].as_array().map(Vec::len),
        ..Record::default()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
