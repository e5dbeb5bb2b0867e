//! What the erasure of an account reads and removes. Outside of an erasure, nothing of this is needed: items of the
//! command table are otherwise kept.

use std::collections::HashSet;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    command_table::{CommandTable, POST, log_entry},
    consistency::Consistency,
    dynamo::{Item, failed, primary_key, s, text, value},
    key::{self, PK, SK},
};
use crate::{
    error::Error,
    model::{EdgeKey, EdgeKind, Like, LogEntry, PostId, TallyShard, TallySubject, UserId, Version},
};

/// Items deleted at once.
const DELETIONS_AT_ONCE: usize = 8;

/// What is left of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remains {
    /// One side of an edge. Both sides go together.
    Edge(EdgeKey),
    /// A like of this post. Others are shown who likes it.
    Like(PostId, Like),
    /// Any other item, by its sort key.
    Item(String),
}

impl CommandTable {
    /// At most `limit` entries of the user's log in front of this version, newest first. The log may have gaps.
    pub async fn log_before(&self, user: &UserId, before: Version, limit: i32) -> Result<Vec<LogEntry>, Error> {
        let query = self.range(user, key::event(Version::ZERO), key::event(before)).scan_index_forward(false);
        // The bound itself is part of the range.
        let answer = query.limit(limit.saturating_add(1)).send().await.map_err(failed("reading a log"))?;
        let entries = answer.items.unwrap_or_default().into_iter().map(log_entry).collect::<Result<Vec<_>, _>>()?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(entries.into_iter().filter(|entry| entry.version < before).take(wanted).collect())
    }

    /// The likes of the user after that of this post, at most `limit`, or more if a page ends with a key that makes no
    /// sense. Ended ones are read, too, but left out. So is what makes no sense: it was shown to nobody. Returns the
    /// post to go on after, if there may be more.
    pub async fn likes_of(
        &self,
        user: &UserId,
        after: Option<PostId>,
        limit: i32,
    ) -> Result<(Vec<(PostId, Like)>, Option<PostId>), Error> {
        let [first, last] = key::all_likes();
        let mut start = after.map(|post| primary_key(key::user(user), key::likes(post)));
        let mut likes = Vec::new();
        loop {
            let query = self.range(user, first.clone(), last.clone()).set_exclusive_start_key(start).limit(limit);
            let answer = query.send().await.map_err(failed("reading likes"))?;
            for item in answer.items.unwrap_or_default() {
                match stored_like(item) {
                    Err(error @ Error::Poison { .. }) => {
                        tracing::error!(%user, %error, "a like makes no sense, and is passed over");
                    }
                    read => likes.extend(Some(read?).filter(|(_, like)| like.liked)),
                }
            }
            let Some(end) = answer.last_evaluated_key else { return Ok((likes, None)) };
            // No walk can go on behind a key that makes no sense.
            if let Ok(post) = post_of_like(&end) {
                return Ok((likes, Some(post)));
            }
            start = Some(end);
        }
    }

    /// Those of the posts that exist, deleted ones included, whatever they say, in one consistent read.
    pub async fn existing_posts(&self, posts: &[PostId]) -> Result<HashSet<PostId>, Error> {
        let keys = posts.iter().map(|post| primary_key(key::post(*post), POST)).collect();
        let found = self.dynamo.batch_get_parts(&self.table, keys, &[PK], Consistency::Strong).await?;
        let found: HashSet<_> = found.iter().map(|item| text(item, PK)).collect::<Result<_, _>>()?;
        Ok(posts.iter().copied().filter(|post| found.contains(key::post(*post).as_str())).collect())
    }

    /// At most `limit` items in the user's partition, beside the newest event of the log, which has this version.
    pub async fn remains_of(&self, user: &UserId, end: Version, limit: i32) -> Result<Vec<Remains>, Error> {
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :user")
            .expression_attribute_values(":user", s(key::user(user)))
            .limit(limit.saturating_add(1))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("reading what is left of an account"))?;
        let end = key::event(end);
        let mut remains = Vec::new();
        for item in answer.items.unwrap_or_default() {
            let sk = text(&item, SK)?.to_owned();
            if sk == end {
                continue;
            }
            let follow = key::parse_user(&sk, key::edge_prefix(EdgeKind::Follows));
            remains.push(match (follow, key::parse_likes(&sk)) {
                (Some(to), _) => Remains::Edge(EdgeKey::new(user, EdgeKind::Follows, &to)),
                (None, Some(post)) => match value("a like", item) {
                    // A like that makes no sense was shown to nobody.
                    Err(Error::Poison { .. }) => Remains::Item(sk),
                    like => Remains::Like(post, like?),
                },
                (None, None) => Remains::Item(sk),
            });
        }
        Ok(remains)
    }

    /// Deletes an item in the user's partition.
    pub async fn remove_item(&self, user: &UserId, sk: String) -> Result<(), Error> {
        self.delete(primary_key(key::user(user), sk)).await
    }

    /// Deletes a like of the user's.
    pub async fn remove_like(&self, user: &UserId, post: PostId) -> Result<(), Error> {
        self.remove_item(user, key::likes(post)).await
    }

    /// Deletes an event of the user's log.
    pub async fn remove_event(&self, user: &UserId, version: Version) -> Result<(), Error> {
        self.remove_item(user, key::event(version)).await
    }

    /// Deletes a post, and not the comments on it.
    pub async fn remove_post(&self, post: PostId) -> Result<(), Error> {
        self.delete(primary_key(key::post(post), POST)).await
    }

    /// Deletes all shards of a counter.
    pub async fn remove_tally(&self, subject: &TallySubject) -> Result<(), Error> {
        let keys = TallyShard::all().map(|shard| primary_key(key::tally(subject, shard), key::TALLY)).collect();
        // Most counters have one shard. To read a missing one costs a tenth of deleting it.
        let found = self.dynamo.batch_get(&self.table, keys, Consistency::Strong).await?;
        let keys = found.iter().map(|item| Ok(primary_key(text(item, PK)?, key::TALLY)));
        let keys = keys.collect::<Result<Vec<_>, Error>>()?;
        stream::iter(keys).map(|key| self.delete(key)).buffer_unordered(DELETIONS_AT_ONCE).try_collect().await
    }

    /// Takes the author off the list of celebrities.
    pub async fn remove_celebrity(&self, author: &UserId) -> Result<(), Error> {
        self.delete(primary_key(key::CELEBRITIES, key::user(author))).await
    }

    async fn delete(&self, key: Item) -> Result<(), Error> {
        let delete = self.dynamo.0.delete_item().table_name(&self.table).set_key(Some(key));
        delete.send().await.map(|_| ()).map_err(failed("erasing an account"))
    }

    fn range(&self, user: &UserId, first: String, last: String) -> QueryFluentBuilder {
        self.dynamo
            .0
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :user AND SK BETWEEN :first AND :last")
            .expression_attribute_values(":user", s(key::user(user)))
            .expression_attribute_values(":first", s(first))
            .expression_attribute_values(":last", s(last))
            .consistent_read(true)
    }
}

/// A like, and the post that the user likes.
fn stored_like(item: Item) -> Result<(PostId, Like), Error> {
    Ok((post_of_like(&item)?, value("a like", item)?))
}

/// The post of a like with this key.
fn post_of_like(key: &Item) -> Result<PostId, Error> {
    let key = text(key, SK)?;
    key::parse_likes(key).ok_or_else(|| Error::poison("the key of a like", key))
}
