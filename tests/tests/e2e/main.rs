//! Tests of the whole system over HTTP: the contract, one happy path of each feature, costs, and what only real
//! processes show. What depends on order, delays, faults or chance is tested in `simulation`.
//!
//! By default, all tests share one local stack, which the first test starts. With `TIDINGS_URL`, they run against that
//! deployment. Tests that need control over the stack are then skipped, and print so. [`smoke`] is for deployments.
//!
//! Each test creates its own users, who never meet those of another test, so all tests run at the same time. No test
//! sleeps for a fixed time to wait for a projection: it asks until the answer is right. INV-… in a comment is the
//! invariant under test.

mod accounts;
mod alarms;
mod bad_input;
mod celebrities;
mod commands;
mod comments;
mod costs;
mod crash;
mod cursors;
mod dormant;
mod edits;
mod feed_url;
mod feeds;
mod follows;
mod gateway;
mod idempotency;
mod likes;
mod load;
mod lookup;
mod mutes;
mod newest;
mod notifications;
mod own_writes;
mod paging;
mod posts;
mod profiles;
mod quarantine;
mod ranked;
mod rate_limits;
mod rebuild;
mod search;
mod shared_cache;
mod smoke;
mod statistics;
mod tags;
mod trending;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use harness::{
    client::{Answer, ApiError, Post, User},
    dev_client::{DevClient, VISIT},
    wait::eventually,
};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// Sends `request`, and checks that the refusal is as the contract says: RFC 9457 with a stable code.
async fn refused(request: RequestBuilder, status: u16, code: &str) -> Result<()> {
    let answer = Answer::to(request).await?;
    let shown = format!("{}: {} {}", answer.request, answer.status, answer.body);
    ensure!(answer.status.as_u16() == status, "expected {status} {code}, got {shown}");
    ensure!(answer.header("content-type") == Some("application/problem+json"), "not a problem document: {shown}");
    let problem: serde_json::Map<String, Value> = answer.json()?;
    let members: Vec<_> = problem.keys().map(String::as_str).collect();
    ensure!(members == ["code", "detail", "status", "title", "type"], "not the members of a problem: {shown}");
    ensure!(problem["code"] == code && problem["status"] == status, "expected {code}, got {shown}");
    let texts = ["type", "title", "detail"].map(|member| problem[member].as_str().unwrap_or_default().is_empty());
    ensure!(texts == [false; 3], "empty texts: {shown}");
    Ok(())
}

/// The status and the code of a refused call.
fn refusal<T: std::fmt::Debug>(result: Result<T, ApiError>) -> Result<(u16, String)> {
    match result {
        Err(ApiError::Status { status, code: Some(code), .. }) => Ok((status.as_u16(), code)),
        other => anyhow::bail!("expected a refusal, got {other:?}"),
    }
}

/// Waits until `user`'s home has exactly the posts with these ids, in this order.
async fn home_becomes(user: &User, ids: &[&str]) -> Result<Vec<Post>> {
    eventually("the home feed holds what it should", async || {
        let posts = user.walk_home(100).await?;
        let shown: Vec<_> = posts.iter().map(|post| post.id.as_str()).collect();
        ensure!(shown == ids, "{} sees {shown:?}, not {ids:?}", user.id);
        Ok(posts)
    })
    .await
}

/// The posts that were copied to the user's home.
async fn copied(dev: &DevClient, user: &User) -> Result<BTreeSet<String>> {
    let query = json!({
        "TableName": "tidings-Timelines", "KeyConditionExpression": "PK = :home AND SK < :visit",
        "ExpressionAttributeValues": { ":home": { "S": format!("HOME#{}", user.id) }, ":visit": { "S": VISIT } },
    });
    let answer = dev.dynamodb("Query", &query).await?;
    let items = answer["Items"].as_array().context("no items")?;
    Ok(items.iter().filter_map(|item| item["SK"]["S"].as_str()).map(str::to_owned).collect())
}

/// Waits until the projection has applied `version` of `user`'s own log.
async fn applied(user: &User, version: u64) -> Result<()> {
    eventually("the user's own log is applied", async || {
        let now = user.home(1, None).await?.freshness.version;
        ensure!(now >= version, "at {now}, not yet at {version}");
        Ok(())
    })
    .await
}

/// The status of an answer, for checks that need nothing else.
async fn status(request: RequestBuilder) -> Result<StatusCode> {
    Ok(Answer::to(request).await?.status)
}
