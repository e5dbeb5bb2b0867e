//! Lets many users like one post at the same time, without retries. Prints how many likes in each second the stack
//! accepts, and how many two-item transactions its database alone accepts from as many clients. Exits with 1 if a
//! caller got an error or the count is not exact (INV-3).

use std::{collections::BTreeMap, process::ExitCode, sync::Mutex, time::Duration};

use anyhow::{Context, Result, ensure};
use bench::{
    lag::rate,
    target::{self, Target, progress_bar},
};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use harness::{
    client::{ApiError, User},
    dev_client::key,
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long to wait until the stack is idle.
const SETTLE: Duration = Duration::from_secs(900);
/// The most shards of a counter.
const SHARDS: u32 = 256;
/// Keys in one call of BatchGetItem at most.
const BATCH_GET_MAX: usize = 100;
const TABLE: &str = "tidings-Commands";

#[derive(Debug, Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// Users who like the post, each once
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    likers: u32,
    #[command(flatten)]
    target: target::Arguments,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let likers = usize::try_from(arguments.likers)?;
    let target = Target::start(arguments.target)?;
    let dev = target.deployment.dev();
    let (author, _) = target.register(1).await?.pop().context("no author")?;
    let post = author.post("this one goes viral", None).await?.value.id;
    let users: Vec<User> = target.register(likers).await?.into_iter().map(|(user, _)| user).collect();
    dev.settle(SETTLE).await?;

    let bar = progress_bar("likes", likers)?;
    let errors: Mutex<BTreeMap<String, u32>> = Mutex::default();
    let started = Instant::now();
    stream::iter(&users)
        .for_each_concurrent(target.concurrency, async |user| {
            if let Err(error) = user.like(&post).await {
                let name = match error {
                    ApiError::Status { status, code, .. } => format!("{status} {}", code.unwrap_or_default()),
                    other => other.to_string(),
                };
                if let Ok(mut errors) = errors.lock() {
                    *errors.entry(name).or_default() += 1;
                }
            }
            bar.inc(1);
        })
        .await;
    let took = started.elapsed();
    bar.finish();
    let errors = errors.into_inner().unwrap_or_default();
    println!("likes      {likers} in {:.1} s, {:.0}/s", took.as_secs_f64(), rate(likers, took));
    println!("errors     {errors:?}");

    dev.settle(SETTLE).await?;
    let counted = author.get_post(&post).await?.likes;
    println!("counted    {counted}");
    println!("shards     {} of {SHARDS}", shards(&target, &post).await?);

    let raw = raw_transactions(&target, &post, likers).await?;
    println!("database   {likers} such transactions in {:.1} s, {:.0}/s", raw.as_secs_f64(), rate(likers, raw));
    println!("ratio      {:.2}", rate(likers, took) / rate(likers, raw));
    let exact = usize::try_from(counted)? == likers;
    Ok(if exact && errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many shards of the post's counter have a row.
async fn shards(target: &Target, post: &str) -> Result<usize> {
    let keys: Vec<_> = (0..SHARDS).map(|shard| key(&format!("TALLY#POST#{post}#{shard}"), "TALLY")).collect();
    let mut count = 0;
    for keys in keys.chunks(BATCH_GET_MAX) {
        let request = json!({"RequestItems": {TABLE: {"Keys": keys}}});
        let found = target.deployment.dev().dynamodb("BatchGetItem", &request).await?;
        count += found["Responses"][TABLE].as_array().map(Vec::len).unwrap_or_default();
    }
    Ok(count)
}

/// The database part of a like: one transaction that puts a new item and increments a counter.
async fn raw_transactions(target: &Target, post: &str, count: usize) -> Result<Duration> {
    let dev = target.deployment.dev();
    let endpoint = dev.status().await?.endpoints.dynamodb;
    let transaction = |number: usize| -> Value {
        let key = |name: &str| key(&format!("RAW#{post}#{name}"), "RAW");
        let mut item = key(&number.to_string());
        item["liked"] = json!({"BOOL": true});
        item["author"] = json!({"S": post});
        item["heat"] = json!({"N": "1000"});
        item["version"] = json!({"N": "1"});
        let put = json!({"TableName": TABLE, "Item": item, "ConditionExpression": "attribute_not_exists(PK)"});
        let update = json!({
            "TableName": TABLE,
            "Key": key(&format!("shard-{}", number % 32)),
            "UpdateExpression": "ADD #version :one, likes :one, heat :heat",
            "ExpressionAttributeNames": {"#version": "version"},
            "ExpressionAttributeValues": {":one": {"N": "1"}, ":heat": {"N": "1000"}},
        });
        json!({"TransactItems": [{"Put": put}, {"Update": update}]})
    };
    let started = Instant::now();
    let (dev, endpoint) = (&dev, &endpoint);
    let done: Vec<Value> = stream::iter(0..count)
        .map(|number| {
            let body = transaction(number);
            async move { dev.dynamodb_at(endpoint, "TransactWriteItems", &body).await }
        })
        .buffer_unordered(target.concurrency)
        .try_collect()
        .await?;
    ensure!(done.len() == count, "some transactions were not made");
    Ok(started.elapsed())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
