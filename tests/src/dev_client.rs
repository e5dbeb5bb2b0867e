//! A client of what only the local stack has: tokens for any user, its status, a switch for its event sources, and
//! direct calls of its embedded servers, for tests that change or count what no HTTP route can.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// How many polls in a row must find the stack idle. A single poll can miss a message between two places.
const IDLE_POLLS: u32 = 8;
/// The sort key of what a home says about visits. Those of its rows come before it.
pub const VISIT: &str = "ffffffff-ffff-7fff-bfff-ffffffffffff";
/// The queue for events and tasks that failed repeatedly.
pub const QUARANTINE: &str = "tidings-Quarantine";
/// The queue for reports of event source mappings about records that they gave up.
pub const FAILED_BATCHES: &str = "tidings-FailedBatches";

const POLL: Duration = Duration::from_millis(40);
/// The longest time that a process caches what it has read: the rows of celebrities.
const CACHES_EXPIRE: Duration = Duration::from_secs(5);
/// Longer than the timeout of every function.
const INVOCATION: Duration = Duration::from_secs(200);

/// Answer of `GET /dev/status`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the route")]
pub struct Status {
    pub idle: bool,
    pub processes: Vec<Process>,
    pub sources: Vec<Source>,
    pub queues: Vec<Queue>,
    pub endpoints: Endpoints,
}

/// A function's process.
#[derive(Debug, Clone, Deserialize)]
pub struct Process {
    /// Logical id of the function.
    pub function: String,
    /// Process id.
    pub pid: u32,
    /// Resident memory.
    pub memory_bytes: u64,
}

/// An event source mapping.
#[derive(Debug, Clone, Deserialize)]
pub struct Source {
    /// The logical ids of the function and of the event.
    pub id: String,
    /// Whether nothing is in flight and nothing can be read.
    pub idle: bool,
}

/// A queue's depth.
#[derive(Debug, Clone, Deserialize)]
pub struct Queue {
    /// Physical name.
    pub name: String,
    /// Messages that can be received now.
    pub visible: u64,
    /// Messages received and not yet deleted.
    pub in_flight: u64,
}

/// Where the embedded servers listen.
#[derive(Debug, Clone, Deserialize)]
pub struct Endpoints {
    /// URL of DynamoDB.
    pub dynamodb: String,
    /// URL of SQS.
    pub sqs: String,
}

/// A client of one local stack.
#[derive(Debug, Clone)]
pub struct DevClient {
    http: reqwest::Client,
    base: String,
}

impl DevClient {
    /// A client of the stack at `base`.
    pub fn new(http: reqwest::Client, base: &str) -> Self {
        Self { http, base: base.to_owned() }
    }

    /// A token whose `sub` is `user`.
    pub async fn token(&self, user: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Token {
            token: String,
        }
        let request = self.http.post(format!("{}/dev/token", self.base)).json(&json!({ "user": user }));
        let response = request.send().await?.error_for_status().context("asking for a token")?;
        Ok(response.json::<Token>().await?.token)
    }

    /// What the stack is doing.
    pub async fn status(&self) -> Result<Status> {
        let response = self.http.get(format!("{}/dev/status", self.base)).send().await?.error_for_status()?;
        response.json().await.context("reading /dev/status")
    }

    /// The state of each of the template's alarms, by the alarm's logical id, if every period was `period_s` long.
    pub async fn alarms(&self, period_s: u32) -> Result<BTreeMap<String, String>> {
        #[derive(Deserialize)]
        struct Alarms {
            alarms: Vec<Alarm>,
        }
        #[derive(Deserialize)]
        struct Alarm {
            name: String,
            state: String,
        }
        let url = format!("{}/dev/alarms?period={period_s}", self.base);
        let Alarms { alarms } = self.http.get(url).send().await?.error_for_status()?.json().await?;
        Ok(alarms.into_iter().map(|alarm| (alarm.name, alarm.state)).collect())
    }

    /// The sum of a metric of the functions within the last five minutes.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let response = self.http.get(format!("{}/dev/metrics", self.base)).send().await?.error_for_status()?;
        let all: Value = response.json().await?;
        let metrics = all["metrics"].as_array().context("no metrics")?;
        let found = metrics.iter().find(|metric| metric["namespace"] == "Tidings" && metric["name"] == name);
        Ok(found.and_then(|metric| metric["statistics"]["sum"].as_f64()).unwrap_or_default())
    }

    /// Pauses the event source mappings, or lets them go on.
    pub async fn pause_sources(&self, paused: bool) -> Result<()> {
        let request = self.http.post(format!("{}/dev/sources", self.base)).json(&json!({ "paused": paused }));
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Waits until everything is projected and all caches have expired.
    pub async fn settle(&self, patience: Duration) -> Result<()> {
        self.idle(patience).await?;
        sleep(CACHES_EXPIRE).await;
        Ok(())
    }

    /// Waits until everything is projected. Processes may still answer from their caches.
    pub async fn idle(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let mut idle = 0;
        while idle < IDLE_POLLS {
            let status = self.status().await?;
            idle = if status.idle { idle + 1 } else { 0 };
            ensure!(
                Instant::now() < deadline,
                "not idle within {patience:?}: {:?} {:?}",
                status.sources,
                status.queues
            );
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Invokes a function through Lambda's Invoke API, as an administrator does. An error of the function is an error
    /// here.
    pub async fn invoke(&self, function: &str, payload: &Value) -> Result<Value> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.base);
        let response = self.http.post(url).timeout(INVOCATION).body(payload.to_string()).send().await?;
        let failed = response.headers().contains_key("x-amz-function-error") || !response.status().is_success();
        let answer = response.text().await?;
        ensure!(!failed, "{function}: {answer}");
        Ok(serde_json::from_str(&answer)?)
    }

    /// Calls the embedded DynamoDB directly, for tests that corrupt or count data.
    pub async fn dynamodb(&self, action: &str, body: &Value) -> Result<Value> {
        let endpoint = self.status().await?.endpoints.dynamodb;
        self.dynamodb_at(&endpoint, action, body).await
    }

    /// Like [`DevClient::dynamodb`], for callers that already know the endpoint.
    pub async fn dynamodb_at(&self, endpoint: &str, action: &str, body: &Value) -> Result<Value> {
        self.call(endpoint, &format!("DynamoDB_20120810.{action}"), body).await
    }

    /// Calls the embedded SQS about one of the stack's queues; `body` needs no `QueueUrl`.
    pub async fn sqs(&self, action: &str, queue: &str, mut body: Value) -> Result<Value> {
        let endpoint = self.status().await?.endpoints.sqs;
        body["QueueUrl"] = Value::from(format!("{endpoint}/000000000000/{queue}"));
        self.call(&endpoint, &format!("AmazonSQS.{action}"), &body).await
    }

    async fn call(&self, endpoint: &str, target: &str, body: &Value) -> Result<Value> {
        // The embedded servers require a signature, and accept any.
        const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/service/aws4_request, \
                                     SignedHeaders=host;x-amz-date, Signature=0";
        let request = self
            .http
            .post(endpoint)
            .header("X-Amz-Target", target)
            .header("Content-Type", "application/x-amz-json-1.0")
            .header("X-Amz-Date", "20260101T000000Z")
            .header("Authorization", AUTHORIZATION)
            .body(body.to_string());
        let response = request.send().await?;
        let status = response.status();
        let answer = response.text().await?;
        ensure!(status.is_success(), "{target}: {status}: {answer}");
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_str(&answer)? })
    }

    /// The queues with messages that were put aside for a person, and the number of messages in each. These queues have
    /// no reader.
    pub async fn put_aside(&self) -> Result<Vec<(String, u64)>> {
        let kept = |queue: &Queue| [QUARANTINE, FAILED_BATCHES].contains(&queue.name.as_str());
        let queues = self.status().await?.queues.into_iter().filter(kept);
        Ok(queues.map(|queue| (queue.name, queue.visible + queue.in_flight)).filter(|(_, count)| *count > 0).collect())
    }

    /// The number of items in a table, from a scan.
    pub async fn count_items(&self, table: &str) -> Result<u64> {
        let mut count = 0;
        let mut start = Value::Null;
        loop {
            let mut scan = json!({ "TableName": table, "Select": "COUNT" });
            if !start.is_null() {
                scan["ExclusiveStartKey"] = start;
            }
            let page = self.dynamodb("Scan", &scan).await?;
            count += page["Count"].as_u64().context("Scan without a count")?;
            start = page["LastEvaluatedKey"].clone();
            if start.is_null() {
                return Ok(count);
            }
        }
    }
}

/// A key of the project's tables, `PK` and `SK`, in DynamoDB's JSON.
pub fn key(partition: &str, sort: &str) -> Value {
    json!({ "PK": { "S": partition }, "SK": { "S": sort } })
}
