//! Sends, deletes, hides and moves messages. [`super::receive`] receives them.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{
    api::{
        Batch, BatchResult, Empty, Failure, MoveTask, NewMessage, NewVisibility, Receipt, Sent, Single,
        StartMessageMoveTask, Success,
    },
    digest,
    error::SqsError,
    limits::{self, MESSAGE_BYTES_MAX, VISIBILITY_S_MAX},
    settings::name_in_arn,
    store::{Queue, Store, as_json},
};

/// A receipt handle: it identifies one receive of one message of one queue. A handle is valid until the message is
/// received again or moves to another queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle {
    pub(super) queue: i64,
    pub(super) row: i64,
    pub(super) receives: i64,
}

impl Handle {
    /// The handle as the client sees it. Clients must not interpret it.
    pub(super) fn encode(self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(format!("{}/{}/{}", self.queue, self.row, self.receives))
    }

    fn decode(text: &str) -> Result<Self, SqsError> {
        let numbers = BASE64_URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| {
            let text = String::from_utf8(bytes).ok()?;
            text.split('/').map(|number| number.parse().ok()).collect::<Option<Vec<i64>>>()
        });
        match numbers.as_deref() {
            Some(&[queue, row, receives]) => Ok(Self { queue, row, receives }),
            _ => Err(SqsError::ReceiptHandleIsInvalid),
        }
    }
}

impl Store {
    pub(super) fn send_message(&mut self, now_ms: i64, request: Single<NewMessage>) -> Result<Sent, SqsError> {
        let queue = self.queue(&request.queue_url)?;
        let sent = insert(&self.connection, queue, now_ms, &request.content)?;
        queue.arrivals.notify_waiters();
        Ok(sent)
    }

    pub(super) fn send_message_batch(
        &mut self,
        now_ms: i64,
        request: Batch<NewMessage>,
    ) -> Result<BatchResult<Sent>, SqsError> {
        let bytes = request.entries.iter().map(|entry| limits::size(&entry.content)).sum();
        if bytes > MESSAGE_BYTES_MAX {
            return Err(SqsError::BatchRequestTooLong(bytes));
        }
        self.for_each(request, "SendMessageBatchRequestEntry", |connection, queue, message| {
            insert(connection, queue, now_ms, &message)
        })
    }

    pub(super) fn delete_message(&mut self, _now_ms: i64, request: Single<Receipt>) -> Result<Empty, SqsError> {
        delete(&self.connection, self.queue(&request.queue_url)?, &request.content)
    }

    pub(super) fn delete_message_batch(
        &mut self,
        _now_ms: i64,
        request: Batch<Receipt>,
    ) -> Result<BatchResult<Empty>, SqsError> {
        self.for_each(request, "DeleteMessageBatchRequestEntry", |connection, queue, receipt| {
            delete(connection, queue, &receipt)
        })
    }

    pub(super) fn change_message_visibility(
        &mut self,
        now_ms: i64,
        request: Single<NewVisibility>,
    ) -> Result<Empty, SqsError> {
        let queue = self.queue(&request.queue_url)?;
        let answer = change_visibility(&self.connection, queue, now_ms, &request.content)?;
        queue.arrivals.notify_waiters();
        Ok(answer)
    }

    pub(super) fn change_message_visibility_batch(
        &mut self,
        now_ms: i64,
        request: Batch<NewVisibility>,
    ) -> Result<BatchResult<Empty>, SqsError> {
        self.for_each(request, "ChangeMessageVisibilityBatchRequestEntry", |connection, queue, change| {
            change_visibility(connection, queue, now_ms, &change)
        })
    }

    /// Moves the visible messages of a dead-letter queue before it answers: to the destination, or each message to the
    /// queue that it came from. As on AWS, the messages arrive as new ones. A message that was sent directly to the
    /// dead-letter queue has no queue to go back to, so it stays.
    pub(super) fn start_message_move_task(
        &mut self,
        now_ms: i64,
        request: StartMessageMoveTask,
    ) -> Result<MoveTask, SqsError> {
        let named = |parameter, arn: &str| {
            let name = name_in_arn(arn).ok_or_else(|| SqsError::invalid(parameter, arn, "Not the ARN of a queue."))?;
            self.queues.get_key_value(name).ok_or(SqsError::ResourceNotFound(parameter))
        };
        let (source_name, source) = named("SourceArn", &request.source_arn)?;
        let redrives_here = |queue: &Queue| queue.settings.redrive.as_ref().is_some_and(|to| to.queue == *source_name);
        if !self.queues.values().any(redrives_here) {
            let reason = "Source queue must be configured as a Dead Letter Queue.";
            return Err(SqsError::InvalidParameterValue(reason.to_owned()));
        }
        let destination = request.destination_arn.as_deref().map(|arn| named("DestinationArn", arn)).transpose()?;
        let transaction = self.connection.unchecked_transaction()?;
        let rows: Vec<(i64, Option<String>)> = transaction
            .prepare_cached(
                "SELECT id, source_arn FROM messages WHERE queue = ?1 AND visible_ms <= ?2 AND sent_ms > ?3",
            )?
            .query_map([source.id, now_ms, now_ms - source.settings.retention_ms], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        let mut receivers: Vec<&Queue> = Vec::new();
        for (row, source_arn) in rows {
            let origin = || self.queues.get(name_in_arn(source_arn.as_deref()?)?);
            let Some(queue) = destination.map(|(_, queue)| queue).or_else(origin) else {
                tracing::warn!(
                    queue = source_name,
                    "a message stays in the dead-letter queue, because it did not come from another queue"
                );
                continue;
            };
            let id = Uuid::new_v4().to_string();
            transaction
                .prepare_cached(
                    "INSERT INTO messages
                         (queue, message_id, body, attributes, trace_header, message_group, sent_ms, visible_ms)
                     SELECT ?2, ?3, body, attributes, trace_header, message_group, ?4, ?4 FROM messages WHERE id = ?1",
                )?
                .execute(params![row, queue.id, id, now_ms])?;
            transaction.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([row])?;
            receivers.push(queue);
        }
        transaction.commit()?;
        receivers.iter().for_each(|queue| queue.arrivals.notify_waiters());
        Ok(MoveTask { task_handle: Uuid::new_v4().to_string() })
    }

    /// Runs `operation` for each entry of a batch in one transaction. An entry that fails does not affect the others.
    fn for_each<E, S>(
        &self,
        request: Batch<E>,
        entry_name: &'static str,
        operation: impl Fn(&Connection, &Queue, E) -> Result<S, SqsError>,
    ) -> Result<BatchResult<S>, SqsError> {
        let queue = self.queue(&request.queue_url)?;
        limits::batch(&request.entries, entry_name)?;
        let mut result = BatchResult { successful: Vec::new(), failed: Vec::new() };
        let transaction = self.connection.unchecked_transaction()?;
        for entry in request.entries {
            match operation(&transaction, queue, entry.content) {
                Ok(content) => result.successful.push(Success { id: entry.id, content }),
                Err(error) if error.is_senders_fault() => result.failed.push(Failure {
                    id: entry.id,
                    sender_fault: true,
                    code: error.shape(),
                    message: error.to_string(),
                }),
                Err(error) => return Err(error),
            }
        }
        transaction.commit()?;
        queue.arrivals.notify_waiters();
        Ok(result)
    }
}

fn insert(connection: &Connection, queue: &Queue, now_ms: i64, message: &NewMessage) -> Result<Sent, SqsError> {
    limits::message(message, queue.settings.message_bytes_max)?;
    let message_id = Uuid::new_v4().to_string();
    let attributes = match message.message_attributes.is_empty() {
        true => None,
        false => Some(as_json(&message.message_attributes)?),
    };
    let trace_header =
        message.message_system_attributes.get("AWSTraceHeader").and_then(|value| value.string_value.as_ref());
    let trace_header = trace_header.or(message.request_trace.as_ref());
    let delay_ms = message.delay_seconds.map_or(queue.settings.delay_ms, |seconds| seconds * 1000);
    connection
        .prepare_cached(
            "INSERT INTO messages
                         (queue, message_id, body, attributes, trace_header, message_group, sent_ms, visible_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            queue.id,
            message_id,
            message.message_body,
            attributes,
            trace_header,
            message.message_group_id,
            now_ms,
            now_ms + delay_ms
        ])?;
    Ok(Sent {
        message_id,
        body_md5: digest::body(&message.message_body),
        attributes_md5: digest::attributes(&message.message_attributes),
        system_attributes_md5: digest::attributes(&message.message_system_attributes),
    })
}

/// Deletes the message, unless it was received again since. That is not an error, as on AWS.
fn delete(connection: &Connection, queue: &Queue, receipt: &Receipt) -> Result<Empty, SqsError> {
    let handle = Handle::decode(&receipt.receipt_handle)?;
    if handle.queue != queue.id {
        return Err(SqsError::ReceiptHandleIsInvalid);
    }
    let delete = "DELETE FROM messages WHERE id = ?1 AND queue = ?2 AND receives = ?3";
    connection.prepare_cached(delete)?.execute([handle.row, handle.queue, handle.receives])?;
    Ok(Empty {})
}

fn change_visibility(
    connection: &Connection,
    queue: &Queue,
    now_ms: i64,
    change: &NewVisibility,
) -> Result<Empty, SqsError> {
    let timeout_s = change.visibility_timeout.ok_or(SqsError::MissingParameter("VisibilityTimeout"))?;
    limits::integer("VisibilityTimeout", Some(timeout_s), 0, 0, VISIBILITY_S_MAX)?;
    let handle = Handle::decode(&change.receipt_handle)?;
    if handle.queue != queue.id {
        return Err(SqsError::ReceiptHandleIsInvalid);
    }
    let update = "UPDATE messages SET visible_ms = ?4
                  WHERE id = ?1 AND queue = ?2 AND receives = ?3 AND visible_ms > ?5 RETURNING id";
    connection
        .prepare_cached(update)?
        .query_row([handle.row, handle.queue, handle.receives, now_ms + timeout_s * 1000, now_ms], |row| {
            row.get::<_, i64>(0)
        })
        .optional()?
        .map(|_| Empty {})
        .ok_or(SqsError::MessageNotInflight)
}
