//! One author with many followers, and the rows of their homes in the table itself: so many homes cannot be asked for
//! over HTTP while a post travels to them. What raw writes of as many rows reach is measured here, too.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use harness::{client::User, dev_client::DevClient};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    circle::{Circle, circles},
    target::Target,
};

/// The table of the rows.
const TIMELINES: &str = "tidings-Timelines";
/// Rows looked at again and again while a post travels; the last follower's is always among them.
const SAMPLED: usize = 20;
/// Keys of one BatchGetItem.
const BATCH_GET_MAX: usize = 100;
/// Rows of one BatchWriteItem.
const BATCH_WRITE_MAX: usize = 25;
/// Calls at once where the time does not matter.
const CALLS_AT_ONCE: usize = 4;
const POLL: Duration = Duration::from_millis(10);
/// Longer than a post takes to a large audience on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Partition keys of a home begin so.
const HOME: &str = "HOME#";
/// As long, and nobody's.
const NOWHERE: &str = "BULK#";

/// An author and a large audience.
#[derive(Debug, Clone)]
pub struct Audience {
    /// Who posts.
    pub author: User,
    /// Who follows the author, in the order of their keys, which is the order of delivery.
    followers: Vec<User>,
    dev: DevClient,
    dynamodb: String,
}

/// How a post came to its audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// From being accepted until a first row was seen.
    pub first: Duration,
    /// From being accepted until every follower had it.
    pub all: Duration,
}

impl Audience {
    /// A new author with so many new followers.
    pub async fn gather(target: &Target, size: usize) -> Result<Self> {
        let Circle { author, mut followers } = circles(target, 1, size).await?.pop().context("nobody")?;
        followers.sort_by(|a, b| a.id.cmp(&b.id));
        let dev = target.deployment.dev();
        let dynamodb = dev.status().await?.endpoints.dynamodb;
        Ok(Self { author, followers, dev, dynamodb })
    }

    /// How many followers.
    pub fn size(&self) -> usize {
        self.followers.len()
    }

    /// Who gets a post last.
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
            ensure!(asked < PATIENCE, "post {post} did not reach everybody within {PATIENCE:?}");
            sleep(POLL).await;
        }
    }

    /// How many of these viewers have the post's row.
    async fn rows(&self, viewers: &[&User], post: &str) -> Result<usize> {
        let count = async |viewers: &[&User]| {
            let key = |viewer: &&User| json!({ "PK": { "S": format!("{HOME}{}", viewer.id) }, "SK": { "S": post } });
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

    /// Writes the rows of one post to as many timelines as there are followers, `concurrency` calls of BatchWriteItem at
    /// once, and says how long that took. The rows are those of a delivery in all but whose they are: nobody reads them.
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
