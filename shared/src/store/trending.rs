//! The index `hottest` of the table `cards`. It is sparse: a post is in it while its card has a `bucket`. The sort key
//! is the post's score, which does not change as time goes by. So nothing has to be written only because time went by.
//!
//! Only contenders are in the index: posts whose score is that of the 1000th post at least, as it was when the
//! [trending list](super::trending_list) was last merged. A like of any other post moves no entry.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{
    dynamo::{Dynamo, Item, failed, n, s, text, value},
    key::{self, BUCKET, PK},
    table::TableName,
};
use crate::{
    cache::Cache,
    error::Error,
    model::{
        PostId, Timestamp, UserId,
        ranking::{Score, TRENDING_HEAT_MIN},
    },
};

/// Name of the index.
const INDEX: &str = "hottest";
/// Name of the index's sort key.
const SCORE: &str = "score";
/// Posts created within this time share a bucket. The buckets of a day are few enough to query all of them, and enough
/// to spread the writes.
const BUCKET_SPAN: Duration = Duration::from_secs(6 * 60 * 60);
/// Partitions of a bucket. A partition takes 1000 writes a second (DynamoDB, "Partitions and data distribution").
/// Releases before 0.3 had two, which are among these.
const BUCKET_PARTS: u8 = 4;
/// Posts in the index at most, apart from those that others have pushed out since they were last written. These are
/// five times as many as the list shows, so that it stays full while posts are deleted, or discounted because their
/// authors have better ones.
pub const CONTENDERS: usize = 1000;
/// Queries of one partition at most. More than one is needed only for the bucket that the window cuts through, where
/// the best posts may be too old.
const PAGES_MAX: usize = 5;
/// Entries of one partition that are looked at, so that those of one bucket may be all contenders.
const ENTRIES_PER_PART: usize = 300;
const _: () = assert!(ENTRIES_PER_PART * BUCKET_PARTS as usize > CONTENDERS);
/// Partitions that are queried at once. Nobody waits for a merge.
const QUERIES_AT_ONCE: usize = 10;

/// How long a process uses the least score of a contender that it has read. With an older one, posts enter the index
/// that no longer contend, and each costs a write.
const LEAST_KNOWN_FOR: Duration = Duration::from_secs(10);
/// The same while every post is a contender because there are so few. Then every like moves an entry, which the index
/// cannot take for long under much load.
const FEW_KNOWN_FOR: Duration = Duration::from_secs(1);
/// A merge that a process has asked for covers the changes of this time, see [`crate::projection::trending`].
pub(crate) const MERGE_COVERS: Duration = Duration::from_secs(1);

/// A post that trends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrendingPost {
    /// The post.
    pub post: PostId,
    /// How many better posts the post's author has in the index. The post counts less for each of them.
    pub better: u32,
}

/// An entry of the index.
#[derive(Debug)]
struct Entry {
    score: Score,
    post: PostId,
    /// The author. None if the counter has reached the card before the post itself.
    author: Option<UserId>,
}

/// What a merge of the index gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merged {
    /// The posts with the highest scores, best first.
    pub(crate) best: Vec<TrendingPost>,
    /// The least score of a contender. None while there are fewer than [`CONTENDERS`] posts.
    pub(crate) least: Option<Score>,
}

/// What a process knows of the list of a table. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct KnownList {
    pub(super) least: Cache<(), Option<Score>>,
    pub(super) merge_asked: Cache<(), ()>,
}

impl KnownList {
    pub(super) fn new() -> Self {
        Self { least: Cache::new(1, LEAST_KNOWN_FOR), merge_asked: Cache::new(1, MERGE_COVERS) }
    }

    /// Whether this process has to read the least score of a contender again.
    pub(super) fn is_old(&self, now: Timestamp) -> bool {
        let read = self.least.get(&(), now, None);
        read.is_none_or(|read| read.value.is_none() && now.since(read.at) >= FEW_KNOWN_FOR)
    }

    /// The least score of a contender, as this process has last read it.
    pub(super) fn least(&self) -> Option<Score> {
        self.least.last(&()).flatten()
    }
}

/// The index of the posts that trend.
#[derive(Debug, Clone)]
pub struct TrendingIndex {
    pub(super) dynamo: Dynamo,
    pub(super) table: TableName,
    contenders: usize,
}

impl TrendingIndex {
    /// The index of the `cards` table with this name, of so many posts.
    pub(super) fn new(dynamo: Dynamo, table: TableName, contenders: usize) -> Self {
        Self { dynamo, table, contenders }
    }

    /// The posts with the highest scores of those created since `since`, best first, at most `limit`. Of equals, the
    /// newest comes first. Each further post of an author counts less.
    pub(crate) async fn best(&self, since: Timestamp, now: Timestamp, limit: usize) -> Result<Merged, Error> {
        let queries = stream::iter(partitions(since, now)).map(|bucket| self.best_of(bucket, since));
        let found: Vec<_> = queries.buffer_unordered(QUERIES_AT_ONCE).try_collect().await?;
        let entries = distinct(found.into_iter().flatten().collect());
        let least = least_contender(entries.iter().map(|entry| entry.score).collect(), self.contenders);
        let mut best = diversified(entries);
        best.truncate(limit);
        Ok(Merged { best, least })
    }

    async fn best_of(&self, bucket: String, since: Timestamp) -> Result<Vec<Entry>, Error> {
        let mut best = Vec::new();
        let mut start = None;
        for _ in 0..PAGES_MAX {
            let answer = self
                .dynamo
                .0
                .query()
                .table_name(self.table.get())
                .index_name(INDEX)
                .key_condition_expression("#bucket = :bucket")
                .expression_attribute_names("#bucket", BUCKET)
                .expression_attribute_values(":bucket", s(&bucket))
                .scan_index_forward(false)
                .limit(i32::try_from(ENTRIES_PER_PART).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(failed("reading the trending posts"))?;
            let posts = answer.items().iter().map(entry).collect::<Result<Vec<_>, _>>()?;
            best.extend(posts.into_iter().filter(|entry| entry.post.created_at() >= since));
            start = answer.last_evaluated_key;
            if start.is_none() || best.len() >= ENTRIES_PER_PART {
                break;
            }
        }
        Ok(best)
    }
}

/// The attributes that put a post with this heat into the index. None if the heat is too little, or if the score is
/// below that of all contenders.
pub(super) fn index_attributes(
    post: PostId,
    heat: i64,
    least: Option<Score>,
) -> Option<[(&'static str, AttributeValue); 2]> {
    let score = Score::indexed(post.created_at(), heat);
    let contends = heat >= TRENDING_HEAT_MIN && least.is_none_or(|least| score >= least);
    contends.then(|| [(SCORE, n(score.get())), (BUCKET, s(bucket_of(post)))])
}

/// The score of the last contender, if there are so many posts.
fn least_contender(mut scores: Vec<Score>, contenders: usize) -> Option<Score> {
    let last = scores.len().checked_sub(contenders)?;
    Some(*scores.select_nth_unstable(last).1)
}

/// All partitions of the buckets from one moment to another.
fn partitions(since: Timestamp, now: Timestamp) -> impl Iterator<Item = String> {
    let buckets = bucket_number(since)..=bucket_number(now);
    buckets.flat_map(|number| (0..BUCKET_PARTS).map(move |part| key::bucket(number, part)))
}

fn bucket_number(created: Timestamp) -> u64 {
    created.as_ms() / u64::try_from(BUCKET_SPAN.as_millis()).unwrap_or(u64::MAX)
}

fn bucket_of(post: PostId) -> String {
    let [.., random] = post.short();
    key::bucket(bucket_number(post.created_at()), random % BUCKET_PARTS)
}

fn entry(item: &Item) -> Result<Entry, Error> {
    #[derive(serde::Deserialize)]
    struct Attributes {
        score: Score,
        author: Option<UserId>,
    }
    let key = text(item, PK)?;
    let post = key::parse_post(key).ok_or_else(|| Error::poison("the key of a trending post", key))?;
    let Attributes { score, author } = value("a trending post", item.clone())?;
    Ok(Entry { score, post, author })
}

/// Each post once, by its best entry. An entry that moves while the index is read may be found at both places.
fn distinct(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_unstable_by_key(|entry| Reverse((entry.score, entry.post)));
    let mut found = HashSet::new();
    entries.retain(|entry| found.insert(entry.post));
    entries
}

/// The posts by score, best first, where each further post of an author counts less.
fn diversified(mut entries: Vec<Entry>) -> Vec<TrendingPost> {
    let best_first = |a: (Score, PostId), b: (Score, PostId)| b.cmp(&a);
    entries.sort_unstable_by(|a, b| best_first((a.score, a.post), (b.score, b.post)));
    let mut of_author = HashMap::<UserId, u32>::new();
    let discounted = |Entry { score, post, author }| {
        let mut better = 0;
        if let Some(author) = author {
            let posts = of_author.entry(author).or_default();
            better = *posts;
            *posts += 1;
        }
        (score.discounted(better), TrendingPost { post, better })
    };
    let mut posts: Vec<_> = entries.into_iter().map(discounted).collect();
    posts.sort_unstable_by(|a, b| best_first((a.0, a.1.post), (b.0, b.1.post)));
    posts.into_iter().map(|(_, post)| post).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::user;

    fn post(hours: u64) -> PostId {
        PostId::new(Timestamp::from_ms(1_425_000_000_000).after(Duration::from_secs(hours * 60 * 60)))
    }

    #[test]
    fn a_post_is_in_the_index_from_the_heat_of_one_like_on() {
        assert!(index_attributes(post(0), TRENDING_HEAT_MIN - 1, None).is_none());
        assert!(index_attributes(post(0), TRENDING_HEAT_MIN, None).is_some());
    }

    #[test]
    fn only_contenders_are_in_the_index() {
        let score = |heat| Score::indexed(post(0).created_at(), heat);
        let is_in = |heat| index_attributes(post(0), heat, Some(score(5000))).is_some();
        assert_eq!([4999, 5000, 5001].map(is_in), [false, true, true]);
        assert!(index_attributes(post(6), 2000, Some(score(5000))).is_some(), "a newer post needs less heat");
    }

    #[test]
    fn the_last_contender_is_the_thousandth_post() {
        let scores =
            |count: i64| (1..=count).map(|heat| Score::new(post(0).created_at(), heat * 1000)).collect::<Vec<_>>();
        assert_eq!(least_contender(scores(999), CONTENDERS), None);
        assert_eq!(least_contender(scores(1000), CONTENDERS), Some(scores(1)[0]));
        assert_eq!(least_contender(scores(1500), CONTENDERS), Some(scores(501)[500]));
    }

    #[test]
    fn that_there_are_few_contenders_is_known_for_a_second_and_who_is_one_for_ten() {
        let (now, least) = (Timestamp::from_ms(1_425_000_000_000), Score::new(Timestamp::from_ms(0), 1000));
        let known = KnownList::new();
        let is_old_after = |found, seconds| {
            known.least.put((), found, now);
            known.is_old(now.after(Duration::from_secs(seconds)))
        };
        assert_eq!([is_old_after(None, 0), is_old_after(None, 1)], [false, true]);
        assert_eq!([is_old_after(Some(least), 9), is_old_after(Some(least), 10)], [false, true]);
        assert!(KnownList::new().is_old(now));
    }

    fn order(entries: &[(i64, Option<&str>)]) -> Vec<(usize, u32)> {
        let ids: Vec<_> = entries.iter().map(|_| post(0)).collect();
        let entry = |((heat, author), id): (&(i64, Option<&str>), &PostId)| Entry {
            score: Score::new(post(0).created_at(), *heat),
            post: *id,
            author: author.map(user),
        };
        let posts = diversified(entries.iter().zip(&ids).map(entry).collect());
        posts.into_iter().map(|it| (ids.iter().position(|id| *id == it.post).unwrap(), it.better)).collect()
    }

    #[test]
    fn each_further_post_of_an_author_counts_less() {
        let (x, y) = (Some("x"), Some("y"));
        // 1 + heat, times 1, 0.625 and 0.4375: 11, 6.25, 3.9375.
        assert_eq!(order(&[(10_000, x), (9000, x), (8000, x), (5500, y)]), [(0, 0), (3, 0), (1, 1), (2, 2)]);
        assert_eq!(order(&[(10_000, x), (9000, x), (5000, y)]), [(0, 0), (1, 1), (2, 0)], "much hotter posts stay");
    }

    #[test]
    fn an_entry_that_moved_while_the_index_was_read_counts_once() {
        let (moved, other) = (post(0), post(0));
        let entry = |(post, heat): (PostId, i64)| Entry {
            score: Score::new(post.created_at(), heat),
            post,
            author: Some(user("x")),
        };
        let found = distinct([(moved, 1000), (other, 2000), (moved, 9000)].map(entry).into());
        let best: Vec<_> = found.iter().map(|it| (it.post, it.score)).collect();
        let score = |post: PostId, heat| Score::new(post.created_at(), heat);
        assert_eq!(best, [(moved, score(moved, 9000)), (other, score(other, 2000))]);
    }

    #[test]
    fn posts_whose_author_is_not_known_yet_are_not_discounted() {
        assert_eq!(order(&[(3000, None), (2000, None), (1000, None)]), [(0, 0), (1, 0), (2, 0)]);
    }

    #[test]
    fn one_author_does_not_displace_many() {
        let (one, many): (Vec<_>, Vec<_>) =
            (vec![(1500, "x"); 198], (0..100).map(|n| (1000, format!("y{n}"))).collect());
        let entries: Vec<_> = one
            .iter()
            .map(|(heat, author)| (*heat, Some(*author)))
            .chain(many.iter().map(|(heat, author)| (*heat, Some(author.as_str()))))
            .collect();
        let first = order(&entries).into_iter().take(101).filter(|(at, _)| *at < 198).count();
        assert_eq!(first, 1, "the author's best post, and then one of everybody else");
    }

    #[test]
    fn every_post_of_the_window_is_in_a_bucket_that_is_queried() {
        let queried: HashSet<_> = partitions(post(0).created_at(), post(24).created_at()).collect();
        assert_eq!(queried.len(), 20, "five buckets of four parts");
        for hours in 0..=24 {
            assert!(queried.contains(&bucket_of(post(hours))), "{hours} h");
        }
    }
}
