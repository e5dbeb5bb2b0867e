//! Turns records of streams and messages of queues into the JSON that functions receive. The JSON has exactly the
//! fields that Lambda documents for each source, so `aws_lambda_events` decodes it here as it does on AWS.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodbstreams::types::{AttributeValue, Record as DynamoDbRecord};
use aws_sdk_kinesis::types::{EncryptionType, Record as KinesisRecord};
use aws_sdk_sqs::types::{Message, MessageAttributeValue};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// A JSON array of records in Lambda's envelope.
pub(super) fn records<'a>(records: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut payload = b"{\"Records\":[".to_vec();
    for (position, record) in records.enumerate() {
        if position > 0 {
            payload.push(b',');
        }
        payload.extend_from_slice(record);
    }
    payload.extend_from_slice(b"]}");
    payload.into()
}

/// The region in an ARN, or an empty string.
fn region(arn: &str) -> &str {
    arn.split(':').nth(3).unwrap_or_default()
}

/// The `kinesis` object of a Kinesis record, with `data` in base64.
pub(super) fn kinesis_inner(record: &KinesisRecord) -> Value {
    let mut inner = json!({
        "kinesisSchemaVersion": "1.0",
        "partitionKey": record.partition_key,
        "sequenceNumber": record.sequence_number,
        "data": BASE64.encode(record.data.as_ref()),
        "approximateArrivalTimestamp": record.approximate_arrival_timestamp.map_or(0.0, |time| time.as_secs_f64()),
    });
    if let (Some(EncryptionType::Kms), Some(fields)) = (&record.encryption_type, inner.as_object_mut()) {
        fields.insert("encryptionType".into(), "KMS".into());
    }
    inner
}

/// A Kinesis record with its `kinesis` object.
pub(super) fn kinesis(inner: Value, sequence: &str, shard: &str, stream_arn: &str) -> Value {
    let account = stream_arn.split(':').nth(4).unwrap_or_default();
    json!({
        "kinesis": inner,
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": format!("{shard}:{sequence}"),
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": format!("arn:aws:iam::{account}:role/local"),
        "awsRegion": region(stream_arn),
        "eventSourceARN": stream_arn,
    })
}

/// A record of a DynamoDB stream.
pub(super) fn dynamodb(record: &DynamoDbRecord, stream_arn: &str) -> Value {
    let mut change = Map::new();
    if let Some(data) = &record.dynamodb {
        if let Some(time) = data.approximate_creation_date_time {
            change.insert("ApproximateCreationDateTime".into(), json!(time.secs()));
        }
        for (name, item) in [("Keys", &data.keys), ("NewImage", &data.new_image), ("OldImage", &data.old_image)] {
            if let Some(item) = item {
                change.insert(name.into(), attributes(item));
            }
        }
        change.insert("SequenceNumber".into(), json!(data.sequence_number));
        change.insert("SizeBytes".into(), json!(data.size_bytes));
        change.insert("StreamViewType".into(), json!(data.stream_view_type.as_ref().map(|view| view.as_str())));
    }
    let mut event = json!({
        "eventID": record.event_id,
        "eventName": record.event_name.as_ref().map(|name| name.as_str()),
        "eventVersion": record.event_version,
        "eventSource": "aws:dynamodb",
        "awsRegion": region(stream_arn),
        "dynamodb": change,
        "eventSourceARN": stream_arn,
    });
    if let (Some(identity), Some(fields)) = (&record.user_identity, event.as_object_mut()) {
        let identity = json!({ "type": identity.r#type, "principalId": identity.principal_id });
        fields.insert("userIdentity".into(), identity);
    }
    event
}

/// The item's key as one string. Records with the same key are delivered in order.
pub(super) fn dynamodb_key(record: &DynamoDbRecord) -> String {
    let keys = record.dynamodb.as_ref().and_then(|data| data.keys.as_ref());
    let sorted: BTreeMap<_, _> = keys.into_iter().flatten().map(|(name, value)| (name, attribute(value))).collect();
    json!(sorted).to_string()
}

fn attributes(item: &HashMap<String, AttributeValue>) -> Value {
    item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect::<Map<_, _>>().into()
}

fn attribute(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Bool(flag) => json!({ "BOOL": flag }),
        AttributeValue::Null(is_null) => json!({ "NULL": is_null }),
        AttributeValue::B(bytes) => json!({ "B": BASE64.encode(bytes) }),
        AttributeValue::Ss(texts) => json!({ "SS": texts }),
        AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
        AttributeValue::Bs(blobs) => {
            json!({ "BS": blobs.iter().map(|bytes| BASE64.encode(bytes)).collect::<Vec<_>>() })
        }
        AttributeValue::L(list) => json!({ "L": list.iter().map(attribute).collect::<Vec<_>>() }),
        AttributeValue::M(map) => json!({ "M": attributes(map) }),
        // A type that this SDK does not know yet. The function sees that there is a value.
        _ => json!({}),
    }
}

/// A message of a queue.
pub(super) fn sqs(message: &Message, queue_arn: &str) -> Value {
    let attributes: Map<_, _> =
        message.attributes.iter().flatten().map(|(name, value)| (name.as_str().to_owned(), json!(value))).collect();
    let message_attributes: Map<_, _> = message
        .message_attributes
        .iter()
        .flatten()
        .map(|(name, value)| (name.clone(), message_attribute(value)))
        .collect();
    let mut event = json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": attributes,
        "messageAttributes": message_attributes,
        "md5OfBody": message.md5_of_body,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region(queue_arn),
    });
    if let (Some(md5), Some(fields)) = (&message.md5_of_message_attributes, event.as_object_mut()) {
        fields.insert("md5OfMessageAttributes".into(), json!(md5));
    }
    event
}

fn message_attribute(value: &MessageAttributeValue) -> Value {
    let mut attribute = json!({ "stringListValues": [], "binaryListValues": [], "dataType": value.data_type });
    if let Some(fields) = attribute.as_object_mut() {
        if let Some(text) = &value.string_value {
            fields.insert("stringValue".into(), json!(text));
        }
        if let Some(bytes) = &value.binary_value {
            fields.insert("binaryValue".into(), json!(BASE64.encode(bytes)));
        }
    }
    attribute
}

#[cfg(test)]
mod tests;
