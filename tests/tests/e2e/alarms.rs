//! The template's alarms, with faults injected into a local stack: the metric crosses the threshold, the alarm fires,
//! and is over when the fault is.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{
    deployment::Deployment,
    dev_client::{DevClient, FAILED_BATCHES, QUARANTINE},
    stack::{Options, Stack},
    wait::{DEADLINE, within},
};
use serde_json::json;

const WORK_QUEUE: &str = "tidings-Deliveries";
/// The length of a period. In the template, periods have a minute. An alarm needs a value in each of several periods in
/// a row, and values come once a second, or a little later on a busy machine.
const PERIOD_S: u32 = 3;
const SETTLE: Duration = Duration::from_secs(60);

/// Waits until the alarms have this state.
async fn become_(dev: &DevClient, names: &[&str], state: &str) -> Result<()> {
    within(DEADLINE, "the alarms have the state", async || {
        let alarms = dev.alarms(PERIOD_S).await?;
        let others: Vec<_> = names.iter().filter(|name| alarms.get(**name).is_none_or(|it| it != state)).collect();
        ensure!(others.is_empty(), "{others:?} are not {state}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn alarms_fire_while_their_fault_lasts() -> Result<()> {
    if !Deployment::starts_stacks("alarms_fire_while_their_fault_lasts") {
        return Ok(());
    }
    let parameters = [("StaleSeconds", "5"), ("PageMilliseconds", "1")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let options = Options { parameters, ..Options::default() };
    let stack = tokio::task::spawn_blocking(|| Stack::start(options)).await??;
    let deployment = Deployment::at(stack.url())?;
    let dev = deployment.dev();
    let ada = deployment.member("ada").await?;
    dev.idle(SETTLE).await?;
    let stale = ["TaskAgeAlarm", "FeedsAreStaleAlarm"];
    let put_aside = ["QuarantineAlarm", "FailedBatchesAlarm"];
    become_(&dev, &[&stale[..], &put_aside].concat(), "OK").await?;

    // A task that nobody works on.
    dev.pause_sources(true).await?;
    let task = json!({ "catch_up": { "user": ada.id } }).to_string();
    dev.sqs("SendMessage", WORK_QUEUE, json!({ "MessageBody": task })).await?;
    for queue in [QUARANTINE, FAILED_BATCHES] {
        dev.sqs("SendMessage", queue, json!({ "MessageBody": "{}" })).await?;
    }
    become_(&dev, &[&stale[..], &put_aside].concat(), "ALARM").await?;

    // What docs/operating.md says: let the sources go on. What is nonsense is removed before Recover quarantines it.
    for queue in [QUARANTINE, FAILED_BATCHES] {
        dev.sqs("PurgeQueue", queue, json!({})).await?;
    }
    dev.pause_sources(false).await?;
    become_(&dev, &[&stale[..], &put_aside].concat(), "OK").await?;
    ensure!(dev.metric("TasksDone").await? >= 1.0, "the task was not counted");

    // Pages take longer than a millisecond, again and again.
    within(DEADLINE, "slow pages raise an alarm", async || {
        ada.home(20, None).await?;
        let alarms = dev.alarms(PERIOD_S).await?;
        ensure!(alarms["PageTimeAlarm"] == "ALARM", "no alarm yet");
        anyhow::Ok(())
    })
    .await?;
    // A process counts pages together, and writes their number once in ten seconds.
    within(DEADLINE, "pages are counted", async || {
        ada.home(20, None).await?;
        ensure!(dev.metric("Pages").await? >= 4.0, "pages were not counted");
        anyhow::Ok(())
    })
    .await
}
