//! Schedules, which invoke a function again and again.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_local::{
    invoke::InvokeError,
    sources::Chaos,
    template::model::{EventSource, ScheduleSource},
};

use crate::{
    support::eventually,
    world::{Script, World, idle},
};

/// A schedule of these milliseconds.
fn every(milliseconds: u64) -> ScheduleSource {
    ScheduleSource { id: "schedule".into(), every: Duration::from_millis(milliseconds), input: None }
}

#[tokio::test]
async fn a_function_is_invoked_with_the_event_of_a_rule() {
    let world = World::start();
    let script = Script::ok();
    let source = EventSource::Schedule(every(50));
    let _sources = world.sources(vec![source], Chaos::default(), script.clone()).await;
    eventually("three invocations", async || script.events().len() >= 3).await;
    let event = &script.events()[0];
    assert_eq!((&event["source"], &event["detail-type"]), (&json!("aws.events"), &json!("Scheduled Event")));
    assert!(event["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{event}");
}

#[tokio::test]
async fn an_input_replaces_the_event() {
    let world = World::start();
    let script = Script::ok();
    let source = ScheduleSource { input: Some(r#"{"n":7}"#.to_owned()), ..every(50) };
    let _sources = world.sources(vec![EventSource::Schedule(source)], Chaos::default(), script.clone()).await;
    eventually("an invocation", async || script.events().first() == Some(&json!({"n": 7}))).await;
}

#[tokio::test]
async fn a_paused_schedule_leaves_invocations_out_and_is_idle_between_them() {
    let world = World::start();
    let script = Script::ok();
    let sources = world.sources(vec![EventSource::Schedule(every(50))], Chaos::default(), script.clone()).await;
    eventually("an invocation", async || !script.events().is_empty()).await;
    idle(&sources).await;
    sources.pause();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = script.events().len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(script.events().len(), before);
    sources.resume();
    eventually("an invocation after the pause", async || script.events().len() > before).await;
}

#[tokio::test]
async fn an_invocation_that_fails_is_not_tried_again_at_once() {
    let world = World::start();
    let script = Script::new(|_, _| Err::<Value, _>(InvokeError::Function("{}".into())));
    let sources = world.sources(vec![EventSource::Schedule(every(50))], Chaos::default(), script.clone()).await;
    eventually("an invocation", async || !script.events().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(script.events().len(), 1, "the second try comes after a minute");
    sources.shutdown().await;
}
