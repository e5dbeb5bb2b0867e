//! Where reading begins, and where it continues after a restart or a split.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use tidings_local::{
    sources::Chaos,
    template::model::{EventSource, StreamKind, StreamSource},
};

use crate::support::eventually;
use crate::world::{Script, World, from_kinesis, from_stream, idle, number, partition_key, records};

#[tokio::test]
async fn reading_continues_at_the_checkpoint_after_a_restart() {
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
    // Sequence numbers contain the second in which the shard was created.
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
    // This also holds while the mapping runs.
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
