//! A Kinesis stream, a mapping, and a function as processes that crash, hang and are killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use serde_json::json;
use tidings_local::{
    lambda::{FunctionSpec, Lambda},
    metrics::Metrics,
    sources::Chaos,
    template::model::{EventSource, StreamSource},
};

use crate::{
    support::{eventually, scripted_function},
    world::{FUNCTION, World, from_kinesis, idle},
};

async fn lambda(timeout: Duration) -> Lambda {
    let function = FunctionSpec {
        name: FUNCTION.into(),
        program: scripted_function(),
        environment: BTreeMap::new(),
        timeout,
        memory_mib: 128,
        max_concurrency: 4,
        allows_recursion: false,
    };
    Lambda::start(vec![function], Metrics::default()).await.unwrap()
}

/// The names of the processed records, in order.
fn processed(log: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    log.lines().filter_map(|line| line.strip_prefix("end ").map(str::to_owned)).collect()
}

/// How often the function has begun with a record.
fn attempts(log: &Path, name: &str) -> usize {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    log.lines().filter(|line| line.strip_prefix("begin ") == Some(name)).count()
}

async fn a_bad_record_is_isolated(action: &str, timeout: Duration) {
    let world = World::start();
    world.stream("stream", 1).await;
    let queue = world.queue("on-failure", &[]).await;
    let log = world.file("log");
    let mut bad = String::new();
    for n in 0..9 {
        let action = if n == 4 { action } else { "process" };
        let record = json!({ "log": log, "name": format!("record-{n}"), "do": action });
        let sequence = world.put("stream", "key", record).await;
        if n == 4 {
            bad = sequence;
        }
    }
    let source = StreamSource {
        bisect: true,
        max_retries: Some(1),
        on_failure_queue: Some("on-failure".into()),
        ..from_kinesis("stream")
    };
    let sources = world.stream_source(source, lambda(timeout).await).await;
    let told = world.take_json(&queue).await;
    idle(&sources).await;
    assert_eq!(told["KinesisBatchInfo"]["startSequenceNumber"], bad);
    assert_eq!(told["KinesisBatchInfo"]["batchSize"], 1);
    let all: BTreeSet<String> = (0..9).filter(|n| *n != 4).map(|n| format!("record-{n}")).collect();
    assert_eq!(processed(&log).into_iter().collect::<BTreeSet<_>>(), all);
    assert!(attempts(&log, "record-4") >= 2, "it was tried again alone");
    assert_eq!(world.messages(&queue).await, (0, 0), "nothing else is given up");
}

#[tokio::test]
async fn a_record_that_crashes_the_process_is_isolated() {
    a_bad_record_is_isolated("crash", Duration::from_secs(20)).await;
}

#[tokio::test]
async fn a_record_that_hangs_is_isolated_by_the_timeout() {
    a_bad_record_is_isolated("hang", Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_record_that_is_reported_is_isolated() {
    a_bad_record_is_isolated("fail", Duration::from_secs(20)).await;
}

#[tokio::test]
async fn processes_that_are_killed_all_the_time_lose_nothing_and_keep_the_order() {
    let world = World::start();
    world.stream("stream", 2).await;
    let log = world.file("log");
    let lambda = lambda(Duration::from_secs(20)).await;
    let source = StreamSource { batch_size: 5, bisect: true, ..from_kinesis("stream") };
    let sources = world.sources(vec![EventSource::Stream(source)], Chaos::default(), lambda.clone()).await;
    for n in 0..200 {
        let record = json!({ "log": log, "name": format!("{} {n}", n % 5), "do": "process" });
        world.put("stream", &format!("key-{}", n % 5), record).await;
        if n % 10 == 0
            && let Some((_, pid)) = lambda.processes().first()
        {
            let pid = rustix::process::Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
            // The process may have ended by itself in the meantime.
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        }
    }
    eventually("all records", async || processed(&log).into_iter().collect::<BTreeSet<_>>().len() == 200).await;
    idle(&sources).await;
    let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
    for name in processed(&log) {
        let (key, n) = name.split_once(' ').map(|(key, n)| (key.parse().unwrap(), n.parse::<u64>().unwrap())).unwrap();
        let expected = newest.get(&key).map_or(key, |newest| newest + 5);
        assert!(n <= expected, "record {n} came before {expected} of the same key");
        newest.insert(key, n.max(*newest.get(&key).unwrap_or(&0)));
    }
}
