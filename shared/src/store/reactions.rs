//! The command table's likes and comments, as they are read: for decisions consistently, for readers as they ask.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::AttributeValue};
use serde::Deserialize;

use super::{
    Consistency,
    command_table::{CommandTable, POST},
    dynamo::{Item, failed, s, text, value},
    key::{self, PK, SK},
};
use crate::{
    error::Error,
    model::{Comment, CommentId, Like, Post, PostId, UserId},
};

/// What a like is decided on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reaction {
    /// The post, deleted or not.
    pub post: Option<Post>,
    /// Whether the user likes it.
    pub like: Option<Like>,
}

/// In which order comments are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentOrder {
    /// As a conversation goes.
    OldestFirst,
    /// What is new.
    NewestFirst,
}

/// Comments of a post, deleted ones among them, and whether there may be more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommentPage {
    /// The comments.
    pub comments: Vec<Comment>,
    /// Whether there may be more after the last.
    pub more: bool,
}

impl CommandTable {
    /// What there is of a post and of the user's like of it, in one consistent read.
    pub async fn reaction(&self, user: &UserId, post: PostId) -> Result<Reaction, Error> {
        let keys = [(key::post(post), POST.to_owned()), (key::user(user), key::likes(post))];
        let keys = keys.map(|(pk, sk)| HashMap::from([(PK.to_owned(), s(pk)), (SK.to_owned(), s(sk))]));
        let mut reaction = Reaction::default();
        for item in self.dynamo.batch_get(&self.table, keys.into(), Consistency::Strong).await? {
            match text(&item, SK)? {
                POST => reaction.post = Some(value("a post", item)?),
                _ => reaction.like = Some(value("a like", item)?),
            }
        }
        Ok(reaction)
    }

    /// Those of the posts that exist, deleted or not, in one consistent read.
    pub async fn posts(&self, posts: &[PostId]) -> Result<Vec<Post>, Error> {
        if posts.is_empty() {
            return Ok(Vec::new());
        }
        let key = |post: &PostId| HashMap::from([(PK.to_owned(), s(key::post(*post))), (SK.to_owned(), s(POST))]);
        let items = self.dynamo.batch_get(&self.table, posts.iter().map(key).collect(), Consistency::Strong).await?;
        items.into_iter().map(|item| value("a post", item)).collect()
    }

    /// Which of the posts from `oldest` to `newest` the user likes. One query, unless these are many thousands.
    pub async fn liked(
        &self,
        user: &UserId,
        oldest: PostId,
        newest: PostId,
        consistency: Consistency,
    ) -> Result<HashSet<PostId>, Error> {
        let mut liked = HashSet::new();
        let mut start = None;
        loop {
            let query = self
                .likes_query(user, &key::likes(oldest), &key::likes(newest))
                .consistent_read(consistency.is_strong());
            let answer = query.set_exclusive_start_key(start).send().await.map_err(failed("reading likes"))?;
            for item in answer.items() {
                let key = text(item, SK)?;
                liked.insert(key::parse_likes(key).ok_or_else(|| Error::poison("a like", key))?);
            }
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(liked);
            }
        }
    }

    /// Who wrote the newest posts that the user likes; no more than `limit` posts are looked at.
    pub async fn recently_liked_authors(&self, user: &UserId, limit: i32) -> Result<Vec<UserId>, Error> {
        #[derive(Deserialize)]
        struct Liked {
            author: UserId,
        }
        let [first, last] = key::all_likes();
        let answer = self
            .likes_query(user, &first, &last)
            .scan_index_forward(false)
            .limit(limit)
            .send()
            .await
            .map_err(failed("reading likes"))?;
        let author = |item| value("a like", item).map(|liked: Liked| liked.author);
        answer.items.unwrap_or_default().into_iter().map(author).collect()
    }

    fn likes_query(&self, user: &UserId, first: &str, last: &str) -> QueryFluentBuilder {
        self.dynamo
            .0
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :user AND SK BETWEEN :first AND :last")
            .filter_expression("liked = :true")
            .expression_attribute_values(":user", s(key::user(user)))
            .expression_attribute_values(":first", s(first))
            .expression_attribute_values(":last", s(last))
            .expression_attribute_values(":true", AttributeValue::Bool(true))
    }

    /// A comment on a post, deleted or not.
    pub async fn comment(&self, post: PostId, comment: CommentId) -> Result<Option<Comment>, Error> {
        self.get("a comment", key::post(post), key::comment(comment)).await
    }

    /// At most `limit` comments on a post, those after `after` in the order.
    pub async fn comments(
        &self,
        post: PostId,
        order: CommentOrder,
        after: Option<CommentId>,
        limit: i32,
        consistency: Consistency,
    ) -> Result<CommentPage, Error> {
        let start = |comment| -> Item {
            HashMap::from([(PK.to_owned(), s(key::post(post))), (SK.to_owned(), s(key::comment(comment)))])
        };
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :post AND begins_with(SK, :comments)")
            .expression_attribute_values(":post", s(key::post(post)))
            .expression_attribute_values(":comments", s(key::COMMENT_PREFIX))
            .scan_index_forward(order == CommentOrder::OldestFirst)
            .set_exclusive_start_key(after.map(start))
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
