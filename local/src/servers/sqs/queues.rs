//! The operations of SQS without a server around them: each is answered at once. The HTTP server calls them, and so
//! does the simulated world, which brings its own clock.

use aws_limits::sqs::InFlightRules;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    api::{Batch, NewMessage, ReceiveMessage, Received, Single},
    error::SqsError,
    store::Store,
};
use crate::json;

/// Queues in memory.
pub struct Queues(Store);

/// What an operation answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON document.
    pub body: Vec<u8>,
    /// The header `x-amzn-query-error` of an error, by which the SDKs choose the error's type.
    pub query_error: Option<String>,
}

impl Queues {
    /// No queues yet. `base_url` is what queue URLs begin with, as `http://127.0.0.1:9324`.
    ///
    /// # Errors
    /// If SQLite cannot open a database in memory.
    pub fn in_memory(base_url: &str) -> anyhow::Result<Self> {
        Ok(Self(Store::open(None, base_url.to_owned())?))
    }

    /// From now on, message groups are noisy by this rule.
    pub fn set_in_flight_rules(&mut self, rules: InFlightRules) {
        self.0.rules = rules;
    }

    /// Answers `operation`, as `SendMessage`, at this time. `ReceiveMessage` does not wait for messages.
    pub fn call(&mut self, now_ms: i64, operation: &str, body: &[u8]) -> Answer {
        match call(&mut self.0, now_ms, operation, body, None) {
            Ok(body) => Answer { status: 200, body, query_error: None },
            Err(error) => Answer {
                status: error.status().as_u16(),
                body: error.document().into_bytes(),
                query_error: Some(error.query_error()),
            },
        }
    }

    /// When the next message of the queue becomes visible by the passing of time.
    pub fn next_visible_ms(&self, now_ms: i64, queue_url: &str) -> Option<i64> {
        self.0.next_visible_ms(now_ms, queue_url).ok().flatten()
    }
}

/// Answers one operation of a request with this trace header.
pub(super) fn call(
    store: &mut Store,
    now_ms: i64,
    operation: &str,
    body: &[u8],
    trace: Option<&str>,
) -> Result<Vec<u8>, SqsError> {
    match operation {
        "CreateQueue" => answer(body, |request| store.create_queue(now_ms, request)),
        "GetQueueUrl" => answer(body, |request| store.get_queue_url(now_ms, request)),
        "ListQueues" => answer(body, |request| store.list_queues(now_ms, request)),
        "DeleteQueue" => answer(body, |request| store.delete_queue(now_ms, request)),
        "PurgeQueue" => answer(body, |request| store.purge_queue(now_ms, request)),
        "GetQueueAttributes" => answer(body, |request| store.get_queue_attributes(now_ms, request)),
        "SetQueueAttributes" => answer(body, |request| store.set_queue_attributes(now_ms, request)),
        "SendMessage" => answer(body, |mut request: Single<NewMessage>| {
            request.content.request_trace = trace.map(str::to_owned);
            store.send_message(now_ms, request)
        }),
        "SendMessageBatch" => answer(body, |mut request: Batch<NewMessage>| {
            request.entries.iter_mut().for_each(|it| it.content.request_trace = trace.map(str::to_owned));
            store.send_message_batch(now_ms, request)
        }),
        "ReceiveMessage" => answer(body, |request: ReceiveMessage| {
            store.receive(now_ms, &request).map(|messages| Received { messages })
        }),
        "DeleteMessage" => answer(body, |request| store.delete_message(now_ms, request)),
        "DeleteMessageBatch" => answer(body, |request| store.delete_message_batch(now_ms, request)),
        "ChangeMessageVisibility" => answer(body, |request| store.change_message_visibility(now_ms, request)),
        "ChangeMessageVisibilityBatch" => {
            answer(body, |request| store.change_message_visibility_batch(now_ms, request))
        }
        "StartMessageMoveTask" => answer(body, |request| store.start_message_move_task(now_ms, request)),
        _ => Err(SqsError::UnknownOperation(operation.to_owned())),
    }
}

fn answer<Request: DeserializeOwned, Response: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> Result<Response, SqsError>,
) -> Result<Vec<u8>, SqsError> {
    to_json(&operation(parse(body)?)?)
}

pub(super) fn parse<Request: DeserializeOwned>(body: &[u8]) -> Result<Request, SqsError> {
    json::object(body).map_err(|error| SqsError::Serialization(error.to_string()))
}

pub(super) fn to_json(response: &impl Serialize) -> Result<Vec<u8>, SqsError> {
    serde_json::to_vec(response).map_err(|error| SqsError::Internal(error.to_string()))
}
