//! Receives messages: chooses the next ones, moves those that were received too often, and builds the answer.
//!
//! Queues are fair, like SQS's standard queues with message group ids (SQS Developer Guide, "How Amazon SQS fair queues
//! work"). A group with so much in flight that it is noisy comes last. Among noisy groups, the one with the fewest
//! messages in flight comes first. So a tenant with a long backlog does not delay the others. SQS also looks at how
//! long consumers take for the messages of each group, which this server does not know.

use aws_limits::sqs::InFlightRules;
use rusqlite::{Connection, Row, params};

use super::{
    api::{Attributes, Message, MessageAttributes, ReceiveMessage},
    digest,
    error::SqsError,
    limits::{self, BATCH_ENTRIES_MAX, VISIBILITY_S_MAX, WAIT_S_MAX},
    messages::Handle,
    settings::Redrive,
    store::{Queue, Store, arn, name_in_url},
};
use crate::aws::ACCOUNT;

/// The attributes of a message that a receiver can ask for.
const SYSTEM_ATTRIBUTES: [&str; 10] = [
    "All",
    "AWSTraceHeader",
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    "DeadLetterQueueSourceArn",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    "SequenceNumber",
];

impl Store {
    /// How long a receive may wait for a message, in seconds.
    pub(super) fn receive_wait_s(&self, request: &ReceiveMessage) -> Result<i64, SqsError> {
        let default = self.queue(&request.queue_url)?.settings.receive_wait_s;
        limits::integer("WaitTimeSeconds", request.wait_time_seconds, default, 0, WAIT_S_MAX)
    }

    /// Takes visible messages, up to the requested number, and hides them from other receivers.
    pub(super) fn receive(&self, now_ms: i64, request: &ReceiveMessage) -> Result<Vec<Message>, SqsError> {
        let queue = self.queue(&request.queue_url)?;
        let max =
            limits::integer("MaxNumberOfMessages", request.max_number_of_messages, 1, 1, BATCH_ENTRIES_MAX as i64)?;
        let visibility_s = limits::integer(
            "VisibilityTimeout",
            request.visibility_timeout,
            queue.settings.visibility_ms / 1000,
            0,
            VISIBILITY_S_MAX,
        )?;
        let mut asked = request.attribute_names.iter().chain(&request.message_system_attribute_names);
        if let Some(name) = asked.find(|name| !SYSTEM_ATTRIBUTES.contains(&name.as_str())) {
            return Err(SqsError::InvalidAttributeName(name.clone()));
        }
        let transaction = self.connection.unchecked_transaction()?;
        if let Some(Redrive { queue: name, max_receive_count }) = &queue.settings.redrive
            && let Some(dead_letters) = self.queues.get(name)
        {
            let source = arn(name_in_url(&request.queue_url));
            if redrive(&transaction, queue, now_ms, *max_receive_count, dead_letters, &source)? > 0 {
                dead_letters.arrivals.notify_waiters();
            }
        }
        let mut take = transaction.prepare_cached(
            "UPDATE messages
             SET receives = receives + 1, visible_ms = ?2, first_received_ms = coalesce(first_received_ms, ?3)
             WHERE id = ?1 RETURNING *",
        )?;
        let mut messages = Vec::new();
        for row in next(&transaction, queue, self.rules, now_ms, max)? {
            messages.push(take.query_row([row, now_ms + visibility_s * 1000, now_ms], |row| message(row, request))?);
        }
        drop(take);
        transaction.commit()?;
        Ok(messages)
    }

    /// When the next message becomes visible because time passes.
    pub(super) fn next_visible_ms(&self, now_ms: i64, queue_url: &str) -> Result<Option<i64>, SqsError> {
        let queue = self.queue(queue_url)?;
        let earliest = "SELECT min(visible_ms) FROM messages WHERE queue = ?1 AND visible_ms > ?2";
        Ok(self.connection.prepare_cached(earliest)?.query_row([queue.id, now_ms], |row| row.get(0))?)
    }
}

/// Moves the messages that reached the most receives to the dead-letter queue. Their age stays.
fn redrive(
    connection: &Connection,
    queue: &Queue,
    now_ms: i64,
    max_receive_count: i64,
    dead_letters: &Queue,
    source_arn: &str,
) -> Result<usize, SqsError> {
    let mut exhausted = connection.prepare_cached(
        "UPDATE messages INDEXED BY received SET queue = ?4, visible_ms = ?2, source_arn = ?5
         WHERE queue = ?1 AND visible_ms <= ?2 AND receives > 0 AND receives >= ?3",
    )?;
    Ok(exhausted.execute(params![queue.id, now_ms, max_receive_count, dead_letters.id, source_arn])?)
}

/// The rows of the next visible messages, `limit` at most.
fn next(
    connection: &Connection,
    queue: &Queue,
    rules: InFlightRules,
    now_ms: i64,
    limit: i64,
) -> Result<Vec<i64>, SqsError> {
    let oldest_ms = now_ms - queue.settings.retention_ms;
    let in_flight: Vec<(Option<String>, u64)> = connection
        .prepare_cached(
            "SELECT message_group, count(*) FROM messages INDEXED BY received
             WHERE queue = ?1 AND visible_ms > ?2 AND receives > 0
             GROUP BY message_group ORDER BY count(*)",
        )?
        .query_map([queue.id, now_ms], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let all: u64 = in_flight.iter().map(|(_, count)| count).sum();
    if rules.is_full(all) {
        return Ok(Vec::new());
    }
    let is_noisy = |(_, count): &(Option<String>, u64)| rules.is_noisy(*count, all);
    let noisy: Vec<String> = in_flight.into_iter().filter(is_noisy).filter_map(|(group, _)| group).collect();
    let mut rows: Vec<i64> = connection
        .prepare_cached(
            "SELECT id FROM messages INDEXED BY due
             WHERE queue = ?1 AND visible_ms <= ?2 AND sent_ms > ?3
                 AND (message_group IS NULL OR message_group NOT IN (SELECT value FROM json_each(?4)))
             ORDER BY visible_ms, id LIMIT ?5",
        )?
        .query_map(params![queue.id, now_ms, oldest_ms, super::store::as_json(&noisy)?, limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for group in noisy {
        let missing = limit - rows.len() as i64;
        if missing == 0 {
            break;
        }
        let mut of_group = connection.prepare_cached(
            "SELECT id FROM messages INDEXED BY groups
             WHERE queue = ?1 AND message_group = ?4 AND visible_ms <= ?2 AND sent_ms > ?3
             ORDER BY visible_ms, id LIMIT ?5",
        )?;
        for found in of_group.query_map(params![queue.id, now_ms, oldest_ms, group, missing], |row| row.get(0))? {
            rows.push(found?);
        }
    }
    Ok(rows)
}

/// A received message for its receiver, with only the attributes that the receiver asked for.
fn message(row: &Row<'_>, request: &ReceiveMessage) -> rusqlite::Result<Message> {
    let receives: i64 = row.get("receives")?;
    let mut attributes = Attributes::from([
        ("ApproximateReceiveCount".to_owned(), receives.to_string()),
        ("SenderId".to_owned(), ACCOUNT.to_owned()),
        ("SentTimestamp".to_owned(), row.get::<_, i64>("sent_ms")?.to_string()),
        ("ApproximateFirstReceiveTimestamp".to_owned(), row.get::<_, i64>("first_received_ms")?.to_string()),
    ]);
    let optional = [
        ("MessageGroupId", "message_group"),
        ("AWSTraceHeader", "trace_header"),
        ("DeadLetterQueueSourceArn", "source_arn"),
    ];
    for (name, column) in optional {
        if let Some(value) = row.get(column)? {
            attributes.insert(name.to_owned(), value);
        }
    }
    let asked = |name: &String| {
        let mut names = request.attribute_names.iter().chain(&request.message_system_attribute_names);
        names.any(|asked| asked == "All" || asked == name)
    };
    attributes.retain(|name, _| asked(name));
    let mut message_attributes: MessageAttributes = match row.get_ref("attributes")?.as_str_or_null()? {
        Some(json) => serde_json::from_str(json)
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into()))?,
        None => MessageAttributes::new(),
    };
    message_attributes.retain(|name, _| request.message_attribute_names.iter().any(|asked| matches(asked, name)));
    let body: String = row.get("body")?;
    Ok(Message {
        message_id: row.get("message_id")?,
        receipt_handle: Handle { queue: row.get("queue")?, row: row.get("id")?, receives }.encode(),
        body_md5: digest::body(&body),
        body,
        attributes,
        attributes_md5: digest::attributes(&message_attributes),
        message_attributes,
    })
}

/// Whether a receiver that asks for `asked` wants the message attribute `name`. `asked` contains `All`, `.*`, a prefix
/// before `.*`, or a name.
fn matches(asked: &str, name: &str) -> bool {
    match asked.strip_suffix(".*") {
        Some(prefix) => prefix.is_empty() || name.starts_with(prefix),
        None => asked == "All" || asked == name,
    }
}
