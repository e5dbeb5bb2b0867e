//! A server in front of the embedded DynamoDB, in which transactions take time and conflict with each other as on AWS.
//! The embedded DynamoDB runs one request at a time, so without this server no two transactions on one machine would
//! ever overlap. [`super::transaction_gate`] has the rules.

use std::{collections::HashMap, ops::RangeInclusive, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE},
    middleware,
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{
    forward::{REQUEST_BYTES_MAX, Upstream},
    transaction_gate::{Conflict, TransactionGate},
};
use crate::{
    http_server::{self, Patience},
    loopback::only_this_machine,
    template::model::KeySchema,
};

const TARGET: &str = "x-amz-target";

/// The running server. Dropping this value stops it.
#[derive(Debug)]
pub struct Conflicts {
    /// The server's URL.
    pub url: String,
    task: JoinHandle<()>,
}

impl Conflicts {
    /// Starts a server in front of the DynamoDB at `upstream`. `keys` has the key schema of each table by the table's
    /// name. Each transaction holds its items for some time of `transaction_time`, drawn at random, and then for
    /// as long as `upstream` takes.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(
        upstream: &str,
        keys: HashMap<String, KeySchema>,
        transaction_time: RangeInclusive<Duration>,
    ) -> anyhow::Result<Self> {
        let server =
            Arc::new(Server { upstream: Upstream::new(upstream), gate: TransactionGate::new(keys), transaction_time });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(answer).layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX));
        let router = router.layer(middleware::from_fn(only_this_machine)).with_state(server);
        let task = tokio::spawn(http_server::serve(listener, router, Patience::LOCAL, std::future::pending()));
        Ok(Self { url, task })
    }
}

impl Drop for Conflicts {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Server {
    upstream: Upstream,
    gate: TransactionGate,
    transaction_time: RangeInclusive<Duration>,
}

async fn answer(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let operation = headers.get(TARGET).and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = operation.rsplit('.').next().unwrap_or_default();
    if !TransactionGate::concerns(operation) {
        return server.upstream.forward(headers, body).await;
    }
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    match server.gate.begin(operation, &request) {
        Ok(held) => {
            if !held.is_empty() {
                tokio::time::sleep(rand::random_range(server.transaction_time.clone())).await;
            }
            server.upstream.forward(headers, body).await
        }
        Err(Conflict { status, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            let json = HeaderValue::from_static("application/x-amz-json-1.0");
            (status, [(CONTENT_TYPE, json)], body.to_string()).into_response()
        }
    }
}
