//! Comments in the command table. Commands read them consistently, readers as they ask.

use super::{
    command_table::CommandTable,
    consistency::Consistency,
    dynamo::{failed, primary_key, s, value},
    key,
};
use crate::{
    error::Error,
    model::{Comment, CommentId, Commenter, PostId, UserId},
};

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
        self.get("a comment", key::post(post), key::comment(comment)).await
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
        let start = after.map(|comment| primary_key(key::post(post), key::comment(comment)));
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :post AND begins_with(SK, :comments)")
            .expression_attribute_values(":post", s(key::post(post)))
            .expression_attribute_values(":comments", s(key::COMMENT_PREFIX))
            .scan_index_forward(order == CommentOrder::OldestFirst)
            .set_exclusive_start_key(start)
            .limit(limit)
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading comments"))?;
        let more = answer.last_evaluated_key.is_some();
        let items = answer.items.unwrap_or_default().into_iter();
        Ok(CommentPage { comments: items.map(|item| value("a comment", item)).collect::<Result<_, _>>()?, more })
    }
}
