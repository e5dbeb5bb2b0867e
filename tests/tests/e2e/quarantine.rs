//! INV-9: one bad record never stops the records behind it, and is never lost.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{
    client::ProfileInput,
    deployment::{Deployment, unique, unique_handle},
    dev_client::{DevClient, QUARANTINE, key},
    stack::{Options, Stack},
    wait::{DEADLINE, within},
};
use serde_json::{Value, json};
use tokio::try_join;

use crate::{applied, home_becomes};

const COMMANDS: &str = "tidings-Commands";
const WORK_QUEUE: &str = "tidings-Deliveries";
const SETTLE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn an_event_that_makes_no_sense_is_put_aside_and_redone_once_it_does() -> Result<()> {
    if !Deployment::starts_stacks("an_event_that_makes_no_sense_is_put_aside_and_redone_once_it_does") {
        return Ok(());
    }
    // This test needs its own stack, because it stops event sources and counts messages in the quarantine.
    let stack = tokio::task::spawn_blocking(|| Stack::start(Options::default())).await??;
    let deployment = Deployment::at(stack.url())?;
    let dev = deployment.dev();
    let (bob, fan) = (deployment.member("bob").await?, deployment.member("fan").await?);
    // Letters and digits only, so that the id is in the key unchanged.
    let ada = deployment.user(&unique()).await?;
    ada.put_profile(&ProfileInput { handle: unique_handle(), display_name: "Ada".to_owned(), avatar_url: None })
        .await?;
    fan.follow(&ada.id).await?;
    ada.follow(&bob.id).await?;

    dev.idle(SETTLE).await?;
    dev.pause_sources(true).await?;
    let bad = ada.post("its event will be spoilt", None).await?;
    let good = ada.post("the next one", None).await?;
    let of_bob = bob.post("somebody else's", None).await?.value;
    let key = key(&format!("USER#{}", ada.id), &format!("EVENT#{:012}", bad.version));
    let get = json!({ "TableName": COMMANDS, "Key": key, "ConsistentRead": true });
    let event = dev.dynamodb("GetItem", &get).await?["Item"].clone();
    ensure!(event.is_object(), "no event under {key}");
    let traces = traces(&dev, &ada.id, [bad.version, good.version]).await?;
    let mut spoilt = key.clone();
    spoilt["nonsense"] = json!({ "S": "\u{1f4a5}" });
    dev.dynamodb("PutItem", &json!({ "TableName": COMMANDS, "Item": spoilt })).await?;
    dev.pause_sources(false).await?;

    let (of_ada, of_fan) = ([of_bob.id.as_str(), &good.value.id], [good.value.id.as_str()]);
    try_join!(home_becomes(&ada, &of_ada), home_becomes(&fan, &of_fan))?;
    let later = ada.post("much later", None).await?;
    let of_fan = [later.value.id.as_str(), &good.value.id];
    // The bad event counts as applied. Otherwise no later event could be applied.
    try_join!(home_becomes(&fan, &of_fan), applied(&ada, later.version))?;
    within(DEADLINE, "the event is in the quarantine", async || {
        // At least once: two workers that meet the event at the same time both put it aside.
        let put_aside = dev.put_aside().await?;
        ensure!(matches!(&put_aside[..], [(queue, 1..=2)] if queue == QUARANTINE), "{put_aside:?}");
        anyhow::Ok(())
    })
    .await?;

    // A person repairs the event and moves the messages back.
    dev.dynamodb("PutItem", &json!({ "TableName": COMMANDS, "Item": event })).await?;
    let alarms = dev.alarms(2).await?;
    ensure!(alarms["QuarantineAlarm"] == "ALARM", "{alarms:?}");
    ensure!(dev.metric("Quarantined").await? >= 1.0, "the event was not counted");
    let ask = json!({ "WaitTimeSeconds": 1, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"] });
    let received = dev.sqs("ReceiveMessage", QUARANTINE, ask).await?;
    let messages = received["Messages"].as_array().context("no messages")?;
    for message in messages {
        let (body, handle) = (&message["Body"], &message["ReceiptHandle"]);
        ensure!(
            body.as_str().is_some_and(|body| body.contains(&ada.id)),
            "the message does not contain the user's id: {message}"
        );
        // From the request through the event, the bus and the work queue.
        let trace = message["MessageAttributes"]["traceparent"]["StringValue"].as_str().unwrap_or_default();
        ensure!(traces.iter().any(|known| trace.contains(known)), "{trace} is none of {traces:?}");
        dev.sqs("SendMessage", WORK_QUEUE, json!({ "MessageBody": body })).await?;
        dev.sqs("DeleteMessage", QUARANTINE, json!({ "ReceiptHandle": handle })).await?;
    }
    let of_fan = [later.value.id.as_str(), &good.value.id, &bad.value.id];
    let of_ada = [later.value.id.as_str(), &of_bob.id, &good.value.id, &bad.value.id];
    try_join!(home_becomes(&fan, &of_fan), home_becomes(&ada, &of_ada))?;
    dev.idle(SETTLE).await?;
    ensure!(dev.put_aside().await?.is_empty(), "an event was put aside again");
    Ok(())
}

/// The traces of these events of a log.
async fn traces(dev: &DevClient, user: &str, versions: [u64; 2]) -> Result<Vec<String>> {
    let mut traces = Vec::new();
    for version in versions {
        let key = key(&format!("USER#{user}"), &format!("EVENT#{version:012}"));
        let get = json!({ "TableName": COMMANDS, "Key": key, "ConsistentRead": true });
        let event = dev.dynamodb("GetItem", &get).await?;
        traces.push(event["Item"]["trace"]["S"].as_str().context("the event has no trace")?.to_owned());
    }
    Ok(traces)
}

/// A message that no worker understands is kept, and other messages are processed.
#[tokio::test]
async fn a_task_that_makes_no_sense_holds_up_nobody() -> Result<()> {
    let Some(deployment) = Deployment::shared_local("a_task_that_makes_no_sense_holds_up_nobody")? else {
        return Ok(());
    };
    for body in ["", "null", "{\"deliver\": {\"post\": 1}}"].map(|body| Value::from(format!("nonsense {body}"))) {
        deployment.dev().sqs("SendMessage", WORK_QUEUE, json!({ "MessageBody": body })).await?;
    }
    let ada = deployment.member("ada").await?;
    let post = ada.post("goes on", None).await?.value;
    home_becomes(&ada, &[&post.id]).await?;
    Ok(())
}

/// A report of a failed batch whose records nobody has any more is answered by an audit of everything.
#[tokio::test]
async fn what_cannot_be_recovered_is_audited() -> Result<()> {
    let Some(deployment) = Deployment::shared_local("what_cannot_be_recovered_is_audited")? else {
        return Ok(());
    };
    let dev = deployment.dev();
    // The stream is gone: the table that it belonged to was lost, and another one was restored.
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/lost-Commands/stream/2020-01-01T00:00:00.000";
    let report = json!({
        "requestContext": { "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 6 },
        "version": "1.0",
        "DDBStreamBatchInfo": {
            "shardId": "shardId-00000000000000000000-00000000", "batchSize": 2, "streamArn": arn,
            "startSequenceNumber": "100000000000000000001", "endSequenceNumber": "100000000000000000002",
        },
    });
    dev.sqs("SendMessage", "tidings-FailedBatches", json!({ "MessageBody": report.to_string() })).await?;
    let get = json!({ "TableName": COMMANDS, "Key": key("AUDIT", "STATE"), "ConsistentRead": true });
    within(DEADLINE, "a sweep is requested", async || {
        let state = dev.dynamodb("GetItem", &get).await?;
        ensure!(state["Item"]["sweep_requested_at"].is_object(), "{state}");
        anyhow::Ok(())
    })
    .await
}
