//! The part of cards that counts: what is known of a counter's shards, what the card shows of it, and, of posts with some
//! heat, the sparse index `trending`. A post is in the index while it has a `bucket`; its sort key is its score, so that
//! nothing ever has to be written because time went by.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;

use super::{
    cards::Cards,
    dynamo::{Item, failed, item, n, number, s, text, value},
    key::{self, PK},
};
use crate::{
    error::Error,
    model::{
        Counts, PostId, Tally, TallyShard, TallySubject, Timestamp,
        ranking::{Score, TRENDING_HEAT_MIN},
    },
};

/// Name of the attribute by which a post is in the index.
pub(super) const BUCKET: &str = "bucket";
/// Name of the index.
const TRENDING: &str = "trending";
/// Posts of so many hours are in one bucket: few enough partitions to ask all of them, enough to spread the writes.
const BUCKET_SPAN: Duration = Duration::from_secs(6 * 60 * 60);
/// Partitions of a bucket: a partition takes 1000 writes a second (DynamoDB, "Partitions and data distribution").
const BUCKET_HALVES: u8 = 2;
/// Reads of one partition at most. A further one is needed only where posts too old stand among the best of the bucket
/// that the window cuts through.
const PAGES_MAX: usize = 5;

/// What a card knows of a counter, and which revision of that it is: how a writer tells that nobody came between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredTally {
    /// The newest known images.
    pub tally: Tally,
    revision: u64,
    /// Whether it is of a deleted post.
    deleted: bool,
}

impl Cards {
    /// What the subject's card knows of its counter.
    pub async fn tally(&self, subject: &TallySubject) -> Result<StoredTally, Error> {
        let answer = self
            .dynamo
            .0
            .get_item()
            .table_name(&self.table)
            .key(PK, s(card_key(subject)))
            .projection_expression("tally, tally_revision, deleted")
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("reading a counter"))?;
        answer.item.map_or(Ok(StoredTally::default()), stored_tally)
    }

    /// Replaces what the subject's card knew as `before`, and what it shows of it.
    ///
    /// # Errors
    /// [`Error::Conflict`] if somebody else replaced it meanwhile, or the post was deleted.
    pub async fn put_tally(&self, subject: &TallySubject, before: &StoredTally, tally: &Tally) -> Result<(), Error> {
        let mut set = shown(subject, &tally.counts(), before.deleted);
        let in_index = set.contains_key(BUCKET);
        let image = |(shard, image): (&TallyShard, _)| Ok((shard.get().to_string(), AttributeValue::M(item(image)?)));
        let images = tally.0.iter().map(image).collect::<Result<_, Error>>()?;
        set.insert("tally".to_owned(), AttributeValue::M(images));
        set.insert("tally_revision".to_owned(), n(before.revision + 1));

        let mut update = self.dynamo.0.update_item().table_name(&self.table).key(PK, s(card_key(subject)));
        let assignments: Vec<_> = set.keys().map(|name| format!("#{name} = :{name}")).collect();
        for (name, value) in set {
            update = update
                .expression_attribute_names(format!("#{name}"), &name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        let mut condition = "attribute_not_exists(#tally_revision)".to_owned();
        if before.revision > 0 {
            "#tally_revision = :revision".clone_into(&mut condition);
            update = update.expression_attribute_values(":revision", n(before.revision));
        }
        let mut expression = format!("SET {}", assignments.join(", "));
        if in_index {
            // A deletion takes the post out of the index, whichever of the two comes first.
            condition += " AND (attribute_not_exists(deleted) OR deleted = :false)";
            update = update.expression_attribute_values(":false", AttributeValue::Bool(false));
        } else {
            expression += &format!(" REMOVE #{BUCKET}");
            update = update.expression_attribute_names(format!("#{BUCKET}"), BUCKET);
        }
        update
            .update_expression(expression)
            .condition_expression(condition)
            .send()
            .await
            .map(|_| ())
            .map_err(failed("writing a counter"))
    }

    /// The posts with the highest scores of those created since then, at most `limit`, best first; among equals the newest
    /// first. One round trip, as a rule: all buckets are asked at once.
    pub async fn trending(&self, since: Timestamp, now: Timestamp, limit: usize) -> Result<Vec<PostId>, Error> {
        let buckets = bucket_number(since)..=bucket_number(now);
        let partitions = buckets.flat_map(|number| (0..BUCKET_HALVES).map(move |half| key::bucket(number, half)));
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
                .index_name(TRENDING)
                .key_condition_expression("#bucket = :bucket")
                .expression_attribute_names("#bucket", BUCKET)
                .expression_attribute_values(":bucket", s(&bucket))
                .scan_index_forward(false)
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(failed("reading what trends"))?;
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

fn card_key(subject: &TallySubject) -> String {
    match subject {
        TallySubject::User(user) => key::user(user),
        TallySubject::Post(post) => key::post(*post),
    }
}

/// What a card shows of its counter. With `bucket`, the card is in the index.
fn shown(subject: &TallySubject, counts: &Counts, deleted: bool) -> Item {
    let mut shown = Item::new();
    let mut show = |name: &str, value| shown.insert(name.to_owned(), value);
    match subject {
        TallySubject::User(_) => {
            show("followers", n(counts.followers));
        }
        TallySubject::Post(post) => {
            show("likes", n(counts.likes));
            show("comments", n(counts.comments));
            show("heat", n(counts.heat));
            if counts.heat >= TRENDING_HEAT_MIN && !deleted {
                show("score", n(Score::new(post.created_at(), counts.heat).get()));
                show(BUCKET, s(bucket_of(*post)));
            }
        }
    }
    shown
}

fn bucket_number(created: Timestamp) -> u64 {
    created.as_ms() / u64::try_from(BUCKET_SPAN.as_millis()).unwrap_or(u64::MAX)
}

fn bucket_of(post: PostId) -> String {
    let [.., random] = post.short();
    key::bucket(bucket_number(post.created_at()), random % BUCKET_HALVES)
}

fn stored_tally(mut item: Item) -> Result<StoredTally, Error> {
    let deleted = matches!(item.get("deleted"), Some(AttributeValue::Bool(true)));
    let shards = match item.remove("tally") {
        Some(AttributeValue::M(shards)) => shards,
        _ => HashMap::new(),
    };
    let mut tally = Tally::default();
    for (shard, image) in shards {
        let number = shard.parse().ok().and_then(TallyShard::new);
        let number = number.ok_or_else(|| Error::poison("a counter", format!("shard {shard}")))?;
        let AttributeValue::M(image) = image else { return Err(Error::poison("a counter", "an image")) };
        tally.take(number, value("a counter", image)?);
    }
    Ok(StoredTally { tally, revision: number(&item, "tally_revision")?, deleted })
}

fn scored_post(item: &Item) -> Result<(Score, PostId), Error> {
    let key = text(item, PK)?;
    let post = key::parse_post(key).ok_or_else(|| Error::poison("what trends", key))?;
    #[derive(serde::Deserialize)]
    struct Scored {
        score: Score,
    }
    let Scored { score } = value("what trends", item.clone())?;
    Ok((score, post))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn post(hours: u64) -> PostId {
        PostId::new(Timestamp::from_ms(1_425_000_000_000).after(Duration::from_secs(hours * 60 * 60)))
    }

    fn counts(heat: i64) -> Counts {
        Counts { heat, ..Counts::default() }
    }

    #[test]
    fn a_post_is_in_the_index_from_its_first_like_until_it_is_deleted() {
        let in_index = |heat, deleted| shown(&TallySubject::Post(post(0)), &counts(heat), deleted).contains_key(BUCKET);
        assert!(in_index(1000, false));
        assert!(!in_index(999, false) && !in_index(1000, true));
    }

    #[test]
    fn every_post_of_the_window_is_in_a_bucket_that_is_asked() {
        let (since, now) = (post(0).created_at(), post(24).created_at());
        let asked: HashSet<_> = (bucket_number(since)..=bucket_number(now))
            .flat_map(|number| (0..BUCKET_HALVES).map(move |half| key::bucket(number, half)))
            .collect();
        assert_eq!(asked.len(), 10, "five buckets of two halves");
        for hours in 0..=24 {
            assert!(asked.contains(&bucket_of(post(hours))), "{hours} h");
        }
    }
}
