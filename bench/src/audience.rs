//! One author with many followers. This module reads the rows of the followers' homes directly from the table, because
//! so many homes cannot be read over HTTP while a post travels to them. It also measures how fast the database writes
//! as many rows on its own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use harness::{
    client::User,
    dev_client::{DevClient, key},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    circle::{Circle, circles},
    target::Target,
};

/// The table with the rows.
const TIMELINES: &str = "tidings-Timelines";
/// How many rows are polled while a post travels. The last follower's row is always one of them.
const SAMPLED: usize = 20;
/// The most keys of one BatchGetItem.
const BATCH_GET_MAX: usize = 100;
/// The most rows of one BatchWriteItem.
const BATCH_WRITE_MAX: usize = 25;
/// Concurrent calls where the time does not matter.
const CALLS_AT_ONCE: usize = 4;
const POLL: Duration = Duration::from_millis(10);
/// Longer than a post takes to reach a large audience on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// The beginning of a home's partition key.
const HOME: &str = "HOME#";
/// As long as [`HOME`], but no reader uses it.
const NOWHERE: &str = "BULK#";

/// An author with a large audience.
#[derive(Debug, Clone)]
pub struct Audience {
    /// The author of the posts.
    pub author: User,
    /// The followers in the order of their keys, which is the order in which they receive a post.
    followers: Vec<User>,
    dev: DevClient,
    dynamodb: String,
}

/// When a post reached its audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The time from acceptance until the first row was seen.
    pub first: Duration,
    /// The time from acceptance until every follower had a row.
    pub all: Duration,
}

impl Audience {
    /// Creates an author with so many followers.
    pub async fn gather(target: &Target, size: usize) -> Result<Self> {
        let Circle { author, mut followers } = circles(target, 1, size).await?.pop().context("nobody")?;
        followers.sort_by(|a, b| a.id.cmp(&b.id));
        let dev = target.deployment.dev();
        let dynamodb = dev.status().await?.endpoints.dynamodb;
        Ok(Self { author, followers, dev, dynamodb })
    }

    /// The number of followers.
    pub fn size(&self) -> usize {
        self.followers.len()
    }

    /// The follower who receives a post last.
    pub fn last(&self) -> Result<&User> {
        self.followers.last().context("nobody follows")
    }

    /// Waits until every follower has the post's row.
    pub async fn wait_for_rows(&self, post: &str, accepted: Instant) -> Result<Arrival> {
        let all: Vec<&User> = self.followers.iter().collect();
        let step = all.len().div_ceil(SAMPLED).max(1);
        let sample: Vec<&User> = self.followers.iter().rev().step_by(step).collect();
        let mut first = None;
        loop {
            let asked = accepted.elapsed();
            let found = self.rows(&sample, post).await?;
            if found > 0 {
                first = first.or(Some(asked));
            }
            if found == sample.len() && self.rows(&all, post).await? == all.len() {
                return Ok(Arrival { first: first.unwrap_or(asked), all: asked });
            }
            ensure!(asked < PATIENCE, "post {post} did not reach all followers within {PATIENCE:?}");
            sleep(POLL).await;
        }
    }

    /// How many of these viewers have the post's row.
    async fn rows(&self, viewers: &[&User], post: &str) -> Result<usize> {
        let count = async |viewers: &[&User]| {
            let key = |viewer: &&User| key(&format!("{HOME}{}", viewer.id), post);
            let keys: Vec<Value> = viewers.iter().map(key).collect();
            let mut left = json!({ TIMELINES: { "Keys": keys, "ProjectionExpression": "SK" } });
            let mut count = 0;
            loop {
                let request = json!({ "RequestItems": left });
                let answer = self.dev.dynamodb_at(&self.dynamodb, "BatchGetItem", &request).await?;
                count += answer["Responses"][TIMELINES].as_array().map_or(0, Vec::len);
                left = answer["UnprocessedKeys"].clone();
                if left.as_object().is_none_or(serde_json::Map::is_empty) {
                    return anyhow::Ok(count);
                }
            }
        };
        let calls = viewers.chunks(BATCH_GET_MAX).map(count);
        stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).try_fold(0, async |sum, count| Ok(sum + count)).await
    }

    /// Writes the rows of one post to as many timelines as there are followers, with `concurrency` concurrent calls of
    /// BatchWriteItem. Returns how long that took. The rows are like those of a real post, but in timelines that nobody
    /// reads.
    pub async fn write_raw(&self, post: &str, concurrency: usize) -> Result<Duration> {
        let row = |viewer: &User| {
            json!({ "PutRequest": { "Item": {
                "PK": { "S": format!("{NOWHERE}{}", viewer.id) },
                "SK": { "S": post },
                "author": { "S": self.author.id },
                "expires_at": { "N": "4000000000" },
            } } })
        };
        let calls: Vec<Value> = self
            .followers
            .chunks(BATCH_WRITE_MAX)
            .map(|viewers| json!({ "RequestItems": { TIMELINES: viewers.iter().map(row).collect::<Vec<_>>() } }))
            .collect();
        let started = Instant::now();
        let write = async |mut request: Value| {
            loop {
                let answer = self.dev.dynamodb_at(&self.dynamodb, "BatchWriteItem", &request).await?;
                if answer["UnprocessedItems"].as_object().is_none_or(serde_json::Map::is_empty) {
                    return anyhow::Ok(());
                }
                request = json!({ "RequestItems": answer["UnprocessedItems"] });
            }
        };
        stream::iter(calls).map(write).buffer_unordered(concurrency).try_collect::<()>().await?;
        Ok(started.elapsed())
    }
}
