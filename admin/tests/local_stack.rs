//! The command against a local stack.

use std::{collections::HashSet, process::Output, time::Duration};

use anyhow::{Context, Result, ensure};
use harness::{
    client::User,
    deployment::Deployment,
    dev_client::{FAILED_BATCHES, QUARANTINE},
    stack::{Options, Stack},
    wait::within,
};
use serde_json::{Value, json};
use tokio::process::Command;

/// Until what was repaired is visible.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

/// A local stack whose erasures wait for a second.
struct Target {
    _stack: Stack,
    deployment: Deployment,
    url: String,
}

impl Target {
    async fn start() -> Result<Self> {
        let parameters = vec![("ErasureDelaySeconds".to_owned(), "1".to_owned())];
        let options = Options { parameters, check_access: true, ..Options::default() };
        let stack = tokio::task::spawn_blocking(|| Stack::start(options)).await??;
        let url = stack.url().to_owned();
        Ok(Self { deployment: Deployment::at(&url)?, url, _stack: stack })
    }

    async fn admin(&self, arguments: &[&str]) -> Result<Output> {
        let command = &mut Command::new(env!("CARGO_BIN_EXE_admin"));
        Ok(command.args(["--url", &self.url]).args(arguments).output().await?)
    }

    /// What the command prints, as JSON.
    async fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.admin(&[&["--json"], arguments].concat()).await?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {error}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The one line with which the command fails.
    async fn refusal(&self, arguments: &[&str]) -> Result<String> {
        let output = self.admin(arguments).await?;
        let error = String::from_utf8(output.stderr)?;
        ensure!(!output.status.success(), "{arguments:?} succeeds");
        ensure!(error.starts_with("admin: ") && error.trim_end().lines().count() == 1, "{error}");
        Ok(error)
    }
}

async fn sees(user: &User, posts: usize) -> Result<()> {
    within(SETTLES_WITHIN, "the home holds what it should", async || {
        let home = user.walk_home(100).await?;
        ensure!(home.len() == posts, "{home:?}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn posts_and_users_are_moderated_exported_and_erased() -> Result<()> {
    let target = Target::start().await?;
    let (ada, bob) = (target.deployment.member("ada").await?, target.deployment.member("bob").await?);
    bob.follow(&ada.id).await?;
    let post = ada.post("of ada", None).await?.value.id;
    sees(&bob, 1).await?;

    target.json(&["take-down", &post]).await?;
    sees(&bob, 0).await?;
    target.json(&["restore", &post]).await?;
    sees(&bob, 1).await?;
    let handle = format!("@{}", ada.profile().await?.handle);
    assert_eq!(target.json(&["suspend", &handle]).await?["user"], *ada.id);
    sees(&bob, 0).await?;
    target.json(&["reinstate", &handle]).await?;
    sees(&bob, 1).await?;
    target.refusal(&["take-down", "nonsense"]).await?;
    ensure!(target.refusal(&["suspend", "@nobody_has_this"]).await?.contains("nobody_has_this"));
    ensure!(target.refusal(&["demote", &ada.id]).await?.contains("is not a celebrity"));

    let exported = target.admin(&["export", &ada.id]).await?;
    let lines: Vec<Value> = exported
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()?;
    ensure!(lines.iter().any(|entry| entry["made"]["text"] == "of ada"), "{lines:?}");

    ensure!(target.refusal(&["erase", &ada.id]).await?.contains("--yes"));
    sees(&bob, 1).await?;
    target.json(&["erase", &handle, "--yes", "--wait"]).await?;
    sees(&bob, 0).await?;
    let left = String::from_utf8(target.admin(&["export", &ada.id]).await?.stdout)?;
    ensure!(left.lines().count() == 1 && left.contains("AccountDeleted"), "{left}");
    Ok(())
}

#[tokio::test]
async fn the_quarantine_is_listed_redriven_and_dropped() -> Result<()> {
    let target = Target::start().await?;
    let dev = target.deployment.dev();
    // There are no such events, so the tasks would come back at once.
    dev.pause_sources(true).await?;
    for version in [1, 2] {
        let task = json!({ "redo": { "user": "nobody", "version": version, "error": "of a test" } });
        dev.sqs("SendMessage", QUARANTINE, json!({ "MessageBody": task.to_string() })).await?;
    }
    let status = target.json(&["status"]).await?;
    let waiting = |status: &Value, name: &str| {
        let queues = status["queues"].as_array().cloned().unwrap_or_default();
        queues.iter().find(|queue| queue["queue"] == name).map(|queue| queue["waiting"].clone())
    };
    assert_eq!(waiting(&status, "Quarantine"), Some(2.into()));
    let tables = status["tables"].as_array().context("no tables")?;
    let tables: HashSet<_> = tables.iter().filter_map(|table| table["table"].as_str()).collect();
    let models = ["Timelines", "Viewers", "Cards", "SearchIndex"];
    let expected = models.iter().flat_map(|model| [(*model).to_owned(), format!("{model}B")]);
    let expected: Vec<_> = expected.chain(["Commands".to_owned()]).collect();
    assert_eq!(tables, expected.iter().map(String::as_str).collect());

    for _ in 0..2 {
        let listed = target.json(&["quarantine", "list"]).await?;
        let listed = listed.as_array().context("not a list")?;
        ensure!(listed.len() == 2 && listed.iter().all(|task| task["user"] == "nobody"), "{listed:?}");
    }
    let listed = target.json(&["quarantine", "list"]).await?;
    let id = listed[0]["id"].as_str().context("no id")?;
    assert_eq!(target.json(&["quarantine", "show", id]).await?["task"]["redo"]["error"], "of a test");
    ensure!(target.refusal(&["quarantine", "drop", id]).await?.contains("--yes"));
    ensure!(target.refusal(&["quarantine", "show", "unknown"]).await?.contains("unknown"));
    assert_eq!(target.json(&["quarantine", "drop", id, "--yes"]).await?, json!({ "deleted": [id], "left": 1 }));
    assert_eq!(target.json(&["quarantine", "list"]).await?.as_array().map(Vec::len), Some(1));
    assert_eq!(target.json(&["quarantine", "redrive", "--all"]).await?["left"], 0);
    assert_eq!(target.json(&["quarantine", "list"]).await?.as_array().map(Vec::len), Some(0));
    assert_eq!(waiting(&target.json(&["status"]).await?, "Deliveries"), Some(1.into()));
    Ok(())
}

/// A report of a batch of which the stream has nothing any more.
fn report() -> Value {
    json!({
        "requestContext": { "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:Fanout" },
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000000",
            "startSequenceNumber": "49601189658422359378836298521827638475320189012309704722",
            "endSequenceNumber": "49601189658422359378836298522902373528957594348623495186",
            "batchSize": 2,
            "streamArn": "arn:aws:kinesis:us-east-1:000000000000:stream/tidings-Former",
        },
    })
}

#[tokio::test]
async fn a_rebuild_is_started_watched_and_cancelled() -> Result<()> {
    let target = Target::start().await?;
    let status = target.json(&["rebuild", "status"]).await?;
    ensure!(status["active"] == "aaa" && status["rebuild"].is_null(), "{status}");
    ensure!(target.refusal(&["rebuild", "start"]).await?.contains("--yes"), "it was started without --yes");
    ensure!(target.refusal(&["rebuild", "resume"]).await?.contains("no rebuild is under way"), "there is none");

    let started = target.json(&["rebuild", "start", "--models", "cards", "--segments", "2", "--yes"]).await?;
    ensure!(started["rebuild"]["models"] == json!(["cards"]), "{started}");
    ensure!(started["rebuild"]["segments"] == 2, "{started}");
    ensure!(target.refusal(&["rebuild", "start", "--yes"]).await?.contains("is under way"), "a second one was started");
    let cancelled = target.json(&["rebuild", "cancel", "--yes"]).await?;
    ensure!(cancelled["rebuild"]["cancelled"] == true, "{cancelled}");
    Ok(())
}

#[tokio::test]
async fn failed_batches_are_recovered_although_the_sources_are_paused() -> Result<()> {
    let target = Target::start().await?;
    let dev = target.deployment.dev();
    dev.pause_sources(true).await?;
    assert_eq!(target.json(&["recover"]).await?, json!([]));
    for body in [report().to_string(), "nonsense".to_owned()] {
        dev.sqs("SendMessage", FAILED_BATCHES, json!({ "MessageBody": body })).await?;
    }
    assert_eq!(target.json(&["audit"]).await?["sweep_requested_at"], Value::Null);

    let rows = target.json(&["recover"]).await?;
    let rows = rows.as_array().context("no rows")?;
    ensure!(rows.len() == 2 && rows.iter().all(|row| row["outcome"] == "done"), "{rows:?}");
    ensure!(rows.iter().any(|row| row["function"] == "Fanout" && row["records"] == 2), "{rows:?}");
    assert_eq!(target.json(&["recover"]).await?, json!([]), "both are gone");
    ensure!(target.json(&["audit"]).await?["sweep_requested_at"].is_u64(), "the records are gone");

    // What makes no sense is put aside, and a report that was put aside goes back to where it came from.
    dev.sqs("SendMessage", QUARANTINE, json!({ "MessageBody": report().to_string() })).await?;
    assert_eq!(target.json(&["quarantine", "list"]).await?.as_array().map(Vec::len), Some(2));
    target.json(&["quarantine", "redrive", "--all"]).await?;
    let rows = target.json(&["recover"]).await?;
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    Ok(())
}

#[tokio::test]
async fn a_user_and_a_post_are_audited_and_repaired() -> Result<()> {
    let target = Target::start().await?;
    let (ada, dev) = (target.deployment.member("ada").await?, target.deployment.dev());
    let post = ada.post("of ada", None).await?.value.id;
    sees(&ada, 1).await?;
    let handle = format!("@{}", ada.profile().await?.handle);
    let right = json!({ "findings": [], "repairs": 0 });
    assert_eq!(target.json(&["audit", "--user", &handle]).await?, right);
    assert_eq!(target.json(&["audit", "--post", &post]).await?, right);

    let card = json!({ "TableName": "tidings-Cards", "Key": { "PK": { "S": format!("USER#{}", ada.id) } } });
    dev.dynamodb("DeleteItem", &card).await?;
    let found = target.json(&["audit", "--user", &ada.id]).await?;
    let settle = json!({ "kind": "wrong_card", "repair": { "settle_user": { "user": ada.id } } });
    assert_eq!(found, json!({ "findings": [settle], "repairs": 0 }));
    let text = String::from_utf8(target.admin(&["audit", "--user", &ada.id]).await?.stdout)?;
    ensure!(text.starts_with("kind        repair\nwrong_card  {"), "{text}");
    assert_eq!(target.json(&["audit", "--user", &ada.id, "--repair"]).await?["repairs"], 1);
    within(SETTLES_WITHIN, "the card is back", async || {
        ensure!(target.json(&["audit", "--user", &ada.id]).await? == right);
        anyhow::Ok(())
    })
    .await?;

    ensure!(target.refusal(&["audit", "--user", "@nobody_has_this"]).await?.contains("nobody_has_this"));
    ensure!(target.refusal(&["audit", "--post", "nonsense"]).await?.contains("nonsense"));
    ensure!(target.json(&["audit", "--repair"]).await?["sweep_requested_at"].is_u64());
    Ok(())
}

#[tokio::test]
async fn an_error_says_what_to_do() -> Result<()> {
    let command = &mut Command::new(env!("CARGO_BIN_EXE_admin"));
    let output = command.args(["--url", "http://127.0.0.1:1", "status"]).output().await?;
    let error = String::from_utf8(output.stderr)?;
    ensure!(error.contains("there is no local stack at http://127.0.0.1:1") && error.contains("cargo run"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_plan_needs_no_deployment() -> Result<()> {
    let run = async |arguments: &[&str]| {
        let command = &mut Command::new(env!("CARGO_BIN_EXE_admin"));
        command.args(["--url", "http://127.0.0.1:1"]).args(arguments).output().await
    };
    let plan = run(&["--json", "plan", "--posts-per-day", "1e4", "--parameter", "StatisticsDays=0"]).await?;
    let plan: Value = serde_json::from_slice(&plan.stdout)?;
    ensure!(plan["load"]["posts_per_day"] == 1e4 && plan["total"].as_f64().is_some_and(|total| total > 0.0), "{plan}");
    let explained = String::from_utf8(run(&["plan", "--explain"]).await?.stdout)?;
    ensure!(explained.contains("https://aws.amazon.com/dynamodb/pricing/on-demand/"), "{explained}");
    let refused = run(&["plan", "--followers=-1"]).await?;
    let error = String::from_utf8(refused.stderr)?;
    ensure!(!refused.status.success() && error == "admin: --followers must be between 0 and 1000000000\n", "{error}");
    Ok(())
}
