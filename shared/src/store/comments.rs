//! Comments in the command table. Commands read them consistently, readers as they ask. Those on one post stand in the
//! partition of the post, as long as few comment on it at a time, and otherwise in several ([`super::spread`]).

use futures::future::try_join_all;

use super::{
    command_table::CommandTable,
    consistency::Consistency,
    dynamo::{failed, primary_key, s, value},
    key,
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
        Ok(merged(pages, order, limit))
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

/// One page of the pages of several partitions: as far as none of them ends before its partition does.
fn merged(pages: Vec<CommentPage>, order: CommentOrder, limit: i32) -> CommentPage {
    let limit = usize::try_from(limit).unwrap_or_default();
    let in_order = |a: CommentId, b: CommentId| match order {
        CommentOrder::OldestFirst => a.cmp(&b),
        CommentOrder::NewestFirst => b.cmp(&a),
    };
    let ends = pages.iter().filter(|page| page.more).filter_map(|page| page.comments.last());
    let end = ends.map(|last| last.comment).min_by(|a, b| in_order(*a, *b));
    let mut comments: Vec<_> = pages.into_iter().flat_map(|page| page.comments).collect();
    comments.sort_unstable_by(|a, b| in_order(a.comment, b.comment));
    comments.retain(|comment| end.is_none_or(|end| in_order(comment.comment, end).is_le()));
    let more = end.is_some() || comments.len() > limit;
    comments.truncate(limit);
    CommentPage { comments, more }
}
