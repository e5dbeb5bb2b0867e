//! Event source mappings from DynamoDB and Kinesis streams, with a function that fails in the way each test is about.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::eventually;
use crate::world::{FUNCTION, Script, World, from_kinesis, from_stream, id, idle, number, partition_key, records};
use bytes::Bytes;
use serde_json::{Value, json};
use tidings_local::{
    invoke::{Invoke, InvokeError},
    sources::{Chaos, Sources},
    template::model::{EventSource, StreamKind, StreamSource},
};

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

    // Processed is what stands before the failure in a batch, and each record is so exactly once.
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
async fn changes_and_deletions_of_an_item_arrive_in_order_with_both_images() {
    let world = World::start();
    world.table("table").await;
    world.put_item("table", "item", 1).await;
    world.put_item("table", "item", 2).await;
    let key = aws_sdk_dynamodb::types::AttributeValue::S("item".into());
    world.clients.dynamodb.delete_item().table_name("table").key("PK", key).send().await.unwrap();
    let script = Script::ok();
    let sources = world.stream_source(from_stream(StreamKind::DynamoDb("table".into())), script.clone()).await;
    idle(&sources).await;
    let all: Vec<Value> = script.events().iter().flat_map(records).cloned().collect();
    let image = |n: &str| json!({ "PK": { "S": "item" }, "n": { "N": n } });
    let names: Vec<_> = all.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["INSERT", "MODIFY", "REMOVE"]);
    assert_eq!((&all[1]["dynamodb"]["OldImage"], &all[1]["dynamodb"]["NewImage"]), (&image("1"), &image("2")));
    assert_eq!((&all[2]["dynamodb"]["OldImage"], all[2]["dynamodb"].get("NewImage")), (&image("2"), None));
    for event in script.events() {
        let delivered = records(&event).count();
        let decoded: aws_lambda_events::dynamodb::Event = serde_json::from_value(event).unwrap();
        assert_eq!(decoded.records.len(), delivered);
    }
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

#[tokio::test]
async fn batches_have_at_most_the_batch_size() {
    let world = World::start();
    world.stream("stream", 1).await;
    world.put_numbers("stream", "key", 0..25).await;
    let script = Script::ok();
    let sources = world.stream_source(StreamSource { batch_size: 10, ..from_kinesis("stream") }, script.clone()).await;
    idle(&sources).await;
    assert_eq!(script.batches().iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    assert_eq!(script.numbers(), (0..25).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_batching_window_gathers_records() {
    let world = World::start();
    world.stream("stream", 1).await;
    world.put_numbers("stream", "key", 0..4).await;
    let script = Script::ok();
    let source = StreamSource { batching_window: Duration::from_secs(5), batch_size: 3, ..from_kinesis("stream") };
    let _sources = world.stream_source(source, script.clone()).await;
    eventually("the full batch, which does not wait", async || !script.events().is_empty()).await;
    world.put_numbers("stream", "key", 4..5).await;
    eventually("the rest", async || script.numbers().len() == 5).await;
    assert_eq!(script.batches(), [vec![0, 1, 2], vec![3, 4]]);
}

#[tokio::test]
async fn a_payload_stays_below_6_mb() {
    let world = World::start();
    world.stream("stream", 1).await;
    for n in 0..8 {
        world.put("stream", "key", json!({ "n": n, "text": "x".repeat(900_000) })).await;
    }
    let script = Script::ok();
    let sources = world.stream_source(from_kinesis("stream"), script.clone()).await;
    idle(&sources).await;
    assert_eq!(script.numbers(), (0..8).collect::<Vec<_>>());
    assert!(script.events().iter().all(|event| event.to_string().len() <= 6 * 1024 * 1024));
}

/// Checks, while it runs, that no two invocations have the same key at a time.
#[derive(Clone, Default)]
struct Concurrency {
    running: Arc<Mutex<Vec<String>>>,
    most: Arc<Mutex<usize>>,
    delivered: Arc<Mutex<BTreeMap<String, Vec<u64>>>>,
}

impl Invoke for Concurrency {
    async fn invoke(&self, _: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        let event: Value = serde_json::from_slice(&payload).unwrap();
        let keys: BTreeSet<String> = records(&event).map(|record| partition_key(record).to_owned()).collect();
        {
            let mut running = self.running.lock().unwrap();
            assert!(keys.iter().all(|key| !running.contains(key)), "a key is in two batches at a time");
            running.extend(keys.iter().cloned());
            let mut most = self.most.lock().unwrap();
            *most = (*most).max(running.len());
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        let mut delivered = self.delivered.lock().unwrap();
        for record in records(&event) {
            delivered.entry(partition_key(record).into()).or_default().push(number(record));
        }
        self.running.lock().unwrap().retain(|key| !keys.contains(key));
        Ok(Bytes::from_static(b"null"))
    }
}

#[tokio::test]
async fn parallel_batches_of_a_shard_keep_the_order_of_each_key() {
    let world = World::start();
    world.stream("stream", 1).await;
    for n in 0..60 {
        world.put("stream", &format!("key-{}", n % 6), json!({ "n": n })).await;
    }
    let function = Concurrency::default();
    // Batches of one record, so that any concurrency within a key would show.
    let source = StreamSource { parallelization_factor: 4, batch_size: 1, ..from_kinesis("stream") };
    let sources = world.stream_source(source, function.clone()).await;
    idle(&sources).await;
    let delivered = function.delivered.lock().unwrap().clone();
    assert_eq!(delivered.values().map(Vec::len).sum::<usize>(), 60);
    assert!(delivered.values().all(|numbers| numbers.is_sorted()));
    let most = *function.most.lock().unwrap();
    assert!((2..=4).contains(&most), "{most} batches at a time");
}

#[tokio::test]
async fn a_key_that_fails_does_not_hold_up_other_lanes() {
    let world = World::start();
    world.stream("stream", 1).await;
    for n in 0..40 {
        world.put("stream", &format!("key-{n}"), json!({ "n": n })).await;
    }
    let script = Script::reports(|record| number(record) == 0);
    let source = StreamSource { parallelization_factor: 10, batch_size: 1, ..from_kinesis("stream") };
    let _sources = world.stream_source(source, script.clone()).await;
    let in_other_lanes = || script.numbers().into_iter().collect::<BTreeSet<_>>().len();
    eventually("most other records", async || in_other_lanes() >= 20).await;
    assert!(script.numbers().iter().filter(|n| **n == 0).count() >= 1);
}

#[tokio::test]
async fn what_no_filter_lets_pass_is_skipped_for_good() {
    let world = World::start();
    world.stream("stream", 1).await;
    world.put("stream", "key", json!({ "n": 0, "type": "tidings.a" })).await;
    world.put("stream", "key", json!({ "n": 1, "type": "other" })).await;
    world.put("stream", "key", json!({ "n": 2, "type": "tidings.b" })).await;
    world.put("stream", "key", json!("not an object")).await;
    let script = Script::ok();
    let filtered = StreamSource {
        filters: vec![json!({ "data": { "type": [{ "prefix": "tidings." }] } })],
        ..from_kinesis("stream")
    };
    let sources = world.stream_source(filtered, script.clone()).await;
    idle(&sources).await;
    assert_eq!(script.numbers(), [0, 2]);
    sources.shutdown().await;

    // Without the filter, what was skipped is not read again.
    let sources = world.stream_source(from_kinesis("stream"), script.clone()).await;
    idle(&sources).await;
    assert_eq!(script.numbers(), [0, 2]);
}

#[tokio::test]
async fn a_filter_that_lambda_refuses_is_an_error_at_start() {
    let world = World::start();
    world.stream("stream", 1).await;
    let function = tidings_local::template::model::Function {
        name: FUNCTION.into(),
        binary: String::new(),
        environment: BTreeMap::new(),
        timeout: Duration::from_secs(1),
        memory_mib: 128,
        max_concurrency: None,
        routes: vec![],
        sources: vec![EventSource::Stream(StreamSource {
            filters: vec![json!({ "data": { "a": [{ "regex": ".*" }] } })],
            ..from_kinesis("stream")
        })],
    };
    let started = Sources::start(&[function], &world.clients, None, Chaos::default(), Script::ok()).await;
    assert!(format!("{:#}", started.err().unwrap()).contains("regex"));
}

#[tokio::test]
async fn after_a_restart_it_goes_on_where_it_was() {
    let world = World::start();
    world.stream("stream", 2).await;
    world.table("table").await;
    let mappings = || {
        vec![
            EventSource::Stream(StreamSource { id: "kinesis".into(), ..from_kinesis("stream") }),
            EventSource::Stream(StreamSource {
                id: "dynamodb".into(),
                ..from_stream(StreamKind::DynamoDb("table".into()))
            }),
        ]
    };
    for n in 0..10 {
        world.put("stream", &format!("key-{n}"), json!({ "n": n })).await;
        world.put_item("table", &format!("key-{n}"), n).await;
    }
    let first = Script::ok();
    let sources = world.sources(mappings(), Chaos::default(), first.clone()).await;
    idle(&sources).await;
    sources.shutdown().await;
    assert_eq!(first.numbers().len(), 20);

    for n in 10..15 {
        world.put("stream", &format!("key-{n}"), json!({ "n": n })).await;
        world.put_item("table", &format!("key-{n}"), n).await;
    }
    let second = Script::ok();
    let sources = world.sources(mappings(), Chaos::default(), second.clone()).await;
    idle(&sources).await;
    let mut numbers = second.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, [10, 10, 11, 11, 12, 12, 13, 13, 14, 14]);
}

#[tokio::test]
async fn a_batch_in_flight_when_everything_dies_comes_again() {
    let world = World::start();
    world.stream("stream", 1).await;
    world.put_numbers("stream", "key", 0..3).await;
    let hanging = Script::ok().taking(Duration::from_secs(3600));
    let sources = world.stream_source(from_kinesis("stream"), hanging.clone()).await;
    eventually("the batch", async || !hanging.events().is_empty()).await;
    drop(sources);
    let script = Script::ok();
    let sources = world.stream_source(from_kinesis("stream"), script.clone()).await;
    idle(&sources).await;
    assert_eq!(script.numbers(), [0, 1, 2]);
}

#[tokio::test]
async fn shutdown_lets_batches_end_and_keeps_their_checkpoints() {
    let world = World::start();
    world.stream("stream", 1).await;
    for n in 0..40 {
        world.put("stream", &format!("key-{n}"), json!({ "n": n })).await;
    }
    let slow = Script::ok().taking(Duration::from_millis(500));
    let source = StreamSource { parallelization_factor: 4, batch_size: 100, ..from_kinesis("stream") };
    let sources = world.stream_source(source.clone(), slow.clone()).await;
    eventually("a batch in every lane", async || slow.events().len() >= 4).await;
    sources.shutdown().await;

    let again = Script::ok();
    let sources = world.stream_source(source, again.clone()).await;
    idle(&sources).await;
    let mut all = [slow.numbers(), again.numbers()].concat();
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_checkpoint_of_a_stream_that_was_there_before_goes_on_with_the_oldest_record() {
    let world = World::start();
    world.stream("stream", 1).await;
    world.put_numbers("stream", "key", 0..3).await;
    let first = Script::ok();
    let sources = world.stream_source(from_kinesis("stream"), first.clone()).await;
    idle(&sources).await;
    sources.shutdown().await;

    world.clients.kinesis.delete_stream().stream_name("stream").send().await.unwrap();
    eventually("the stream to be gone", async || {
        world.clients.kinesis.describe_stream_summary().stream_name("stream").send().await.is_err()
    })
    .await;
    // Sequence numbers carry the second in which the shard was made.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.stream("stream", 1).await;
    world.put_numbers("stream", "key", 3..6).await;
    let second = Script::ok();
    let sources = world.stream_source(from_kinesis("stream"), second.clone()).await;
    idle(&sources).await;
    assert_eq!(second.numbers(), [3, 4, 5]);
}

#[tokio::test]
async fn latest_leaves_out_what_was_there_before() {
    let world = World::start();
    world.stream("stream", 1).await;
    world.put_numbers("stream", "key", 0..3).await;
    let script = Script::ok();
    let sources =
        world.stream_source(StreamSource { from_oldest: false, ..from_kinesis("stream") }, script.clone()).await;
    idle(&sources).await;
    world.put_numbers("stream", "key", 3..5).await;
    idle(&sources).await;
    assert_eq!(script.numbers(), [3, 4]);
}

#[tokio::test]
async fn parents_are_read_to_their_end_before_children() {
    let world = World::start();
    world.stream("stream", 1).await;
    let split = async |shard: &str, at: u128| {
        let request = world.clients.kinesis.split_shard().stream_name("stream").shard_to_split(shard);
        request.new_starting_hash_key(at.to_string()).send().await.unwrap();
    };
    let put = async |numbers: std::ops::Range<u64>| {
        for n in numbers {
            world.put("stream", &format!("key-{}", n % 5), json!({ "n": n })).await;
        }
    };
    put(0..50).await;
    split("shardId-000000000000", 1 << 127).await;
    put(50..100).await;
    let merge = world.clients.kinesis.merge_shards().stream_name("stream");
    let merge = merge.shard_to_merge("shardId-000000000001").adjacent_shard_to_merge("shardId-000000000002");
    merge.send().await.unwrap();
    put(100..150).await;

    let script = Script::ok();
    let source = StreamSource { batch_size: 7, ..from_kinesis("stream") };
    let sources = world.stream_source(source.clone(), script.clone()).await;
    idle(&sources).await;
    // While it runs, too.
    split("shardId-000000000003", 1 << 126).await;
    put(150..200).await;
    idle(&sources).await;

    let mut by_key: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for record in script.events().iter().flat_map(records) {
        by_key.entry(partition_key(record).into()).or_default().push(number(record));
    }
    assert!(by_key.values().all(|numbers| numbers.len() == 40 && numbers.is_sorted()), "{by_key:?}");
    sources.shutdown().await;

    let again = Script::ok();
    let sources = world.stream_source(source, again.clone()).await;
    idle(&sources).await;
    assert!(again.events().is_empty(), "ended shards are not read again");
}

#[tokio::test]
async fn while_nothing_can_run_records_wait() {
    let world = World::start();
    world.stream("stream", 1).await;
    world.put_numbers("stream", "key", 0..3).await;
    let script = Script::new(|_, call| if call < 4 { Err(InvokeError::Throttled) } else { Ok(Value::Null) });
    let source = StreamSource { max_retries: Some(0), bisect: true, ..from_kinesis("stream") };
    let sources = world.stream_source(source, script.clone()).await;
    idle(&sources).await;
    assert_eq!(script.batches(), vec![vec![0, 1, 2]; 4]);
}

#[tokio::test]
async fn paused_mappings_read_nothing_until_they_are_resumed() {
    let world = World::start();
    world.stream("stream", 1).await;
    let script = Script::ok();
    let sources = world.stream_source(from_kinesis("stream"), script.clone()).await;
    idle(&sources).await;
    sources.pause();
    // A read that has begun ends.
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.put_numbers("stream", "key", 0..3).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(script.events().is_empty());
    assert!(sources.status().await.iter().all(|source| !source.idle));
    sources.resume();
    idle(&sources).await;
    assert_eq!(script.numbers(), [0, 1, 2]);
}

#[tokio::test]
async fn idle_means_that_everything_written_before_was_processed() {
    let world = World::start();
    world.stream("stream", 2).await;
    let script = Script::ok().taking(Duration::from_millis(20));
    let sources = world.stream_source(from_kinesis("stream"), script.clone()).await;
    for n in 0..30 {
        world.put("stream", &n.to_string(), json!({ "n": n })).await;
        eventually("it to be idle", async || sources.status().await.iter().all(|source| source.idle)).await;
        assert!(script.numbers().contains(&n), "record {n} was overlooked");
    }
}

#[tokio::test]
async fn chaos_repeats_and_reorders_but_keeps_what_aws_guarantees() {
    let world = World::start();
    world.stream("stream", 1).await;
    for n in 0..600 {
        world.put("stream", &format!("key-{}", n % 7), json!({ "n": n })).await;
    }
    // Now and then it fails, so that retries are in the mix.
    let script = Script::new(|event, call| {
        let failed =
            (call % 5 == 0).then(|| records(event).last().map(|record| json!({ "itemIdentifier": id(record) })));
        Ok(json!({ "batchItemFailures": failed.into_iter().collect::<Vec<_>>() }))
    });
    let chaos = Chaos { duplicate_records: true, reorder_records: true };
    let source = StreamSource { batch_size: 20, bisect: true, parallelization_factor: 2, ..from_kinesis("stream") };
    let sources = world.sources(vec![EventSource::Stream(source)], chaos, script.clone()).await;
    idle(&sources).await;

    let numbers = script.numbers();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 600, "everything arrives");
    assert!(script.batches().iter().all(|batch| batch.is_sorted()), "a batch is in order");
    assert!(script.batches().iter().all(|batch| batch.len() <= 20), "the batch size holds");
    let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut overtaken, mut highest) = (0, 0);
    for n in &numbers {
        let key = n % 7;
        let expected = newest.get(&key).map_or(key, |newest| newest + 7);
        assert!(*n <= expected, "record {n} came before {expected} of the same key");
        if *n == expected {
            newest.insert(key, *n);
            overtaken += u64::from(*n < highest);
            highest = highest.max(*n);
        }
    }
    assert!(numbers.len() > 600, "some arrive twice");
    assert!(script.batches().iter().any(|batch| batch.windows(2).any(|pair| pair[0] == pair[1])), "also in one batch");
    assert!(overtaken > 0, "some are overtaken by other keys");
}

#[tokio::test]
async fn without_chaos_nothing_is_repeated_or_reordered() {
    let world = World::start();
    world.stream("stream", 1).await;
    for n in 0..300 {
        world.put("stream", &format!("key-{}", n % 7), json!({ "n": n })).await;
    }
    let script = Script::ok();
    let sources = world.stream_source(StreamSource { batch_size: 20, ..from_kinesis("stream") }, script.clone()).await;
    idle(&sources).await;
    assert_eq!(script.numbers(), (0..300).collect::<Vec<_>>());
}
