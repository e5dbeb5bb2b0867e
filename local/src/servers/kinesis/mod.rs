//! Kinesis in this process: ferrokinesis, with a layer in front that makes it durable and prevents races.
//!
//! ferrokinesis keeps streams in memory. Its own write-ahead log writes *all retained records* again with every put, so
//! a stream of n records costs n² writes. This layer keeps the shards and records in a journal in SQLite, and loads it
//! at start. Three rules make this safe:
//!
//! - A put is acknowledged, and visible to readers, only after it is in the journal. Otherwise a consumer could store a
//!   checkpoint behind a record that a `kill -9` removes, and skip the record that gets its sequence number next.
//! - Puts run one at a time. ferrokinesis numbers records before it stores them. With two concurrent puts, a reader
//!   could see the later one first, continue behind it, and never see the earlier one.
//! - A put that has begun is finished, even if its client disconnects.

mod journal;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header::CONTENT_LENGTH},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use ferrokinesis::{
    store::{Store, StoreOptions},
    types::StreamStatus,
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::RwLock};

use crate::{
    http_server::{self, Patience},
    loopback::only_this_machine,
};
use journal::{Journal, Put};

/// The largest `PutRecords` request here is 10 MiB with base64. AWS documents 10 MiB for the decoded records.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often records beyond the retention period are deleted from memory and from the journal.
const TRIM_INTERVAL: Duration = Duration::from_secs(60);
/// How long a change of a stream's shards may take. It takes microseconds, because no delay is simulated.
const RESHARD_DEADLINE: Duration = Duration::from_secs(5);

/// Serves Kinesis on `listener` until `shutdown` completes. With a `database`, streams and records are stored in that
/// SQLite file. Without, they are lost with the process.
///
/// # Errors
/// If the journal cannot be opened or loaded.
pub async fn serve(
    listener: TcpListener,
    database: Option<&Path>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (router, store) = ferrokinesis::create_app(StoreOptions {
        create_stream_ms: 0,
        delete_stream_ms: 0,
        update_stream_ms: 0,
        shard_limit: 1000,
        retention_check_interval_secs: TRIM_INTERVAL.as_secs(),
        aws_account_id: crate::aws::ACCOUNT.into(),
        aws_region: crate::aws::REGION.into(),
        ..StoreOptions::default()
    });
    let journal = Journal::open(database).context("cannot open the Kinesis journal")?;
    journal.restore(&store).await.context("cannot load the Kinesis journal")?;
    let durable = Durable { store, order: Arc::new(RwLock::new(Health::Good)), journal };
    let trimmer = tokio::spawn(trim(durable.journal.clone()));
    let app = router.layer(middleware::from_fn_with_state(durable, intercept));
    let app = app.layer(middleware::from_fn(only_this_machine));
    http_server::serve(listener, app, Patience::LOCAL, shutdown).await;
    trimmer.abort();
    Ok(())
}

/// The layer in front of ferrokinesis.
#[derive(Clone)]
struct Durable {
    store: Store,
    /// A put holds this exclusively until its records are in the journal. Reads share it.
    order: Arc<RwLock<Health>>,
    journal: Journal,
}

/// Whether memory and journal agree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    /// A put is in memory but not in the journal. Serving it would break the first rule, so the server refuses
    /// everything.
    Broken,
}

async fn intercept(State(durable): State<Durable>, request: Request, next: Next) -> Response {
    let operation = operation(request.headers()).unwrap_or_default();
    match operation.as_str() {
        "PutRecord" | "PutRecords" => {
            let put = tokio::spawn(async move { durable.put(request, next).await });
            put.await.unwrap_or_else(|error| internal_failure(&error))
        }
        "CreateStream"
        | "DeleteStream"
        | "SplitShard"
        | "MergeShards"
        | "UpdateShardCount"
        | "IncreaseStreamRetentionPeriod"
        | "DecreaseStreamRetentionPeriod" => {
            let change = tokio::spawn(async move { durable.change_stream(request, next).await });
            change.await.unwrap_or_else(|error| internal_failure(&error))
        }
        _ => {
            let request = match operation.as_str() {
                "GetShardIterator" | "ListShards" => match name_stream(&durable.store, request).await {
                    Ok(request) => request,
                    Err(refusal) => return refusal,
                },
                _ => request,
            };
            let order = durable.order.read().await;
            match *order {
                Health::Good => next.run(request).await,
                Health::Broken => internal_failure(&"the journal could not be written; see the log"),
            }
        }
    }
}

impl Durable {
    async fn put(self, request: Request, next: Next) -> Response {
        let (request, body) = match split(request).await {
            Ok(parts) => parts,
            Err(refusal) => return refusal,
        };
        let mut order = self.order.write().await;
        if *order == Health::Broken {
            return internal_failure(&"the journal could not be written; see the log");
        }
        let response = next.run(request).await;
        if !response.status().is_success() {
            return response;
        }
        let (parts, answer) = response.into_parts();
        match self.record(&body, answer).await {
            Ok(answer) => Response::from_parts(parts, Body::from(answer)),
            Err(error) => {
                *order = Health::Broken;
                tracing::error!("Kinesis stops, because its journal cannot be written: {error:#}");
                internal_failure(&error)
            }
        }
    }

    /// Writes the accepted records to the journal. Returns the body of the answer.
    async fn record(&self, request: &Value, answer: Body) -> anyhow::Result<Bytes> {
        let answer = axum::body::to_bytes(answer, BODY_BYTES_MAX).await?;
        let stream = self.stream_name(request)?;
        let puts = Put::from_exchange(request, &serde_json::from_slice(&answer)?)?;
        self.journal.append(stream, puts).await?;
        Ok(answer)
    }

    /// Runs an operation that changes a stream's shards or settings, and writes the changed stream to the journal.
    async fn change_stream(self, request: Request, next: Next) -> Response {
        let (request, body) = match split(request).await {
            Ok(parts) => parts,
            Err(refusal) => return refusal,
        };
        let response = next.run(request).await;
        if !response.status().is_success() {
            return response;
        }
        match self.save_stream(&body).await {
            Ok(()) => response,
            Err(error) => {
                tracing::error!("cannot write a stream to the Kinesis journal: {error:#}");
                internal_failure(&error)
            }
        }
    }

    async fn save_stream(&self, request: &Value) -> anyhow::Result<()> {
        let name = self.stream_name(request)?;
        let settled = async {
            loop {
                match self.store.get_stream(&name).await {
                    Ok(stream) if stream.stream_status == StreamStatus::Active => return Some(stream),
                    Ok(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                    Err(_) => return None,
                }
            }
        };
        let stream = tokio::time::timeout(RESHARD_DEADLINE, settled).await.context("the stream does not settle")?;
        self.journal.save_stream(name, stream).await
    }

    fn stream_name(&self, request: &Value) -> anyhow::Result<String> {
        self.store.resolve_stream_name(request).map_err(|_| anyhow::anyhow!("the request names no stream"))
    }
}

/// Some operations of ferrokinesis accept only the name of a stream. AWS also accepts its ARN.
async fn name_stream(store: &Store, request: Request) -> Result<Request, Response> {
    let (request, mut body) = split(request).await?;
    if body["StreamARN"].is_string() && !body["StreamName"].is_string() && !body["NextToken"].is_string() {
        if let Ok(name) = store.resolve_stream_name(&body) {
            body["StreamName"] = name.into();
        }
        let (mut parts, _) = request.into_parts();
        parts.headers.remove(CONTENT_LENGTH);
        return Ok(Request::from_parts(parts, Body::from(body.to_string())));
    }
    Ok(request)
}

/// Reads the body of the request. The handler and the journal both need it.
async fn split(request: Request) -> Result<(Request, Value), Response> {
    let refuse = |status: StatusCode, message: &str| (status, message.to_owned()).into_response();
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| refuse(StatusCode::PAYLOAD_TOO_LARGE, "request body too large"))?;
    // The Rust SDK sends JSON. A CBOR request would bypass the journal, so it is refused.
    let value = serde_json::from_slice(&bytes)
        .map_err(|_| refuse(StatusCode::BAD_REQUEST, "this Kinesis server accepts writes only in JSON"))?;
    Ok((Request::from_parts(parts, Body::from(bytes)), value))
}

/// The operation in `X-Amz-Target`, such as `PutRecords` in `Kinesis_20131202.PutRecords`.
fn operation(headers: &HeaderMap) -> Option<String> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    target.rsplit_once('.').map(|(_, operation)| operation.to_owned())
}

fn internal_failure(error: &dyn std::fmt::Display) -> Response {
    let body = serde_json::json!({ "__type": "InternalFailure", "message": error.to_string() });
    (StatusCode::INTERNAL_SERVER_ERROR, [("content-type", "application/x-amz-json-1.1")], body.to_string())
        .into_response()
}

async fn trim(journal: Journal) {
    loop {
        tokio::time::sleep(TRIM_INTERVAL).await;
        if let Err(error) = journal.trim().await {
            tracing::warn!("cannot trim the Kinesis journal: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests;
