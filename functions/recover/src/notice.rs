//! The message with which an event source mapping reports a batch that it gave up. It names the records and does not
//! contain them (AWS Lambda, "Retain discarded batch records", for Kinesis and for DynamoDB streams). It does not say
//! what the records are about.

use std::cmp::Ordering;

use serde::Deserialize;
use serde_json::Value;

/// A batch that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Notice {
    /// The records, if they are in a Kinesis stream.
    #[serde(rename = "KinesisBatchInfo")]
    pub(crate) kinesis: Option<Batch>,
    /// The records, if they are in the stream of a table.
    #[serde(rename = "DDBStreamBatchInfo")]
    pub(crate) table: Option<Batch>,
}

/// Where the records are. Between the first and the last one may be others, which the mapping's filter left out or
/// which belong to another batch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Batch {
    /// The stream.
    pub(crate) stream_arn: String,
    /// The shard.
    pub(crate) shard_id: String,
    /// The first record.
    pub(crate) start_sequence_number: String,
    /// The last record.
    pub(crate) end_sequence_number: String,
}

/// The same message about the records from this one on.
pub(crate) fn rest_of(body: &str, first: &str) -> serde_json::Result<String> {
    let mut notice: Value = serde_json::from_str(body)?;
    for name in ["KinesisBatchInfo", "DDBStreamBatchInfo"] {
        if let Some(batch) = notice.get_mut(name).and_then(Value::as_object_mut) {
            batch.insert("startSequenceNumber".to_owned(), first.into());
        }
    }
    Ok(notice.to_string())
}

/// The order of two records of one shard. Sequence numbers are whole numbers of any length.
pub(crate) fn order(a: &str, b: &str) -> Ordering {
    let digits = |number: &str| number.trim_start_matches('0').to_owned();
    let (a, b) = (digits(a), digits(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinesis() -> Value {
        // As in AWS's documentation, but for the numbers.
        json!({
            "requestContext": {
                "requestId": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
                "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 1
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "version": "1.0",
            "timestamp": "2019-11-14T00:38:06.021Z",
            "KinesisBatchInfo": {
                "shardId": "shardId-000000000001",
                "startSequenceNumber": "49601189658422359378836298521827638475320189012309704722",
                "endSequenceNumber": "49601189658422359378836298522902373528957594348623495186",
                "approximateArrivalOfFirstRecord": "2019-11-14T00:38:04.835Z",
                "approximateArrivalOfLastRecord": "2019-11-14T00:38:05.580Z",
                "batchSize": 500,
                "streamArn": "arn:aws:kinesis:us-east-2:123456789012:stream/mystream"
            }
        })
    }

    #[test]
    fn both_kinds_of_messages_are_understood() {
        let notice: Notice = serde_json::from_value(kinesis()).unwrap();
        let batch = notice.kinesis.unwrap();
        assert_eq!((batch.shard_id.as_str(), notice.table), ("shardId-000000000001", None));
        let mut of_table = kinesis();
        let batch = of_table.as_object_mut().unwrap().remove("KinesisBatchInfo").unwrap();
        of_table["DDBStreamBatchInfo"] = batch;
        let notice: Notice = serde_json::from_value(of_table).unwrap();
        assert!(notice.kinesis.is_none() && notice.table.is_some());
    }

    #[test]
    fn the_rest_is_the_same_message_with_another_first_record() {
        let mut expected = kinesis();
        expected["KinesisBatchInfo"]["startSequenceNumber"] = "7".into();
        let rest = rest_of(&kinesis().to_string(), "7").unwrap();
        assert_eq!(serde_json::from_str::<Value>(&rest).unwrap(), expected);
    }

    #[test]
    fn sequence_numbers_are_ordered_as_numbers() {
        assert_eq!(order("9", "10"), Ordering::Less);
        assert_eq!(order("000000000009", "10"), Ordering::Less);
        assert_eq!(order("000000000010", "10"), Ordering::Equal);
        assert_eq!(order("800000000003126276362", "800000000003126276361"), Ordering::Greater);
    }
}
