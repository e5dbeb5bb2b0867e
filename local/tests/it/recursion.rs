//! A function that feeds its own queue: Lambda stops the chain after 16 invocations, unless the function allows it. The
//! trace header goes the whole way: Runtime API, environment of the process, SDK, SQS, event source mapping.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;
use tidings_local::{
    lambda::{FunctionSpec, Lambda},
    lineage::INVOCATIONS_MAX,
    metrics::Metrics,
};

use crate::{
    support::scripted_function,
    world::{FUNCTION, World, from_queue},
};

/// Sends a message that the function sends again and again. Returns the queue in which it ends, of `dead` and `done`,
/// and how often it was sent before.
async fn where_a_chain_ends(allows_recursion: bool) -> (&'static str, u64) {
    let world = World::start();
    let (dead, done) = (world.queue("dead", &[]).await, world.queue("done", &[]).await);
    let policy = json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 1 });
    let attributes = [
        // Longer than an invocation takes on a busy machine: a message that is received twice is dead.
        (QueueAttributeName::VisibilityTimeout, "5".to_owned()),
        (QueueAttributeName::RedrivePolicy, policy.to_string()),
    ];
    let queue = world.queue("queue", &attributes).await;
    let function = FunctionSpec {
        name: FUNCTION.into(),
        program: scripted_function(),
        environment: BTreeMap::new(),
        timeout: Duration::from_secs(10),
        memory_mib: 128,
        max_concurrency: 1,
        allows_recursion,
    };
    let lambda = Lambda::start(vec![function], Metrics::default()).await.unwrap();
    let _sources = world.queue_source(from_queue("queue"), lambda).await;
    let endpoint = queue.split("/000000000000").next().unwrap();
    let script = json!({ "n": 0, "until": 20, "queue": queue, "then": done, "endpoint": endpoint });
    world.send(&queue, &script.to_string()).await;
    tokio::select! {
        message = world.take_json(&dead) => ("dead", message["n"].as_u64().unwrap()),
        message = world.take_json(&done) => ("done", message["n"].as_u64().unwrap()),
    }
}

#[tokio::test]
async fn a_chain_is_stopped_after_sixteen_invocations() {
    assert_eq!(where_a_chain_ends(false).await, ("dead", u64::from(INVOCATIONS_MAX)));
}

#[tokio::test]
async fn a_chain_that_is_allowed_goes_on() {
    assert_eq!(where_a_chain_ends(true).await, ("done", 21));
}
