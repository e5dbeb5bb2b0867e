//! The whole system judged over HTTP. By default all tests share one local stack, which the first of them starts; with
//! `TIDINGS_URL` they run against that deployment, and those that need control over the stack say that they skip.
//!
//! Each test makes its own users and never meets another's, so all run at the same time. Nobody sleeps and hopes:
//! what a projection must bring is asked for until it is there, and INV-… in a comment names the invariant judged.

mod bad_input;
mod celebrities;
mod commands;
mod comments;
mod costs;
mod crash;
mod cursors;
mod delivery;
mod edits;
mod feeds;
mod follows;
mod gateway;
mod idempotency;
mod likes;
mod load;
mod mutes;
mod own_writes;
mod paging;
mod posts;
mod profiles;
mod quarantine;
mod random;
mod ranked;
mod tags;
mod trending;
mod walking;

use anyhow::{Result, ensure};
use harness::{
    client::{Answer, ApiError, Post, User},
    wait::eventually,
};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

/// Sends `request` and checks that it is refused as the contract says: RFC 9457 with a stable code.
async fn refused(request: RequestBuilder, status: u16, code: &str) -> Result<()> {
    let answer = Answer::to(request).await?;
    let told = format!("{}: {} {}", answer.request, answer.status, answer.body);
    ensure!(answer.status.as_u16() == status, "expected {status} {code}, got {told}");
    ensure!(answer.header("content-type") == Some("application/problem+json"), "not a problem document: {told}");
    let problem: serde_json::Map<String, Value> = answer.json()?;
    let members: Vec<_> = problem.keys().map(String::as_str).collect();
    ensure!(members == ["code", "detail", "status", "title", "type"], "not the members of a problem: {told}");
    ensure!(problem["code"] == code && problem["status"] == status, "expected {code}, got {told}");
    let texts = ["type", "title", "detail"].map(|member| problem[member].as_str().unwrap_or_default().is_empty());
    ensure!(texts == [false; 3], "empty texts: {told}");
    Ok(())
}

/// The status and code of a refusal that a typed call met.
fn refusal<T: std::fmt::Debug>(result: Result<T, ApiError>) -> Result<(u16, String)> {
    match result {
        Err(ApiError::Status { status, code: Some(code), .. }) => Ok((status.as_u16(), code)),
        other => anyhow::bail!("expected a refusal, got {other:?}"),
    }
}

/// Waits until exactly the posts with these ids are at `user`'s home, in this order.
async fn home_becomes(user: &User, ids: &[&str]) -> Result<Vec<Post>> {
    eventually("the home feed holds what it should", async || {
        let posts = user.walk_home(100).await?;
        let shown: Vec<_> = posts.iter().map(|post| post.id.as_str()).collect();
        ensure!(shown == ids, "{} sees {shown:?}, not {ids:?}", user.id);
        Ok(posts)
    })
    .await
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

/// The status of an answer, for checks where only that matters.
async fn status(request: RequestBuilder) -> Result<StatusCode> {
    Ok(Answer::to(request).await?.status)
}
