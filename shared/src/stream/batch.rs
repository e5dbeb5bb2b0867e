//! Batches: what SQS tells of a message, and partial batch responses, which say which items come again (AWS Lambda,
//! "Partial batch responses"). All responses are built here, because one missing or empty identifier makes Lambda
//! repeat the whole batch.
//!
//! A stream goes on from the lowest sequence number that is reported. So only the first failed record is reported, and
//! it comes again with all records behind it. A queue repeats exactly the messages that are reported.

use aws_lambda_events::{
    sqs::{SqsBatchResponse, SqsMessage},
    streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse, KinesisEventResponse},
};

use crate::{error::Error, model::Timestamp};

/// When the message was sent, if SQS tells.
pub fn sent_at(message: &SqsMessage) -> Option<Timestamp> {
    message.attributes.get("SentTimestamp")?.parse().ok().map(Timestamp::from_ms)
}

/// How often SQS has handed out the message.
pub fn receives(message: &SqsMessage) -> u32 {
    message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// What became of an item of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemOutcome<'a> {
    /// The sequence number of the record, or the id of the message, as AWS gave it.
    pub identifier: Option<&'a str>,
    /// Whether the item is done. If it is not, it comes again.
    pub done: bool,
}

/// The response for a batch from Kinesis. The outcomes are in the order of the batch.
///
/// # Errors
/// [`Error::Poison`] if the first failed record has no identifier. The whole invocation then has to fail.
pub fn kinesis_response<'a>(
    outcomes: impl IntoIterator<Item = ItemOutcome<'a>>,
) -> Result<KinesisEventResponse, Error> {
    let mut response = KinesisEventResponse::default();
    response.set_failures(first_failure(outcomes)?);
    Ok(response)
}

/// The response for a batch from a DynamoDB stream. The outcomes are in the order of the batch.
///
/// # Errors
/// As [`kinesis_response`].
pub fn dynamodb_response<'a>(
    outcomes: impl IntoIterator<Item = ItemOutcome<'a>>,
) -> Result<DynamoDbEventResponse, Error> {
    let failure = |identifier: &str| {
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier = Some(identifier.to_owned());
        failure
    };
    let mut response = DynamoDbEventResponse::default();
    response.batch_item_failures.extend(first_failure(outcomes)?.map(failure));
    Ok(response)
}

/// The response for a batch from SQS. The outcomes may be in any order.
///
/// # Errors
/// [`Error::Poison`] if a failed message has no identifier. The whole invocation then has to fail.
pub fn sqs_response<'a>(outcomes: impl IntoIterator<Item = ItemOutcome<'a>>) -> Result<SqsBatchResponse, Error> {
    let failed = outcomes.into_iter().filter(|outcome| !outcome.done).map(identifier);
    let mut response = SqsBatchResponse::default();
    response.set_failures(failed.collect::<Result<Vec<_>, _>>()?);
    Ok(response)
}

fn first_failure<'a>(outcomes: impl IntoIterator<Item = ItemOutcome<'a>>) -> Result<Option<&'a str>, Error> {
    outcomes.into_iter().find(|outcome| !outcome.done).map(identifier).transpose()
}

fn identifier(outcome: ItemOutcome<'_>) -> Result<&str, Error> {
    let identifier = outcome.identifier.filter(|identifier| !identifier.is_empty());
    identifier.ok_or_else(|| Error::poison("a failed item of a batch", "it has no identifier"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn done(identifier: &str) -> ItemOutcome<'_> {
        ItemOutcome { identifier: Some(identifier), done: true }
    }

    fn failed(identifier: &str) -> ItemOutcome<'_> {
        ItemOutcome { done: false, ..done(identifier) }
    }

    #[test]
    fn success_is_an_empty_list() {
        let expected = json!({"batchItemFailures": []});
        assert_eq!(json!(kinesis_response([done("1")]).unwrap()), expected);
        assert_eq!(json!(dynamodb_response([done("1")]).unwrap()), expected);
        assert_eq!(json!(sqs_response([done("1")]).unwrap()), expected);
    }

    #[test]
    fn a_stream_goes_on_from_its_first_failure() {
        let outcomes = [done("10"), failed("9"), done("8"), failed("7")];
        let expected = json!({"batchItemFailures": [{"itemIdentifier": "9"}]});
        assert_eq!(json!(kinesis_response(outcomes).unwrap()), expected);
        assert_eq!(json!(dynamodb_response(outcomes).unwrap()), expected);
    }

    #[test]
    fn a_queue_repeats_each_failure() {
        let response = sqs_response([failed("a"), done("b"), failed("c")]).unwrap();
        assert_eq!(json!(response), json!({"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "c"}]}));
    }

    #[test]
    fn a_failure_without_an_identifier_fails_the_invocation() {
        for identifier in [None, Some("")] {
            let outcomes = [ItemOutcome { identifier, done: false }, failed("2")];
            assert!(matches!(kinesis_response(outcomes), Err(Error::Poison { .. })));
            assert!(matches!(dynamodb_response(outcomes), Err(Error::Poison { .. })));
            assert!(matches!(sqs_response(outcomes), Err(Error::Poison { .. })));
            let outcomes = [ItemOutcome { identifier, done: true }];
            assert_eq!(json!(sqs_response(outcomes).unwrap()), json!({"batchItemFailures": []}));
        }
    }
}
