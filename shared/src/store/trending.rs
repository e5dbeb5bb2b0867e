//! The index `trending` of the table `cards`. It is sparse: a post is in it while its card has a `bucket`. The sort key
//! is the post's score, which does not change as time goes by. So nothing has to be written only because time went by.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;

use super::{
    dynamo::{Dynamo, Item, failed, n, s, text, value},
    key::{self, BUCKET, PK},
};
use crate::{
    error::Error,
    model::{
        PostId, Timestamp,
        ranking::{Score, TRENDING_HEAT_MIN},
    },
};

/// Name of the index.
const INDEX: &str = "trending";
/// Name of the index's sort key.
const SCORE: &str = "score";
/// Posts created within this time share a bucket. The buckets of a day are few enough to query all of them, and enough
/// to spread the writes.
const BUCKET_SPAN: Duration = Duration::from_secs(6 * 60 * 60);
/// Partitions of a bucket. A partition takes 1000 writes a second (DynamoDB, "Partitions and data distribution").
const BUCKET_HALVES: u8 = 2;
/// Queries of one partition at most. More than one is needed only for the bucket that the window cuts through, where
/// the best posts may be too old.
const PAGES_MAX: usize = 5;

/// The index of the posts that trend.
#[derive(Debug, Clone)]
pub struct TrendingIndex {
    dynamo: Dynamo,
    table: String,
}

impl TrendingIndex {
    /// The index of the `cards` table with this name.
    pub(super) fn new(dynamo: Dynamo, table: String) -> Self {
        Self { dynamo, table }
    }

    /// The posts with the highest scores of those created since `since`, best first, at most `limit`. Of equals, the
    /// newest comes first. All buckets are queried at once, which is usually one round trip.
    pub async fn best(&self, since: Timestamp, now: Timestamp, limit: usize) -> Result<Vec<PostId>, Error> {
        let partitions = partitions(since, now);
        let best = try_join_all(partitions.map(|bucket| self.best_of(bucket, since, limit))).await?;
        let mut best = best.concat();
        best.sort_unstable_by(|a, b| b.cmp(a));
        Ok(best.into_iter().take(limit).map(|(_, post)| post).collect())
    }

    async fn best_of(&self, bucket: String, since: Timestamp, limit: usize) -> Result<Vec<(Score, PostId)>, Error> {
        let mut best = Vec::new();
        let mut start = None;
        for _ in 0..PAGES_MAX {
            let answer = self
                .dynamo
                .0
                .query()
                .table_name(&self.table)
                .index_name(INDEX)
                .key_condition_expression("#bucket = :bucket")
                .expression_attribute_names("#bucket", BUCKET)
                .expression_attribute_values(":bucket", s(&bucket))
                .scan_index_forward(false)
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(failed("reading the trending posts"))?;
            let posts = answer.items().iter().map(scored_post).collect::<Result<Vec<_>, _>>()?;
            best.extend(posts.into_iter().filter(|(_, post)| post.created_at() >= since));
            start = answer.last_evaluated_key;
            if start.is_none() || best.len() >= limit {
                break;
            }
        }
        Ok(best)
    }
}

/// The attributes that put a post with this heat into the index. None if the heat is too little.
pub(super) fn index_attributes(post: PostId, heat: i64) -> Option<[(&'static str, AttributeValue); 2]> {
    let score = Score::new(post.created_at(), heat);
    (heat >= TRENDING_HEAT_MIN).then(|| [(SCORE, n(score.get())), (BUCKET, s(bucket_of(post)))])
}

/// All partitions of the buckets from one moment to another.
fn partitions(since: Timestamp, now: Timestamp) -> impl Iterator<Item = String> {
    let buckets = bucket_number(since)..=bucket_number(now);
    buckets.flat_map(|number| (0..BUCKET_HALVES).map(move |half| key::bucket(number, half)))
}

fn bucket_number(created: Timestamp) -> u64 {
    created.as_ms() / u64::try_from(BUCKET_SPAN.as_millis()).unwrap_or(u64::MAX)
}

fn bucket_of(post: PostId) -> String {
    let [.., random] = post.short();
    key::bucket(bucket_number(post.created_at()), random % BUCKET_HALVES)
}

fn scored_post(item: &Item) -> Result<(Score, PostId), Error> {
    #[derive(serde::Deserialize)]
    struct Scored {
        score: Score,
    }
    let key = text(item, PK)?;
    let post = key::parse_post(key).ok_or_else(|| Error::poison("the key of a trending post", key))?;
    let Scored { score } = value("a trending post", item.clone())?;
    Ok((score, post))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn post(hours: u64) -> PostId {
        PostId::new(Timestamp::from_ms(1_425_000_000_000).after(Duration::from_secs(hours * 60 * 60)))
    }

    #[test]
    fn a_post_is_in_the_index_from_the_heat_of_one_like_on() {
        assert!(index_attributes(post(0), TRENDING_HEAT_MIN - 1).is_none());
        assert!(index_attributes(post(0), TRENDING_HEAT_MIN).is_some());
    }

    #[test]
    fn every_post_of_the_window_is_in_a_bucket_that_is_queried() {
        let queried: HashSet<_> = partitions(post(0).created_at(), post(24).created_at()).collect();
        assert_eq!(queried.len(), 10, "five buckets of two halves");
        for hours in 0..=24 {
            assert!(queried.contains(&bucket_of(post(hours))), "{hours} h");
        }
    }
}
