//! Transactions that take time, and conflict with each other as on AWS. The embedded DynamoDB runs one request at a time,
//! so that on one machine no two transactions ever meet; this stands before it and makes them.
//!
//! On AWS, a transaction is cancelled with `TransactionConflict` if another one on one of its items is under way, also where
//! either only checks a condition; a single write of such an item fails with `TransactionConflictException` (Amazon
//! DynamoDB Developer Guide, "Transaction conflict handling"). BatchWriteItem passes: on AWS its items would come back
//! unprocessed.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::forward::Upstream;
use crate::template::model::KeySchema;

const TARGET: &str = "x-amz-target";

/// A server that stands before DynamoDB. Dropping it ends it.
#[derive(Debug)]
pub struct Conflicts {
    /// Where it listens.
    pub url: String,
    task: JoinHandle<()>,
}

impl Conflicts {
    /// Starts one before the DynamoDB at `upstream`, whose tables have these keys. Each transaction takes this time.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(
        upstream: &str,
        keys: HashMap<String, KeySchema>,
        transaction_time: Duration,
    ) -> anyhow::Result<Self> {
        let gate = Arc::new(Gate { upstream: Upstream::new(upstream), keys, transaction_time, busy: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(pass).with_state(gate);
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!("nothing stands before DynamoDB any more: {error}");
            }
        });
        Ok(Self { url, task })
    }
}

impl Drop for Conflicts {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Gate {
    upstream: Upstream,
    /// By table.
    keys: HashMap<String, KeySchema>,
    transaction_time: Duration,
    /// Items of transactions under way.
    busy: Mutex<HashSet<String>>,
}

async fn pass(State(gate): State<Arc<Gate>>, headers: HeaderMap, body: Bytes) -> Response {
    let operation = headers.get(TARGET).and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = operation.rsplit('.').next().unwrap_or_default().to_owned();
    let request = || serde_json::from_slice::<Value>(&body).unwrap_or_default();
    match operation.as_str() {
        "TransactWriteItems" => {
            let items = gate.items_of(&request());
            let _held = match gate.hold(items) {
                Ok(held) => held,
                Err(conflicts) => return cancelled(&conflicts),
            };
            tokio::time::sleep(gate.transaction_time).await;
            gate.upstream.forward(headers, body).await
        }
        "PutItem" | "UpdateItem" | "DeleteItem" => {
            let request = request();
            let item = gate.item(&request, if operation == "PutItem" { "Item" } else { "Key" });
            if item.is_some_and(|item| gate.busy().contains(&item)) {
                return error(
                    "TransactionConflictException",
                    json!({"message": "Transaction is ongoing for the item"}),
                );
            }
            gate.upstream.forward(headers, body).await
        }
        _ => gate.upstream.forward(headers, body).await,
    }
}

impl Gate {
    fn busy(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The items of a transaction, in order.
    fn items_of(&self, transaction: &Value) -> Vec<Option<String>> {
        let parts = transaction["TransactItems"].as_array().into_iter().flatten();
        let item = |part: &Value| {
            let (kind, action) = part.as_object()?.iter().next()?;
            self.item(action, if kind == "Put" { "Item" } else { "Key" })
        };
        parts.map(item).collect()
    }

    /// A name for the item that an action is on, whose key is among these attributes.
    fn item(&self, action: &Value, attributes: &str) -> Option<String> {
        let table = action["TableName"].as_str()?;
        let KeySchema { partition, sort } = self.keys.get(table)?;
        let attribute = |name: &String| action[attributes][name].to_string();
        Some(format!("{table} {} {}", attribute(partition), sort.as_ref().map(attribute).unwrap_or_default()))
    }

    /// Makes the items busy; or tells which of them are so already.
    fn hold(&self, items: Vec<Option<String>>) -> Result<Held<'_>, Vec<bool>> {
        let mut busy = self.busy();
        let conflicts: Vec<_> =
            items.iter().map(|item| item.as_ref().is_some_and(|item| busy.contains(item))).collect();
        if conflicts.contains(&true) {
            return Err(conflicts);
        }
        let items: Vec<_> = items.into_iter().flatten().collect();
        busy.extend(items.iter().cloned());
        Ok(Held { gate: self, items })
    }
}

/// Items of a transaction under way; dropping it ends that, also if whoever asked is gone.
struct Held<'a> {
    gate: &'a Gate,
    items: Vec<String>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut busy = self.gate.busy();
        for item in &self.items {
            busy.remove(item);
        }
    }
}

fn cancelled(conflicts: &[bool]) -> Response {
    let codes: Vec<_> = conflicts.iter().map(|met| if *met { "TransactionConflict" } else { "None" }).collect();
    let reason = |code: &&str| match *code {
        "None" => json!({"Code": "None"}),
        code => json!({"Code": code, "Message": "Transaction is ongoing for the item"}),
    };
    let message =
        format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{}]", codes.join(", "));
    let reasons: Vec<_> = codes.iter().map(reason).collect();
    error("TransactionCanceledException", json!({"Message": message, "CancellationReasons": reasons}))
}

fn error(code: &str, mut body: Value) -> Response {
    body["__type"] = format!("com.amazonaws.dynamodb.v20120810#{code}").into();
    let json = HeaderValue::from_static("application/x-amz-json-1.0");
    (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, json)], body.to_string()).into_response()
}
