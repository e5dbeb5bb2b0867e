//! Event source mappings from SQS queues. The function fails as each test says.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::support::eventually;
use crate::world::{Script, World, from_queue, idle, number, records};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use tidings_local::{
    invoke::InvokeError,
    sources::Chaos,
    template::model::{EventSource, QueueSource},
};

/// A queue whose messages become visible again after a second, and move to a dead-letter queue after `receives`.
async fn queue_with_dead_letters(world: &World, receives: u32) -> (String, String) {
    let dead = world.queue("dead", &[]).await;
    let policy =
        json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": receives });
    let attributes = [
        (QueueAttributeName::VisibilityTimeout, "1".to_owned()),
        (QueueAttributeName::RedrivePolicy, policy.to_string()),
    ];
    (world.queue("queue", &attributes).await, dead)
}

async fn send_numbers(world: &World, queue: &str, numbers: std::ops::Range<u64>) {
    for n in numbers {
        world.send(queue, &json!({ "n": n }).to_string()).await;
    }
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn processed_messages_are_deleted() {
    let world = World::start();
    let queue = world.queue("queue", &[]).await;
    send_numbers(&world, &queue, 0..25).await;
    let script = Script::ok();
    let sources = world.queue_source(from_queue("queue"), script.clone()).await;
    eventually("an empty queue", async || world.messages(&queue).await == (0, 0)).await;
    idle(&sources).await;
    assert_eq!(sorted(script.numbers()), (0..25).collect::<Vec<_>>());
    assert!(script.batches().iter().all(|batch| batch.len() <= 10));

    let event: aws_lambda_events::sqs::SqsEvent = serde_json::from_value(script.events()[0].clone()).unwrap();
    let message = &event.records[0];
    assert_eq!(message.event_source_arn.as_deref(), Some("arn:aws:sqs:us-east-1:000000000000:queue"));
    assert_eq!(message.attributes["ApproximateReceiveCount"], "1");
    assert!(message.attributes.contains_key("SentTimestamp"));
}

#[tokio::test]
async fn only_reported_messages_come_again_and_at_last_go_to_the_dead_letter_queue() {
    let world = World::start();
    let (queue, dead) = queue_with_dead_letters(&world, 2).await;
    send_numbers(&world, &queue, 0..5).await;
    let script = Script::reports(|record| number(record) == 3);
    let start = Instant::now();
    let _sources = world.queue_source(from_queue("queue"), script.clone()).await;
    let body: Value = world.take_json(&dead).await;
    assert_eq!(body["n"], 3);
    assert!(start.elapsed() >= Duration::from_secs(2), "it is retried by its visibility timeout");
    assert_eq!(world.messages(&queue).await, (0, 0));
    let mut times = BTreeMap::new();
    for n in script.numbers() {
        *times.entry(n).or_insert(0) += 1;
    }
    assert_eq!(times, BTreeMap::from([(0, 1), (1, 1), (2, 1), (3, 2), (4, 1)]));
}

#[tokio::test]
async fn a_failed_batch_comes_again_as_a_whole() {
    for failure in [
        Err(InvokeError::Crashed),
        Err(InvokeError::TimedOut(Duration::from_secs(1))),
        Err(InvokeError::Throttled),
        Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "" }] })),
        Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "of another batch" }] })),
    ] {
        let world = World::start();
        let (queue, _) = queue_with_dead_letters(&world, 10).await;
        send_numbers(&world, &queue, 0..3).await;
        let script = Script::new(move |_, call| if call == 1 { failure.clone() } else { Ok(Value::Null) });
        // One batch at a time, so that the first invocation is the one that fails.
        let source = QueueSource { max_concurrency: Some(1), ..from_queue("queue") };
        let _sources = world.queue_source(source, script.clone()).await;
        eventually("an empty queue", async || world.messages(&queue).await == (0, 0)).await;
        assert_eq!(sorted(script.batches()[0].clone()), [0, 1, 2]);
        assert_eq!(sorted(script.numbers()), [0, 0, 1, 1, 2, 2]);
    }
}

#[tokio::test]
async fn a_throttled_batch_is_tried_again_before_its_messages_become_visible() {
    let world = World::start();
    let queue = world.queue("queue", &[(QueueAttributeName::VisibilityTimeout, "600".to_owned())]).await;
    send_numbers(&world, &queue, 0..1).await;
    let script = Script::new(|_, call| if call <= 3 { Err(InvokeError::Throttled) } else { Ok(Value::Null) });
    let _sources = world.queue_source(from_queue("queue"), script.clone()).await;
    eventually("an empty queue", async || world.messages(&queue).await == (0, 0)).await;
    let event: aws_lambda_events::sqs::SqsEvent = serde_json::from_value(script.events()[3].clone()).unwrap();
    assert_eq!(event.records[0].attributes["ApproximateReceiveCount"], "1");
}

#[tokio::test]
async fn a_batch_that_is_throttled_for_too_long_comes_again() {
    let world = World::start();
    let (queue, dead) = queue_with_dead_letters(&world, 2).await;
    send_numbers(&world, &queue, 0..1).await;
    let script = Script::new(|_, _| Err(InvokeError::Throttled));
    let _sources = world.queue_source(from_queue("queue"), script.clone()).await;
    let body: Value = world.take_json(&dead).await;
    assert_eq!(body["n"], 0);
    assert!(script.numbers().len() > 4, "each time, it is tried more than once");
}

#[tokio::test]
async fn without_reports_in_the_mapping_an_answer_is_success() {
    let world = World::start();
    let (queue, _) = queue_with_dead_letters(&world, 10).await;
    send_numbers(&world, &queue, 0..3).await;
    let script = Script::reports(|_| true);
    let source = QueueSource { report_failures: false, ..from_queue("queue") };
    let _sources = world.queue_source(source, script.clone()).await;
    eventually("an empty queue", async || world.messages(&queue).await == (0, 0)).await;
    assert_eq!(sorted(script.numbers()), [0, 1, 2]);
}

#[tokio::test]
async fn messages_that_pass_no_filter_are_deleted() {
    let world = World::start();
    let queue = world.queue("queue", &[]).await;
    send_numbers(&world, &queue, 0..4).await;
    world.send(&queue, "not JSON").await;
    let script = Script::ok();
    let source =
        QueueSource { filters: vec![json!({ "body": { "n": [{ "numeric": [">=", 2] }] } })], ..from_queue("queue") };
    let sources = world.queue_source(source, script.clone()).await;
    eventually("an empty queue", async || world.messages(&queue).await == (0, 0)).await;
    idle(&sources).await;
    assert_eq!(sorted(script.numbers()), [2, 3]);
}

#[tokio::test]
async fn a_batching_window_gathers_messages() {
    let world = World::start();
    let queue = world.queue("queue", &[]).await;
    // More messages than one receive can return.
    send_numbers(&world, &queue, 0..15).await;
    let script = Script::ok();
    let source = QueueSource { batching_window: Duration::from_secs(3), batch_size: 25, ..from_queue("queue") };
    let _sources = world.queue_source(source, script.clone()).await;
    eventually("an empty queue", async || world.messages(&queue).await == (0, 0)).await;
    assert_eq!(script.batches().len(), 1);
    assert_eq!(sorted(script.numbers()), (0..15).collect::<Vec<_>>());
}

#[tokio::test]
async fn batches_run_concurrently_up_to_the_limit() {
    for (limit, expected_at_least, expected_at_most) in [(Some(2), 2, 2), (None, 3, 8)] {
        let world = World::start();
        let queue = world.queue("queue", &[]).await;
        send_numbers(&world, &queue, 0..16).await;
        let gauge = Gauge::default();
        let source = QueueSource { max_concurrency: limit, batch_size: 1, ..from_queue("queue") };
        let _sources = world.queue_source(source, gauge.clone()).await;
        eventually("an empty queue", async || world.messages(&queue).await == (0, 0)).await;
        let most = gauge.most.load(std::sync::atomic::Ordering::SeqCst);
        assert!((expected_at_least..=expected_at_most).contains(&most), "{most} at a time");
    }
}

/// Counts the invocations that run at the same time.
#[derive(Clone, Default)]
struct Gauge {
    running: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    most: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl tidings_local::invoke::Invoke for Gauge {
    async fn invoke(&self, _: &str, _: bytes::Bytes) -> Result<bytes::Bytes, InvokeError> {
        use std::sync::atomic::Ordering::SeqCst;
        let running = self.running.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(running, SeqCst);
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.running.fetch_sub(1, SeqCst);
        Ok(bytes::Bytes::new())
    }
}

#[tokio::test]
async fn a_paused_mapping_leaves_messages_in_the_queue() {
    let world = World::start();
    let queue = world.queue("queue", &[]).await;
    let script = Script::ok();
    let sources = world.queue_source(from_queue("queue"), script.clone()).await;
    idle(&sources).await;
    sources.pause();
    send_numbers(&world, &queue, 0..3).await;
    // Longer than a long poll that began before.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(script.events().is_empty());
    assert_eq!(world.messages(&queue).await, (3, 0));
    sources.resume();
    eventually("an empty queue", async || world.messages(&queue).await == (0, 0)).await;
    assert_eq!(sorted(script.numbers()), [0, 1, 2]);
}

#[tokio::test]
async fn shutdown_lets_batches_end_and_hides_no_message() {
    let world = World::start();
    let queue = world.queue("queue", &[]).await;
    send_numbers(&world, &queue, 0..30).await;
    let script = Script::ok().taking(Duration::from_millis(300));
    let source = QueueSource { max_concurrency: Some(1), ..from_queue("queue") };
    let sources = world.queue_source(source, script.clone()).await;
    eventually("a batch", async || !script.events().is_empty()).await;
    sources.shutdown().await;
    let delivered = script.numbers().len() as u64;
    assert!(delivered < 30);
    assert_eq!(world.messages(&queue).await, (30 - delivered, 0));
}

#[tokio::test]
async fn chaos_repeats_messages_and_loses_none() {
    let world = World::start();
    let queue = world.queue("queue", &[(QueueAttributeName::VisibilityTimeout, "1".into())]).await;
    send_numbers(&world, &queue, 0..150).await;
    let script = Script::new(|event, call| {
        let failed = records(event).find(|record| call % 4 == 0 && number(record).is_multiple_of(3));
        let failed = failed.map(|record| json!({ "itemIdentifier": crate::world::id(record) }));
        Ok(json!({ "batchItemFailures": failed.into_iter().collect::<Vec<_>>() }))
    });
    let chaos = Chaos { duplicate_records: true, reorder_records: true };
    let _sources = world.sources(vec![EventSource::Queue(from_queue("queue"))], chaos, script.clone()).await;
    eventually("an empty queue", async || world.messages(&queue).await == (0, 0)).await;
    let numbers = sorted(script.numbers());
    assert!(numbers.len() > 150, "some arrive twice");
    let mut distinct = numbers;
    distinct.dedup();
    assert_eq!(distinct, (0..150).collect::<Vec<_>>());
    assert!(script.batches().iter().any(|batch| !batch.is_sorted()), "some arrive out of order");
}
