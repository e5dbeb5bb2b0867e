//! A durable SQS: the JSON protocol 1.0 on a loopback port, with standard queues in SQLite. This project has its own
//! server, because the embeddable ones keep queues in memory, and here an accepted message must survive `kill -9`. The
//! server supports what this system and its tests use, with AWS's limits and errors. FIFO queues, policies and
//! encryption are not supported: a request for them is an error or has no effect (see `settings`). The server must
//! listen on loopback only, because it does not authenticate its callers.
//!
//! `api` has the types of requests and responses. `limits` and `settings` decide what is accepted. `store` has the
//! queues and the database. `messages` and `receive` act on messages. `digest` computes MD5. `error` has the error
//! responses.

mod api;
mod digest;
mod error;
mod limits;
mod messages;
mod oldest;
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

use aws_limits::sqs::InFlightRules;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, header},
    middleware,
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, sync::watch, time::Instant};

use api::{Message, ReceiveMessage, Received};
use error::SqsError;
pub use oldest::oldest_messages;
pub use queues::{Answer, Queues};
use queues::{parse, to_json};
use store::Store;

use crate::{
    http_server::{self, Patience},
    loopback::only_this_machine,
};

/// The largest request in bytes: a batch of 1 MiB in which every character is escaped.
const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How often expired messages are deleted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Serves SQS on `listener` until `shutdown` completes. Queues and messages are stored in the file `database`, which is
/// created if it does not exist, or in memory. `rules` says what messages in flight do. Before this function
/// returns, it answers all requests in progress; receives that wait are answered at once.
///
/// # Errors
/// If the database cannot be opened or belongs to another program.
pub async fn serve(
    listener: TcpListener,
    database: Option<&Path>,
    rules: InFlightRules,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let base_url = format!("http://{}", listener.local_addr()?);
    let mut store = Store::open(database, base_url)?;
    store.rules = rules;
    let (closing, closed) = watch::channel(false);
    let server = Server { store: Arc::new(Mutex::new(store)), closed };
    let sweeper = tokio::spawn(sweep(server.clone()));
    let router = Router::new()
        .fallback(handle)
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(middleware::from_fn(only_this_machine))
        .with_state(server);
    http_server::serve(listener, router, Patience::LOCAL, async move {
        shutdown.await;
        closing.send_replace(true);
    })
    .await;
    sweeper.abort();
    Ok(())
}

#[derive(Clone)]
struct Server {
    store: Arc<Mutex<Store>>,
    /// `true` once the server has to stop.
    closed: watch::Receiver<bool>,
}

async fn handle(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let trace = headers.get("x-amzn-trace-id").and_then(|value| value.to_str().ok());
    let mut response = match server.dispatch(target, &body, trace).await {
        Ok(json) => ([(header::CONTENT_TYPE, "application/x-amz-json-1.0")], json).into_response(),
        Err(error) => error.into_response(),
    };
    if let Ok(id) = uuid::Uuid::new_v4().to_string().parse() {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

impl Server {
    async fn dispatch(&self, target: &str, body: &Bytes, trace: Option<&str>) -> Result<Vec<u8>, SqsError> {
        let operation = target.strip_prefix("AmazonSQS.").unwrap_or_default().to_owned();
        if operation == "ReceiveMessage" {
            return to_json(&Received { messages: self.receive(parse(body)?).await? });
        }
        let (body, trace) = (body.clone(), trace.map(str::to_owned));
        self.with_store(move |store| queues::call(store, now_ms(), &operation, &body, trace.as_deref())).await
    }

    /// Waits for messages for as long as the request says. Every message that becomes visible ends the wait at once: a
    /// new message, a released one, or one whose delay or visibility timeout ends.
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
            // Registered before the first look, so that no message is missed in between.
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

    /// Runs `work` with the store on a thread that may block.
    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, SqsError> + Send + 'static,
    ) -> Result<T, SqsError> {
        let store = Arc::clone(&self.store);
        // If a thread panicked while it held the lock, its transaction was rolled back, so the store is consistent.
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
            tracing::warn!(%error, "cannot delete expired messages; will try again");
        }
    }
}

/// Milliseconds since 1970. The server has no other clock.
fn now_ms() -> i64 {
    (time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000) as i64
}
