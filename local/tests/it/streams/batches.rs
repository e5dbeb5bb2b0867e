//! The content of batches, which batches run at the same time, and which records filters drop.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use serde_json::{Value, json};
use tidings_local::{
    invoke::{Invoke, InvokeError},
    sources::{Chaos, Pace, Sources},
    template::model::{EventSource, StreamKind, StreamSource},
};

use crate::support::eventually;
use crate::world::{FUNCTION, Script, World, from_kinesis, from_stream, idle, number, partition_key, records};

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

/// Checks during each invocation that no other invocation has the same key.
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
    // Batches of one record, so that concurrency within a key would become visible.
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
async fn records_that_pass_no_filter_are_never_delivered() {
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

    // Records that the filter dropped are not read again without the filter.
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
        physical_name: FUNCTION.into(),
        binary: String::new(),
        environment: BTreeMap::new(),
        timeout: Duration::from_secs(1),
        memory_mib: 128,
        max_concurrency: None,
        provisioned: 0,
        allows_recursion: false,
        routes: vec![],
        statements: Vec::new(),
        sources: vec![EventSource::Stream(StreamSource {
            filters: vec![json!({ "data": { "a": [{ "regex": ".*" }] } })],
            ..from_kinesis("stream")
        })],
    };
    let started = Sources::start(&[function], &world.clients, None, Chaos::default(), Pace::LOCAL, Script::ok()).await;
    assert!(format!("{:#}", started.err().unwrap()).contains("regex"));
}
