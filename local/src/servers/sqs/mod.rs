//! A durable SQS: the JSON protocol 1.0 on a loopback port, standard queues in SQLite. It is one of our own because the
//! embeddable servers keep queues in memory, and here a message that was accepted must survive kill -9. It does what this
//! system and its tests ask of SQS, with AWS's limits and errors; FIFO queues, policies and encryption are not served,
//! and asking for them is an error or has no effect (see `settings`). Must never be bound to anything but loopback: it
//! asks nobody who they are.
//!
//! `api` shapes, `limits` and `settings` what is accepted, `store` queues and the database, `messages` and
//! `receive` what happens to messages, `digest` MD5, `error` how refusals look.

mod api;
mod digest;
mod error;
mod limits;
mod messages;
mod queues;
mod receive;
mod settings;
mod store;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, sync::watch, time::Instant};

use api::{Message, ReceiveMessage, Received};
use error::SqsError;
pub use queues::{Answer, Queues};
use queues::{parse, to_json};
use store::Store;

/// Most bytes of a request: a batch of 1 MiB in which every character is escaped.
const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How often expired messages are deleted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Serves SQS on `listener` until `shutdown` completes. Queues and messages are kept in the file `database`, which is made
/// if it is not there, or in memory. Requests under way are answered before this returns; waiting receives at once.
///
/// # Errors
/// If the database cannot be opened, is not one of ours, or the listener fails.
pub async fn serve(
    listener: TcpListener,
    database: Option<&Path>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let base_url = format!("http://{}", listener.local_addr()?);
    let store = Store::open(database, base_url)?;
    let (closing, closed) = watch::channel(false);
    let server = Server { store: Arc::new(Mutex::new(store)), closed };
    let sweeper = tokio::spawn(sweep(server.clone()));
    let router = Router::new().fallback(handle).layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX)).with_state(server);
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            shutdown.await;
            closing.send_replace(true);
        })
        .await;
    sweeper.abort();
    Ok(served?)
}

#[derive(Clone)]
struct Server {
    store: Arc<Mutex<Store>>,
    /// True once the server is to end.
    closed: watch::Receiver<bool>,
}

async fn handle(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut response = match server.dispatch(target, &body).await {
        Ok(json) => ([(header::CONTENT_TYPE, "application/x-amz-json-1.0")], json).into_response(),
        Err(error) => error.into_response(),
    };
    if let Ok(id) = uuid::Uuid::new_v4().to_string().parse() {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

impl Server {
    async fn dispatch(&self, target: &str, body: &Bytes) -> Result<Vec<u8>, SqsError> {
        let operation = target.strip_prefix("AmazonSQS.").unwrap_or_default().to_owned();
        if operation == "ReceiveMessage" {
            return to_json(&Received { messages: self.receive(parse(body)?).await? });
        }
        let body = body.clone();
        self.with_store(move |store| queues::call(store, now_ms(), &operation, &body)).await
    }

    /// Waits for messages as long as the request says; a message wakes it at once, whether it is sent, given back, or its
    /// delay or visibility timeout ends.
    async fn receive(&self, request: ReceiveMessage) -> Result<Vec<Message>, SqsError> {
        let first = request.clone();
        let (arrivals, wait_s) = self
            .with_store(move |store| {
                Ok((store.queue(&first.queue_url)?.arrivals.clone(), store.receive_wait_s(&first)?))
            })
            .await?;
        let deadline = Instant::now() + Duration::from_secs(wait_s.unsigned_abs());
        let mut closed = self.closed.clone();
        loop {
            // Registered before looking, so that nothing that arrives in between is missed.
            let arrived = arrivals.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let attempt = request.clone();
            let (messages, next_visible) = self
                .with_store(move |store| {
                    let now_ms = now_ms();
                    let messages = store.receive(now_ms, &attempt)?;
                    let next_ms =
                        if messages.is_empty() { store.next_visible_ms(now_ms, &attempt.queue_url)? } else { None };
                    Ok((messages, next_ms.map(|then_ms| Duration::from_millis((then_ms - now_ms).unsigned_abs()))))
                })
                .await?;
            if !messages.is_empty() || Instant::now() >= deadline || *closed.borrow() {
                return Ok(messages);
            }
            let wake = next_visible.map_or(deadline, |wait| deadline.min(Instant::now() + wait));
            tokio::select! {
                () = arrived => {}
                () = tokio::time::sleep_until(wake) => {}
                _ = closed.changed() => {}
            }
        }
    }

    /// Runs `work` with the store where blocking is allowed.
    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, SqsError> + Send + 'static,
    ) -> Result<T, SqsError> {
        let store = Arc::clone(&self.store);
        // A panic while the lock was held has rolled its transaction back, so the store is still whole.
        tokio::task::spawn_blocking(move || work(&mut store.lock().unwrap_or_else(PoisonError::into_inner)))
            .await
            .map_err(|error| SqsError::Internal(error.to_string()))?
    }
}

async fn sweep(server: Server) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = server.with_store(|store| store.sweep(now_ms())).await {
            tracing::warn!(%error, "expired messages stay for now");
        }
    }
}

/// Milliseconds since 1970; the only clock of this server.
fn now_ms() -> i64 {
    (time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000) as i64
}
