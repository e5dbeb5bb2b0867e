//! Tests of retrying, bisecting and giving up. The function fails as each test says. Records that were given up are
//! done but not processed. `tests/it/streams/failing.rs` tests the reports to the destination with real queues.

use std::{
    collections::BTreeSet,
    sync::Mutex,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::template::model::StreamKind;

/// Short, so that the tests are fast.
const PAUSE: Duration = Duration::from_millis(1);

type Behaviour = dyn Fn(&[u64], usize) -> Answer + Send + Sync;
type Answer = Result<Value, InvokeError>;

/// A function that stores its calls and answers by a script. The script gets the indices of the records and the number
/// of the call.
#[derive(Clone)]
struct Script {
    calls: Arc<Mutex<Vec<Vec<u64>>>>,
    answer: Arc<Behaviour>,
}

impl Script {
    fn new(answer: impl Fn(&[u64], usize) -> Answer + Send + Sync + 'static) -> Self {
        Self { calls: Arc::default(), answer: Arc::new(answer) }
    }

    fn calls(&self) -> Vec<Vec<u64>> {
        self.calls.lock().unwrap().clone()
    }
}

impl Invoke for Script {
    async fn invoke(&self, _: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        let records: Vec<u64> = payload["Records"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        let mut calls = self.calls.lock().unwrap();
        calls.push(records.clone());
        (self.answer)(&records, calls.len()).map(|answer| answer.to_string().into())
    }
}

fn source() -> StreamSource {
    StreamSource {
        id: "source".into(),
        stream: StreamKind::Kinesis("stream".into()),
        enhanced_fan_out: false,
        from_oldest: true,
        batch_size: 100,
        batching_window: Duration::ZERO,
        parallelization_factor: 1,
        bisect: false,
        max_retries: Some(1),
        max_record_age: None,
        report_failures: false,
        on_failure_queue: None,
        filters: vec![],
    }
}

fn item(index: u64) -> Arc<Item> {
    item_of_age(index, Duration::ZERO)
}

/// The index and the sequence number are the same.
fn item_of_age(index: u64, age: Duration) -> Arc<Item> {
    let record = Record {
        sequence: index.to_string(),
        key: "key".into(),
        arrival: OffsetDateTime::now_utc() - age,
        passes: true,
        event: index.to_string().into(),
    };
    Arc::new(Item { index, record })
}

struct Delivered {
    processed: Vec<u64>,
    given_up: Vec<u64>,
}

async fn deliver(source: StreamSource, script: &Script, items: Vec<Arc<Item>>) -> Delivered {
    let processor = BatchProcessor {
        source: Arc::new(source),
        function: "Function".into(),
        stream_arn: "arn:aws:kinesis:us-east-1:000000000000:stream/stream".into(),
        is_kinesis: true,
        shard: "shardId-000000000000".into(),
        destination: None,
        retry_pause: PAUSE,
        lifecycle: Lifecycle::new(),
        invoker: script.clone(),
    };
    let all: BTreeSet<u64> = items.iter().map(|item| item.index).collect();
    let done = Mutex::new(Vec::new());
    let processed = processor
        .process(items, |items| {
            done.lock().unwrap().extend(items.iter().map(|item| item.index));
        })
        .await
        .unwrap();
    let processed: Vec<u64> = processed.iter().map(|item| item.index).collect();
    let mut done = done.into_inner().unwrap();
    done.sort_unstable();
    assert_eq!(done, all.into_iter().collect::<Vec<_>>(), "every record is done with exactly once");
    done.retain(|index| !processed.contains(index));
    Delivered { processed, given_up: done }
}

fn error() -> Answer {
    Err(InvokeError::Function("{}".into()))
}

/// Stops at the first bad record, and reports it.
fn report(records: &[u64], bad: impl Fn(u64) -> bool) -> Answer {
    let failures: Vec<_> =
        records.iter().filter(|n| bad(**n)).map(|n| json!({ "itemIdentifier": n.to_string() })).collect();
    Ok(json!({ "batchItemFailures": failures }))
}

#[tokio::test]
async fn a_failed_batch_comes_again_as_it_was_until_its_retries_are_used_up() {
    let script = Script::new(|_, _| error());
    let delivered =
        deliver(StreamSource { max_retries: Some(3), ..source() }, &script, (0..3).map(item).collect()).await;
    assert_eq!(script.calls(), vec![vec![0, 1, 2]; 4]);
    assert_eq!(delivered.given_up, [0, 1, 2]);
    assert!(delivered.processed.is_empty());
}

#[tokio::test]
async fn without_retries_the_first_failure_is_the_last() {
    let script = Script::new(|_, _| Err(InvokeError::Crashed));
    let delivered = deliver(StreamSource { max_retries: Some(0), ..source() }, &script, vec![item(0)]).await;
    assert_eq!((script.calls().len(), delivered.given_up.len()), (1, 1));
}

#[tokio::test]
async fn crash_and_timeout_are_retried_like_errors() {
    for error in
        [InvokeError::Crashed, InvokeError::TimedOut(Duration::from_secs(1)), InvokeError::Function("{}".into())]
    {
        let script = Script::new(move |_, call| if call == 1 { Err(error.clone()) } else { Ok(Value::Null) });
        let delivered = deliver(source(), &script, vec![item(0), item(1)]).await;
        assert_eq!(script.calls(), [[0, 1], [0, 1]]);
        assert_eq!(delivered.processed, [0, 1]);
    }
}

#[tokio::test]
async fn bisecting_finds_the_poison_record_and_uses_up_no_retry_on_the_way() {
    let script = Script::new(|records, _| if records.contains(&5) { error() } else { Ok(Value::Null) });
    let source = StreamSource { bisect: true, max_retries: Some(1), ..source() };
    let delivered = deliver(source, &script, (0..8).map(item).collect()).await;
    assert_eq!(
        script.calls(),
        [
            vec![0, 1, 2, 3, 4, 5, 6, 7],
            vec![0, 1, 2, 3],
            vec![4, 5, 6, 7],
            vec![4, 5],
            vec![4],
            vec![5],
            vec![5],
            vec![6, 7]
        ]
    );
    assert_eq!(delivered.given_up, [5]);
    assert_eq!(delivered.processed, [0, 1, 2, 3, 4, 6, 7]);
}

#[tokio::test]
async fn a_partial_failure_goes_on_from_the_lowest_reported_record() {
    let script = Script::new(|records, call| match call {
        1 => Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "4" }, { "itemIdentifier": "2" }] })),
        _ => report(records, |_| false),
    });
    let delivered =
        deliver(StreamSource { report_failures: true, ..source() }, &script, (0..5).map(item).collect()).await;
    assert_eq!(script.calls(), [vec![0, 1, 2, 3, 4], vec![2, 3, 4]]);
    assert_eq!(delivered.processed, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn without_bisecting_a_poison_record_also_fails_the_records_behind_it() {
    let script = Script::new(|records, _| report(records, |record| record == 2));
    let source = StreamSource { report_failures: true, max_retries: Some(2), ..source() };
    let delivered = deliver(source, &script, (0..5).map(item).collect()).await;
    assert_eq!(script.calls(), [vec![0, 1, 2, 3, 4], vec![2, 3, 4], vec![2, 3, 4]]);
    assert_eq!(delivered.processed, [0, 1]);
    assert_eq!(delivered.given_up, [2, 3, 4]);
}

#[tokio::test]
async fn with_bisecting_and_reports_only_the_poison_record_is_given_up() {
    let script = Script::new(|records, _| report(records, |record| record == 2));
    let source = StreamSource { report_failures: true, bisect: true, max_retries: Some(1), ..source() };
    let delivered = deliver(source, &script, (0..6).map(item).collect()).await;
    assert_eq!(delivered.given_up, [2]);
    assert_eq!(delivered.processed, [0, 1, 3, 4, 5]);
    assert_eq!(
        script.calls(),
        [vec![0, 1, 2, 3, 4, 5], vec![2, 3, 4, 5], vec![2, 3], vec![2], vec![2], vec![3], vec![4, 5]]
    );
}

#[tokio::test]
async fn an_answer_that_is_not_a_valid_report_fails_the_whole_batch() {
    for invalid in [
        json!({ "batchItemFailures": [{ "itemIdentifier": null }] }),
        json!({ "batchItemFailures": [{ "itemIdentifier": "" }] }),
        json!({ "batchItemFailures": [{ "itemIdentifier": "1" }, { "itemIdentifier": "unknown" }] }),
    ] {
        let script = Script::new(move |_, call| Ok(if call == 1 { invalid.clone() } else { Value::Null }));
        let delivered =
            deliver(StreamSource { report_failures: true, ..source() }, &script, vec![item(0), item(1)]).await;
        assert_eq!(script.calls(), [[0, 1], [0, 1]]);
        assert_eq!(delivered.processed, [0, 1]);
    }
}

#[tokio::test]
async fn reports_count_only_where_the_mapping_asks_for_them() {
    let script = Script::new(|records, _| report(records, |_| true));
    let delivered = deliver(source(), &script, vec![item(0), item(1)]).await;
    assert_eq!(script.calls(), [[0, 1]]);
    assert_eq!(delivered.processed, [0, 1]);
}

#[tokio::test]
async fn an_invocation_that_did_not_run_is_no_retry() {
    let script = Script::new(|_, call| match call {
        1..=5 => Err(InvokeError::Throttled),
        6..=10 => Err(InvokeError::Unavailable(String::new())),
        _ => Ok(Value::Null),
    });
    let source = StreamSource { max_retries: Some(0), bisect: true, ..source() };
    let delivered = deliver(source, &script, vec![item(0), item(1)]).await;
    assert_eq!(script.calls(), vec![vec![0, 1]; 11]);
    assert_eq!(delivered.processed, [0, 1]);
}

#[tokio::test]
async fn records_that_are_too_old_are_given_up_without_being_delivered() {
    let script = Script::new(|_, _| Ok(Value::Null));
    let source = StreamSource { max_record_age: Some(Duration::from_secs(60)), ..source() };
    let items = vec![item_of_age(0, Duration::from_secs(90)), item_of_age(1, Duration::from_secs(61)), item(2)];
    let delivered = deliver(source, &script, items).await;
    assert_eq!(script.calls(), [[2]]);
    assert_eq!(delivered.given_up, [0, 1]);
}

#[tokio::test]
async fn retries_end_when_the_record_gets_too_old() {
    let script = Script::new(|_, _| error());
    let source = StreamSource { max_record_age: Some(Duration::from_millis(100)), max_retries: None, ..source() };
    let start = Instant::now();
    let delivered = deliver(source, &script, vec![item(0)]).await;
    assert_eq!(delivered.given_up, [0]);
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert!(script.calls().len() >= 2, "it was retried until then");
}

#[tokio::test]
async fn pauses_between_retries_double() {
    let script = Script::new(|_, _| error());
    let start = Instant::now();
    deliver(StreamSource { max_retries: Some(8), ..source() }, &script, vec![item(0)]).await;
    assert!(start.elapsed() >= PAUSE * (1 + 2 + 4 + 8 + 16 + 32 + 50 + 50));
}

#[tokio::test]
async fn stopping_ends_a_batch_that_is_retried_and_leaves_it_undone() {
    let script = Script::new(|_, _| error());
    let lifecycle = Lifecycle::new();
    let processor = BatchProcessor {
        source: Arc::new(StreamSource { max_retries: None, ..source() }),
        function: "Function".into(),
        stream_arn: String::new(),
        is_kinesis: true,
        shard: String::new(),
        destination: None,
        retry_pause: PAUSE,
        lifecycle: lifecycle.clone(),
        invoker: script,
    };
    let (result, ()) = tokio::join!(processor.process(vec![item(0)], |_| panic!("nothing is done with")), async {
        tokio::time::sleep(PAUSE * 20).await;
        lifecycle.set(crate::sources::lifecycle::Mode::Stopped);
    });
    assert_eq!(result.err(), Some(Stopped));
}
