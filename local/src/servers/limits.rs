//! Servers in front of the embedded DynamoDB and Kinesis that refuse what would be too much on AWS. `aws-limits` has
//! the model. They hold a new account's limits against the load of one machine. So mostly hot items and bursts are
//! refused.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use aws_limits::{
    Limits, Refusal,
    dynamodb::{Direction, DynamoDb, Schema, Throttled},
    kinesis::Stream,
};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
};
use base64::decoded_len_estimate;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{
    Endpoints,
    forward::{REQUEST_BYTES_MAX, Upstream},
};
use crate::{
    http_server::{self, Patience},
    loopback::only_this_machine,
    metrics::Metrics,
    template::model::{MetricId, System, Table},
};

const TARGET: &str = "x-amz-target";

/// The running servers. Dropping this value stops them.
#[derive(Debug)]
pub struct LimitingServers {
    /// The URLs of these servers; that of SQS is the one behind them, because standard queues have no limit.
    pub endpoints: Endpoints,
    tasks: Vec<JoinHandle<()>>,
}

struct Server {
    upstream: Upstream,
    began: Instant,
    model: Mutex<Model>,
    /// The name of the Kinesis stream.
    stream: String,
    metrics: Metrics,
}

enum Model {
    DynamoDb(DynamoDb),
    Kinesis(Stream),
}

impl LimitingServers {
    /// Starts the servers in front of those at `upstream`. What they refuse is recorded in `metrics`, as CloudWatch
    /// does.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(
        upstream: &Endpoints,
        system: &System,
        limits: &Limits,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let schema = |table: &Table| {
            let indexes = table.indexes.iter().map(|index| {
                (index.name.clone(), index.key.partition.clone(), index.key.sort.clone().unwrap_or_default())
            });
            let indexes = indexes.collect();
            let schema = Schema { partition: table.key.partition.clone(), sort: table.key.sort.clone(), indexes };
            (table.name.clone(), schema)
        };
        let schemas: BTreeMap<_, _> = system.tables.iter().map(schema).collect();
        let mut tasks = Vec::new();
        let mut before = async |url: &str, model| {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let own = format!("http://{}", listener.local_addr()?);
            let (upstream, began, model) = (Upstream::new(url), Instant::now(), Mutex::new(model));
            let stream = system.streams.first().map(|stream| stream.name.clone()).unwrap_or_default();
            let server = Arc::new(Server { upstream, began, model, stream, metrics: metrics.clone() });
            let router = Router::new().fallback(answer).layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX));
            let router = router.layer(middleware::from_fn(only_this_machine)).with_state(server);
            let served = http_server::serve(listener, router, Patience::LOCAL, std::future::pending());
            tasks.push(tokio::spawn(served));
            anyhow::Ok(own)
        };
        let endpoints = Endpoints {
            dynamodb: before(&upstream.dynamodb, Model::DynamoDb(DynamoDb::new(limits, schemas))).await?,
            kinesis: before(&upstream.kinesis, Model::Kinesis(Stream::new(limits))).await?,
            sqs: upstream.sqs.clone(),
        };
        Ok(Self { endpoints, tasks })
    }
}

impl Drop for LimitingServers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Server {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records throttled reads or writes of a table or an index.
    fn record_throttles(&self, throttled: Throttled, count: u64) {
        let name = match throttled.direction {
            Direction::Read => "ReadThrottleEvents",
            Direction::Write => "WriteThrottleEvents",
        };
        let mut metric = MetricId::new("AWS/DynamoDB", name, [("TableName", throttled.table)]);
        metric.dimensions.extend(throttled.index.map(|index| ("GlobalSecondaryIndexName".to_owned(), index)));
        self.metrics.record(metric, "Count", count as f64);
    }

    /// Records refused records or reads of the stream.
    fn record_refused(&self, name: &str, count: usize) {
        let metric = MetricId::new("AWS/Kinesis", name, [("StreamName", self.stream.clone())]);
        self.metrics.record(metric, "Count", count as f64);
    }

    /// Has the server behind this one do a request.
    async fn forward(
        &self,
        headers: &HeaderMap,
        target: &HeaderValue,
        request: &Value,
    ) -> Result<Value, Box<Response>> {
        let mut headers = headers.clone();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(TARGET, target.clone());
        let answer = self.upstream.forward(headers, request.to_string().into()).await;
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        match serde_json::from_slice(&body) {
            Ok(document) if parts.status == StatusCode::OK => Ok(document),
            _ => Err(Box::new(Response::from_parts(parts, Body::from(body)))),
        }
    }
}

async fn answer(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get(TARGET).cloned().unwrap_or_else(|| HeaderValue::from_static(""));
    let name = target.to_str().unwrap_or_default().to_owned();
    let operation = name.rsplit('.').next().unwrap_or_default();
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return server.upstream.forward(headers, body).await;
    };
    let answered = match operation {
        "PutRecords" => put_records(&server, &headers, &target, request).await,
        "GetRecords" | "GetShardIterator" if name.starts_with("Kinesis") => {
            read_shard(&server, &headers, &target, operation, &request).await
        }
        _ if name.starts_with("DynamoDB_") => dynamodb(&server, &headers, &target, operation, request).await,
        _ => return server.upstream.forward(headers, body).await,
    };
    answered.map_or_else(|error| *error, |answer| respond(StatusCode::OK, &answer))
}

async fn dynamodb(
    server: &Server,
    headers: &HeaderMap,
    target: &HeaderValue,
    operation: &str,
    mut request: Value,
) -> Result<Value, Box<Response>> {
    let indexed = match &*server.model() {
        Model::DynamoDb(tables) => tables.indexed(operation, &request),
        Model::Kinesis(_) => Vec::new(),
    };
    let mut before = Vec::with_capacity(indexed.len());
    for indexed in indexed {
        let get = HeaderValue::from_static("DynamoDB_20120810.GetItem");
        before.push(match indexed {
            Some(item) => {
                let asked = json!({"TableName": item.table, "Key": item.key});
                let found = server.forward(headers, &get, &asked).await;
                found.ok().and_then(|mut found| found.get_mut("Item").map(Value::take))
            }
            None => None,
        });
    }
    let decided = match &mut *server.model() {
        Model::DynamoDb(tables) => {
            let decided = tables.admit(server.began.elapsed(), operation, &mut request, &before);
            Some((decided, tables.take_throttles()))
        }
        Model::Kinesis(_) => None,
    };
    let Some((decided, throttles)) = decided else { return server.forward(headers, target, &request).await };
    throttles.into_iter().for_each(|(throttled, count)| server.record_throttles(throttled, count));
    let admitted = decided.map_err(|refusal| Box::new(refuse(&refusal)))?;
    admitted.throttled.iter().for_each(|what| tracing::warn!(what, "throttled a part of a batch"));
    request["ReturnConsumedCapacity"] = "INDEXES".into();
    let answer = server.forward(headers, target, &request).await;
    let consumed = answer.as_ref().ok().and_then(|answer| answer.get("ConsumedCapacity"));
    if let Model::DynamoDb(tables) = &mut *server.model() {
        tables.charge(server.began.elapsed(), &admitted, consumed);
    }
    let mut answer = answer?;
    admitted.merge(&mut answer);
    Ok(answer)
}

async fn put_records(
    server: &Server,
    headers: &HeaderMap,
    target: &HeaderValue,
    mut request: Value,
) -> Result<Value, Box<Response>> {
    let record = |record: &Value| {
        let bytes = decoded_len_estimate(record["Data"].as_str().unwrap_or_default().len());
        (record["PartitionKey"].as_str().unwrap_or_default().to_owned(), bytes)
    };
    let records: Vec<_> = request["Records"].as_array().into_iter().flatten().map(record).collect();
    let put = match &mut *server.model() {
        Model::Kinesis(stream) => Some(stream.put(server.began.elapsed(), &records)),
        Model::DynamoDb(_) => None,
    };
    let Some(put) = put.filter(|put| put.refused() > 0) else {
        return server.forward(headers, target, &request).await;
    };
    tracing::warn!(records = put.refused(), "throttled records of the bus");
    server.record_refused("WriteProvisionedThroughputExceeded", put.refused());
    let mut answer = json!({});
    if put.take_out(&mut request) {
        answer = server.forward(headers, target, &request).await?;
    }
    put.merge(&mut answer);
    Ok(answer)
}

async fn read_shard(
    server: &Server,
    headers: &HeaderMap,
    target: &HeaderValue,
    operation: &str,
    request: &Value,
) -> Result<Value, Box<Response>> {
    let asked = request["ShardIterator"].as_str().unwrap_or_default();
    let decided = match &mut *server.model() {
        Model::Kinesis(stream) if operation == "GetRecords" => stream.read(server.began.elapsed(), asked),
        _ => Ok(()),
    };
    decided.map_err(|refusal| {
        server.record_refused("ReadProvisionedThroughputExceeded", 1);
        Box::new(refuse(&refusal))
    })?;
    let answer = server.forward(headers, target, request).await?;
    if let Model::Kinesis(stream) = &mut *server.model() {
        if operation == "GetShardIterator" {
            let iterator = answer["ShardIterator"].as_str().unwrap_or_default();
            stream.iterator(iterator, request["ShardId"].as_str().unwrap_or_default());
        } else {
            let records = answer["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
            let data = |record: &Value| decoded_len_estimate(record["Data"].as_str().unwrap_or_default().len());
            let (bytes, next) = (records.iter().map(data).sum(), answer["NextShardIterator"].as_str());
            stream.has_read(server.began.elapsed(), asked, next, records.len(), bytes);
        }
    }
    Ok(answer)
}

fn refuse(refusal: &Refusal) -> Response {
    tracing::warn!(what = refusal.what, "throttled");
    respond(StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST), &refusal.body)
}

fn respond(status: StatusCode, body: &Value) -> Response {
    let json = HeaderValue::from_static("application/x-amz-json-1.0");
    (status, [(header::CONTENT_TYPE, json)], body.to_string()).into_response()
}
