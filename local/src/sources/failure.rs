//! Reports of failures: those that functions return (partial batch responses), and those that Lambda sends to
//! on-failure destinations (invocation records).

use anyhow::Context as _;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use super::{parts::Clients, shards::Record};
use crate::lambda::function_arn;

/// The ids in a function's `batchItemFailures`. `None` if the answer is not valid, so that the whole batch failed.
///
/// AWS documents: an empty or null answer or list is a success, and an empty, null or missing `itemIdentifier` fails
/// the whole batch.
pub(super) fn reported_failures(answer: &[u8]) -> Option<Vec<String>> {
    if answer.trim_ascii().is_empty() {
        return Some(Vec::new());
    }
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let failures = match &answer {
        Value::Null => return Some(Vec::new()),
        Value::Object(fields) => fields.get("batchItemFailures"),
        _ => return None,
    };
    match failures {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(failures)) => failures
            .iter()
            .map(|failure| failure.get("itemIdentifier")?.as_str().filter(|id| !id.is_empty()).map(str::to_owned))
            .collect(),
        Some(_) => None,
    }
}

/// Why Lambda gave up records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    RetryAttemptsExhausted,
    MaximumRecordAgeInSecondsExceeded,
}

impl Condition {
    fn name(self) -> &'static str {
        match self {
            Self::RetryAttemptsExhausted => "RetryAttemptsExhausted",
            Self::MaximumRecordAgeInSecondsExceeded => "MaximumRecordAgeInSecondsExceeded",
        }
    }
}

/// Records that Lambda gave up, in the order of their shard.
pub(super) struct Discarded<'a> {
    pub(super) function: &'a str,
    pub(super) stream_arn: &'a str,
    pub(super) is_kinesis: bool,
    pub(super) shard: &'a str,
    pub(super) first: &'a Record,
    pub(super) last: &'a Record,
    pub(super) records: usize,
    pub(super) condition: Condition,
    pub(super) invocations: u32,
    /// Whether the last invocation failed as a whole. `false` if it reported failed items.
    pub(super) function_error: bool,
}

const SECONDS: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const MILLISECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

impl Discarded<'_> {
    /// The invocation record. It says where the records are in the stream, and does not contain them.
    pub(super) fn invocation_record(&self) -> Value {
        // The times of a DynamoDB stream are in whole seconds.
        let format = if self.is_kinesis { MILLISECONDS } else { SECONDS };
        let time = |time: OffsetDateTime, format| time.format(format).unwrap_or_default();
        let batch = json!({
            "shardId": self.shard,
            "startSequenceNumber": self.first.sequence,
            "endSequenceNumber": self.last.sequence,
            "approximateArrivalOfFirstRecord": time(self.first.arrival, format),
            "approximateArrivalOfLastRecord": time(self.last.arrival, format),
            "batchSize": self.records,
            "streamArn": self.stream_arn,
        });
        let mut record = json!({
            "requestContext": {
                "requestId": uuid::Uuid::new_v4().to_string(),
                "functionArn": function_arn(self.function),
                "condition": self.condition.name(),
                "approximateInvokeCount": self.invocations,
            },
            "version": "1.0",
            "timestamp": time(OffsetDateTime::now_utc(), MILLISECONDS),
        });
        if let Some(fields) = record.as_object_mut() {
            if self.invocations > 0 {
                let error = self.function_error.then_some("Unhandled");
                let response = json!({ "statusCode": 200, "executedVersion": "$LATEST", "functionError": error });
                fields.insert("responseContext".into(), response);
            }
            let name = if self.is_kinesis { "KinesisBatchInfo" } else { "DDBStreamBatchInfo" };
            fields.insert(name.into(), batch);
        }
        record
    }
}

/// A queue that is an on-failure destination.
pub(super) struct Destination {
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
}

impl Destination {
    pub(super) async fn open(clients: &Clients, queue: &str) -> anyhow::Result<Self> {
        let found = clients.sqs.get_queue_url().queue_name(queue).send().await;
        let queue_url = found
            .with_context(|| format!("cannot find the on-failure queue {queue}"))?
            .queue_url
            .with_context(|| format!("queue {queue} has no URL"))?;
        Ok(Self { sqs: clients.sqs.clone(), queue_url })
    }

    pub(super) async fn send(&self, record: &Value) -> anyhow::Result<()> {
        let message = self.sqs.send_message().queue_url(&self.queue_url).message_body(record.to_string());
        message.send().await.context("cannot send to the on-failure destination")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn empty_answers_are_success() {
        for answer in ["", "null", "{}", r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#] {
            assert_eq!(reported_failures(answer.as_bytes()), Some(vec![]), "{answer}");
        }
    }

    #[test]
    fn an_invalid_answer_fails_the_whole_batch() {
        for answer in [
            "{",
            "\"ok\"",
            "true",
            r#"{"batchItemFailures":"1"}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"1"},{"itemIdentifer":"2"}]}"#,
            r#"{"batchItemFailures":["1"]}"#,
        ] {
            assert_eq!(reported_failures(answer.as_bytes()), None, "{answer}");
        }
    }

    #[test]
    fn reported_items_are_given_as_they_are() {
        let answer = br#"{"batchItemFailures":[{"itemIdentifier":"2"},{"itemIdentifier":"1"}]}"#;
        assert_eq!(reported_failures(answer), Some(vec!["2".into(), "1".into()]));
    }

    #[test]
    fn an_invocation_record_has_the_documented_form() {
        let record = |sequence: &str, arrival| Record {
            sequence: sequence.into(),
            key: "k".into(),
            arrival,
            passes: true,
            event: Bytes::new(),
        };
        let (first, last) =
            (record("1", datetime!(2026-01-02 03:04:05.678 UTC)), record("3", datetime!(2026-01-02 03:04:06 UTC)));
        let mut discarded = Discarded {
            function: "Fanout",
            stream_arn: "arn:aws:kinesis:us-east-1:000000000000:stream/events",
            is_kinesis: true,
            shard: "shardId-000000000000",
            first: &first,
            last: &last,
            records: 3,
            condition: Condition::RetryAttemptsExhausted,
            invocations: 4,
            function_error: true,
        };
        let mut kinesis = discarded.invocation_record();
        assert!(uuid::Uuid::parse_str(kinesis["requestContext"]["requestId"].take().as_str().unwrap()).is_ok());
        assert!(kinesis["timestamp"].take().as_str().unwrap().ends_with('Z'));
        assert_eq!(
            kinesis,
            json!({
                "requestContext": {
                    "requestId": null,
                    "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:Fanout",
                    "condition": "RetryAttemptsExhausted",
                    "approximateInvokeCount": 4,
                },
                "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
                "version": "1.0",
                "timestamp": null,
                "KinesisBatchInfo": {
                    "shardId": "shardId-000000000000",
                    "startSequenceNumber": "1",
                    "endSequenceNumber": "3",
                    "approximateArrivalOfFirstRecord": "2026-01-02T03:04:05.678Z",
                    "approximateArrivalOfLastRecord": "2026-01-02T03:04:06.000Z",
                    "batchSize": 3,
                    "streamArn": "arn:aws:kinesis:us-east-1:000000000000:stream/events",
                },
            })
        );
        discarded.is_kinesis = false;
        let dynamodb = discarded.invocation_record();
        assert_eq!(dynamodb["DDBStreamBatchInfo"]["approximateArrivalOfFirstRecord"], "2026-01-02T03:04:05Z");
        assert!(dynamodb.get("KinesisBatchInfo").is_none());
    }
}
