//! Waiting, pausing, and the faults that tests can request.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use tidings_local::{
    invoke::InvokeError,
    sources::Chaos,
    template::model::{EventSource, StreamSource},
};

use crate::support::eventually;
use crate::world::{Script, World, from_kinesis, id, idle, records};

#[tokio::test]
async fn records_wait_while_no_function_can_run() {
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
    // A read in progress finishes.
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
    // The function fails from time to time, so that retries are part of the test.
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
async fn chaos_can_be_switched_on_and_off() {
    let world = World::start();
    world.stream("stream", 1).await;
    let script = Script::ok();
    let sources = world.stream_source(StreamSource { batch_size: 20, ..from_kinesis("stream") }, script.clone()).await;
    let chaos = Chaos { duplicate_records: true, reorder_records: false };
    sources.set_chaos(chaos);
    assert_eq!(sources.chaos(), chaos);
    for n in 0..300 {
        world.put("stream", "key", json!({ "n": n })).await;
    }
    idle(&sources).await;
    assert!(script.numbers().len() > 300, "some arrive twice");
    sources.set_chaos(Chaos::default());
    let before = script.numbers().len();
    for n in 300..600 {
        world.put("stream", "key", json!({ "n": n })).await;
    }
    idle(&sources).await;
    assert_eq!(script.numbers()[before..], (300..600).collect::<Vec<u64>>());
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
