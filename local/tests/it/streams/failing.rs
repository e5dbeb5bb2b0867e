//! Stream records that a function fails on: retries, bisecting and on-failure destinations.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tidings_local::{
    invoke::InvokeError,
    template::model::{StreamKind, StreamSource},
};

use crate::support::eventually;
use crate::world::{FUNCTION, Script, World, from_kinesis, from_stream, id, idle, number, records};

const ON_FAILURE: &str = "on-failure";

#[tokio::test]
async fn a_poison_record_ends_at_the_destination_and_all_around_it_is_processed() {
    let world = World::start();
    world.stream("stream", 1).await;
    let queue = world.queue(ON_FAILURE, &[]).await;
    let sequences = world.put_numbers("stream", "key", 0..20).await;
    let script = Script::reports(|record| number(record) == 7);
    let source = StreamSource {
        bisect: true,
        max_retries: Some(2),
        on_failure_queue: Some(ON_FAILURE.into()),
        ..from_kinesis("stream")
    };
    let sources = world.stream_source(source, script.clone()).await;
    let told = world.take_json(&queue).await;
    idle(&sources).await;

    assert_eq!(told["version"], "1.0");
    assert_eq!(told["requestContext"]["condition"], "RetryAttemptsExhausted");
    assert_eq!(
        told["requestContext"]["functionArn"],
        format!("arn:aws:lambda:us-east-1:000000000000:function:{FUNCTION}")
    );
    assert_eq!(told["KinesisBatchInfo"]["startSequenceNumber"], sequences[7]);
    assert_eq!(told["KinesisBatchInfo"]["endSequenceNumber"], sequences[7]);
    assert_eq!(told["KinesisBatchInfo"]["batchSize"], 1);
    assert_eq!(told["KinesisBatchInfo"]["shardId"], "shardId-000000000000");
    assert_eq!(told["KinesisBatchInfo"]["streamArn"], "arn:aws:kinesis:us-east-1:000000000000:stream/stream");
    assert_eq!(world.messages(&queue).await, (0, 0), "nothing else is told");

    // In each batch, the records before the failure are processed, each exactly once.
    let processed = script.batches().into_iter().flat_map(|batch| batch.into_iter().take_while(|n| *n != 7));
    assert_eq!(processed.collect::<Vec<_>>(), (0..20).filter(|n| *n != 7).collect::<Vec<_>>());
    let alone = script.batches().iter().filter(|batch| **batch == [7]).count();
    assert_eq!(alone, 3, "one attempt and two retries");
}

#[tokio::test]
async fn a_dynamodb_stream_is_treated_the_same() {
    let world = World::start();
    world.table("table").await;
    let queue = world.queue(ON_FAILURE, &[]).await;
    for n in 0..10 {
        world.put_item("table", &format!("item-{n}"), n).await;
    }
    let script = Script::reports(|record| number(record) == 4);
    let source = StreamSource {
        bisect: true,
        max_retries: Some(0),
        on_failure_queue: Some(ON_FAILURE.into()),
        ..from_stream(StreamKind::DynamoDb("table".into()))
    };
    let sources = world.stream_source(source, script.clone()).await;
    let told = world.take_json(&queue).await;
    idle(&sources).await;

    let poison = script.events().iter().flat_map(records).find(|record| number(record) == 4).cloned().unwrap();
    assert_eq!(poison["eventName"], "INSERT");
    assert_eq!(poison["dynamodb"]["Keys"], json!({ "PK": { "S": "item-4" } }));
    assert_eq!(told["DDBStreamBatchInfo"]["startSequenceNumber"], id(&poison));
    assert_eq!(told["DDBStreamBatchInfo"]["streamArn"], poison["eventSourceARN"]);
    assert_eq!(script.numbers().into_iter().collect::<BTreeSet<_>>(), (0..10).collect());
}

#[tokio::test]
async fn a_failing_batch_is_given_up_as_a_whole_without_bisecting() {
    let world = World::start();
    world.stream("stream", 1).await;
    let queue = world.queue(ON_FAILURE, &[]).await;
    let sequences = world.put_numbers("stream", "key", 0..5).await;
    let script = Script::new(|event, _| match records(event).any(|record| number(record) == 2) {
        true => Err(InvokeError::Function("{}".into())),
        false => Ok(Value::Null),
    });
    let source =
        StreamSource { max_retries: Some(1), on_failure_queue: Some(ON_FAILURE.into()), ..from_kinesis("stream") };
    let sources = world.stream_source(source, script.clone()).await;
    let told = world.take_json(&queue).await;
    world.put_numbers("stream", "key", 5..6).await;
    eventually("the record behind it", async || script.numbers().contains(&5)).await;
    idle(&sources).await;

    assert_eq!(script.batches(), [vec![0, 1, 2, 3, 4], vec![0, 1, 2, 3, 4], vec![5]]);
    assert_eq!(told["requestContext"]["approximateInvokeCount"], 2);
    assert_eq!(told["responseContext"]["functionError"], "Unhandled");
    assert_eq!(told["KinesisBatchInfo"]["batchSize"], 5);
    assert_eq!(told["KinesisBatchInfo"]["startSequenceNumber"], sequences[0]);
    assert_eq!(told["KinesisBatchInfo"]["endSequenceNumber"], sequences[4]);
}

#[tokio::test]
async fn records_that_get_too_old_go_to_the_destination() {
    let world = World::start();
    world.stream("stream", 1).await;
    let queue = world.queue(ON_FAILURE, &[]).await;
    let sequences = world.put_numbers("stream", "key", 0..1).await;
    let script = Script::new(|_, _| Err(InvokeError::Crashed));
    let source = StreamSource {
        max_record_age: Some(Duration::from_secs(2)),
        on_failure_queue: Some(ON_FAILURE.into()),
        ..from_kinesis("stream")
    };
    let _sources = world.stream_source(source, script.clone()).await;
    let told = world.take_json(&queue).await;
    assert_eq!(told["requestContext"]["condition"], "MaximumRecordAgeInSecondsExceeded");
    assert_eq!(told["requestContext"]["approximateInvokeCount"], script.events().len());
    assert_eq!(told["KinesisBatchInfo"]["startSequenceNumber"], sequences[0]);
}
