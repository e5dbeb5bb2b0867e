use aws_lambda_events::{dynamodb::Event as DynamoDbEvent, kinesis::KinesisEvent, sqs::SqsEvent};
use aws_sdk_dynamodbstreams::types::{Identity, OperationType, StreamRecord, StreamViewType};
use aws_sdk_sqs::types::MessageSystemAttributeName;

use super::*;

fn wrapped(event: &Value) -> Bytes {
    records([Bytes::from(event.to_string())].iter())
}

#[test]
fn a_kinesis_record_is_decoded_by_aws_lambda_events() {
    let record = KinesisRecord::builder()
        .sequence_number("49590338271490256608559692538361571095921575989136588898")
        .approximate_arrival_timestamp(aws_sdk_kinesis::primitives::DateTime::from_millis(1_545_084_650_987))
        .data(aws_sdk_kinesis::primitives::Blob::new(b"\x00hello"))
        .partition_key("key")
        .build()
        .unwrap();
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/events";
    let event = kinesis(kinesis_inner(&record), &record.sequence_number, "shardId-000000000001", arn);
    let decoded: KinesisEvent = serde_json::from_slice(&wrapped(&event)).unwrap();
    let [decoded] = decoded.records.as_slice() else { panic!("one record") };
    assert_eq!(decoded.kinesis.data.0, b"\x00hello");
    assert_eq!(decoded.kinesis.partition_key, "key");
    assert_eq!(decoded.kinesis.sequence_number, record.sequence_number);
    assert_eq!(decoded.kinesis.approximate_arrival_timestamp.0.timestamp_millis(), 1_545_084_650_987);
    assert_eq!(decoded.event_source_arn.as_deref(), Some(arn));
    assert_eq!(decoded.aws_region.as_deref(), Some("us-east-1"));
    assert_eq!(
        decoded.event_id.as_deref(),
        Some("shardId-000000000001:49590338271490256608559692538361571095921575989136588898")
    );
}

#[test]
fn a_dynamodb_record_is_decoded_by_aws_lambda_events() {
    let image = HashMap::from([
        ("PK".to_owned(), AttributeValue::S("USER#a".into())),
        ("n".to_owned(), AttributeValue::N("1.5".into())),
        ("b".to_owned(), AttributeValue::B(aws_sdk_dynamodbstreams::primitives::Blob::new([0, 255]))),
        ("bs".to_owned(), AttributeValue::Bs(vec![aws_sdk_dynamodbstreams::primitives::Blob::new([1])])),
        ("ss".to_owned(), AttributeValue::Ss(vec!["x".into()])),
        ("l".to_owned(), AttributeValue::L(vec![AttributeValue::Bool(true), AttributeValue::Null(true)])),
        ("m".to_owned(), AttributeValue::M(HashMap::from([("i".to_owned(), AttributeValue::Ns(vec!["7".into()]))]))),
    ]);
    let record = DynamoDbRecord::builder()
        .event_id("1")
        .event_name(OperationType::Remove)
        .event_version("1.1")
        .user_identity(Identity::builder().r#type("Service").principal_id("dynamodb.amazonaws.com").build())
        .dynamodb(
            StreamRecord::builder()
                .approximate_creation_date_time(aws_sdk_dynamodbstreams::primitives::DateTime::from_secs(1_479_499_740))
                .keys("PK", AttributeValue::S("USER#a".into()))
                .set_old_image(Some(image))
                .sequence_number("100000000000000000001")
                .size_bytes(26)
                .stream_view_type(StreamViewType::NewAndOldImages)
                .build(),
        )
        .build();
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/commands/stream/2026";
    let event = dynamodb(&record, arn);
    let stored = &event["dynamodb"]["OldImage"];
    assert_eq!(stored["b"], json!({ "B": "AP8=" }));
    assert_eq!(stored["l"], json!({ "L": [{ "BOOL": true }, { "NULL": true }] }));
    assert_eq!(stored["m"], json!({ "M": { "i": { "NS": ["7"] } } }));

    let decoded: DynamoDbEvent = serde_json::from_slice(&wrapped(&event)).unwrap();
    let [decoded] = decoded.records.as_slice() else { panic!("one record") };
    assert_eq!(decoded.event_name, "REMOVE");
    assert_eq!(decoded.change.sequence_number.as_deref(), Some("100000000000000000001"));
    assert_eq!(decoded.change.approximate_creation_date_time.timestamp(), 1_479_499_740);
    assert_eq!(decoded.user_identity.as_ref().map(|user| user.type_.as_str()), Some("Service"));
    assert_eq!(decoded.change.old_image.len(), 7);
    assert!(decoded.change.new_image.is_empty());
    assert_eq!(decoded.event_source_arn.as_deref(), Some(arn));
}

#[test]
fn the_order_of_a_composite_key_is_the_same_for_every_record() {
    let record = |first: &str, second: &str| {
        let data = StreamRecord::builder()
            .keys(first, AttributeValue::S(first.into()))
            .keys(second, AttributeValue::S(second.into()));
        DynamoDbRecord::builder().dynamodb(data.build()).build()
    };
    assert_eq!(dynamodb_key(&record("PK", "SK")), dynamodb_key(&record("SK", "PK")));
}

#[test]
fn a_message_is_decoded_by_aws_lambda_events() {
    let message = Message::builder()
        .message_id("m1")
        .receipt_handle("handle")
        .body("body")
        .md5_of_body("841a2d689ad86bd1611447453c22c6fc")
        .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "2")
        .message_attributes(
            "kind",
            MessageAttributeValue::builder().data_type("String").string_value("catch-up").build().unwrap(),
        )
        .build();
    let event = sqs(&message, "arn:aws:sqs:us-east-1:000000000000:deliveries");
    let decoded: SqsEvent = serde_json::from_slice(&wrapped(&event)).unwrap();
    let [decoded] = decoded.records.as_slice() else { panic!("one record") };
    assert_eq!(decoded.message_id.as_deref(), Some("m1"));
    assert_eq!(decoded.body.as_deref(), Some("body"));
    assert_eq!(decoded.attributes["ApproximateReceiveCount"], "2");
    assert_eq!(decoded.message_attributes["kind"].string_value.as_deref(), Some("catch-up"));
    assert_eq!(decoded.aws_region.as_deref(), Some("us-east-1"));
}
