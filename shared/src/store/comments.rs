//! Comments in the command table. Commands read them consistently, readers as they ask. Those on one post stand in the
//! partition of the post, as long as few comment on it at a time, and otherwise in several ([`super::spread`]).

use std::cmp::Reverse;

use futures::future::try_join_all;

use super::{
    command_table::CommandTable,
    consistency::Consistency,
    dynamo::{failed, primary_key, s, value},
    key,
    spread::{ItemPage, merged},
};
use crate::{
    error::Error,
    model::{Comment, CommentId, Commenter, PartitionShard, PostId, TallySubject, UserId},
};

/// Comments that a page reads of another partition than the first, beyond its share of the limit. The page ends where
/// the first of the partitions does, and would often have few comments without them.
const BEYOND_SHARE: i32 = 4;

/// The order in which comments are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentOrder {
    /// The oldest comment comes first.
    OldestFirst,
    /// The newest comment comes first.
    NewestFirst,
}

/// Comments on a post, deleted ones included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommentPage {
    /// The comments.
    pub comments: Vec<Comment>,
    /// Whether there may be more comments behind the last.
    pub more: bool,
}

impl CommandTable {
    /// A comment on a post. It may be deleted.
    pub async fn comment(&self, post: PostId, comment: CommentId) -> Result<Option<Comment>, Error> {
        let keys = comment_keys(post, comment).into_iter().map(|(pk, sk)| primary_key(pk, sk)).collect();
        let found = self.dynamo.batch_get(&self.table, keys, Consistency::Strong).await?.pop();
        found.map(|item| value("a comment", item)).transpose()
    }

    /// What a user's comments on a post add up to. None if the user has written none, or if the post is the user's.
    pub async fn commenter(&self, user: &UserId, post: PostId) -> Result<Option<Commenter>, Error> {
        self.get("a commenter", key::user(user), key::commenter(post)).await
    }

    /// At most `limit` comments on a post, in this order, from the one behind `after`.
    pub async fn comments(
        &self,
        post: PostId,
        order: CommentOrder,
        after: Option<CommentId>,
        limit: i32,
        consistency: Consistency,
    ) -> Result<CommentPage, Error> {
        let read = async |shard, limit| self.comments_in(post, shard, order, after, limit, consistency).await;
        let subject = TallySubject::Post(post);
        let (first, is_spread) =
            tokio::try_join!(read(PartitionShard::default(), limit), self.is_spread(&subject, consistency))?;
        if !is_spread {
            return Ok(first);
        }
        let share = limit.min(limit / i32::from(PartitionShard::COUNT) + BEYOND_SHARE);
        let mut pages = try_join_all(PartitionShard::others().map(|shard| read(shard, share))).await?;
        pages.push(first);
        let limit = usize::try_from(limit).unwrap_or_default();
        Ok(match order {
            CommentOrder::OldestFirst => one_page(pages, limit, |comment| comment),
            CommentOrder::NewestFirst => one_page(pages, limit, Reverse),
        })
    }

    async fn comments_in(
        &self,
        post: PostId,
        shard: PartitionShard,
        order: CommentOrder,
        after: Option<CommentId>,
        limit: i32,
        consistency: Consistency,
    ) -> Result<CommentPage, Error> {
        let partition = key::comments(post, shard);
        let query = self
            .dynamo
            .0
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :comments AND begins_with(SK, :comment)")
            .expression_attribute_values(":comments", s(&partition))
            .expression_attribute_values(":comment", s(key::COMMENT_PREFIX))
            .scan_index_forward(order == CommentOrder::OldestFirst)
            .set_exclusive_start_key(after.map(|comment| primary_key(&partition, key::comment(comment))))
            .limit(limit)
            .consistent_read(consistency.is_strong());
        let answer = query.send().await.map_err(failed("reading comments"))?;
        let more = answer.last_evaluated_key.is_some();
        let items = answer.items.unwrap_or_default().into_iter();
        Ok(CommentPage { comments: items.map(|item| value("a comment", item)).collect::<Result<_, _>>()?, more })
    }
}

/// The keys that a comment may have.
pub(super) fn comment_keys(post: PostId, comment: CommentId) -> Vec<(String, String)> {
    let key = |shard| (key::comments(post, shard), key::comment(comment));
    PartitionShard::any_of_comment(comment).map(key).collect()
}

/// One page of the pages of several partitions.
fn one_page<Place: Ord>(pages: Vec<CommentPage>, limit: usize, place: impl Fn(CommentId) -> Place) -> CommentPage {
    let page = |CommentPage { comments, more }| {
        let next = comments.last().filter(|_| more).map(|last: &Comment| place(last.comment));
        ItemPage { items: comments, next }
    };
    let ItemPage { items, next } = merged(pages.into_iter().map(page), limit, |comment| place(comment.comment));
    CommentPage { comments: items, more: next.is_some() }
}
