//! Likes in the command table.

use std::collections::HashSet;

use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::AttributeValue};
use serde::{Deserialize, Serialize};

use super::{
    command_table::{CommandTable, POST},
    consistency::Consistency,
    dynamo::{Item, failed, primary_key, s, text, value},
    key::{self, PK, SK},
};
use crate::{
    error::Error,
    model::{EdgeState, Like, LikeChange, Post, PostId, ReactedPost, SpentUntil, UserId},
};

/// Likes that one query reads at most. An item has some 150 bytes, so these are 75 kB: 19 units if consistent.
const LIKES_PER_QUERY: i32 = 500;

/// What a like is decided on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reaction {
    /// The post.
    pub post: Option<ReactedPost>,
    /// The user's like of it, which may have ended.
    pub like: Option<Like>,
    /// The state of the user's limit for likes.
    pub limit: Option<LikeLimit>,
    /// Whether DynamoDB has refused to read some of this at first.
    pub was_throttled: bool,
}

/// Posts that a user likes, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LikedPage {
    /// The posts with their authors.
    pub posts: Vec<(PostId, UserId)>,
    /// The post to go on below, if there may be more.
    pub next: Option<PostId>,
}

/// The state of a user's limit for likes. Likes are in no log, whose newest event could carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LikeLimit {
    /// The state.
    pub spent: SpentUntil,
    /// 1 at first, and one more with each change.
    pub version: u64,
}

impl CommandTable {
    /// A post, the user's like of it and, if a like is wanted, the state of the user's limit, in one read. The post is
    /// not read if its author is `known`, because it was there a moment ago.
    pub async fn reaction(
        &self,
        user: &UserId,
        post: PostId,
        wanted: EdgeState,
        known: Option<UserId>,
        consistency: Consistency,
    ) -> Result<Reaction, Error> {
        let mut keys = vec![primary_key(key::user(user), key::likes(post))];
        keys.extend(known.is_none().then(|| primary_key(key::post(post), POST)));
        keys.extend(wanted.is_active().then(|| primary_key(key::user(user), key::LIKE_LIMIT)));
        let post = known.map(|author| ReactedPost { post, author, hidden: None });
        let (items, was_throttled) = self.dynamo.batch_get_noticing(&self.table, keys, consistency).await?;
        let mut reaction = Reaction { post, was_throttled, ..Reaction::default() };
        for item in items {
            match text(&item, SK)? {
                POST => reaction.post = Some(ReactedPost::from(&value::<Post>("a post", item)?)),
                key::LIKE_LIMIT => reaction.limit = Some(value("a limit", item)?),
                _ => reaction.like = Some(value("a like", item)?),
            }
        }
        Ok(reaction)
    }

    /// Which of the posts the user likes; other posts may be among the answer.
    ///
    /// One query reads the likes of all posts between the oldest and the newest of these. If the user likes very many
    /// posts in between, the query ends early, and the likes of the remaining posts are read by their keys.
    pub async fn liked(
        &self,
        user: &UserId,
        posts: &[PostId],
        consistency: Consistency,
    ) -> Result<HashSet<PostId>, Error> {
        let (Some(&oldest), Some(&newest)) = (posts.iter().min(), posts.iter().max()) else {
            return Ok(HashSet::new());
        };
        let query = self.likes_query(user, &key::likes(oldest), &key::likes(newest)).limit(LIKES_PER_QUERY);
        let query = query.projection_expression(SK).consistent_read(consistency.is_strong());
        let answer = query.send().await.map_err(failed("reading likes"))?;
        let mut liked = answer.items().iter().map(liked_post).collect::<Result<HashSet<_>, Error>>()?;
        if let Some(end) = answer.last_evaluated_key() {
            let end = liked_post(end)?;
            let keys = posts.iter().filter(|post| **post > end);
            let keys = keys.map(|post| primary_key(key::user(user), key::likes(*post))).collect();
            for item in self.dynamo.batch_get(&self.table, keys, consistency).await? {
                if matches!(item.get("liked"), Some(AttributeValue::Bool(true))) {
                    liked.insert(liked_post(&item)?);
                }
            }
        }
        Ok(liked)
    }

    /// The authors of the newest posts that the user likes. At most `limit` likes are read, ended ones included.
    pub async fn recently_liked_authors(
        &self,
        user: &UserId,
        limit: i32,
        consistency: Consistency,
    ) -> Result<Vec<UserId>, Error> {
        #[derive(Deserialize)]
        struct Liked {
            author: UserId,
        }
        let [first, last] = key::all_likes();
        let answer = self
            .likes_query(user, &first, &last)
            .scan_index_forward(false)
            .limit(limit)
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading likes"))?;
        let author = |item| value("a like", item).map(|liked: Liked| liked.author);
        answer.items.unwrap_or_default().into_iter().map(author).collect()
    }

    /// The posts that the user likes, older than `before`, newest post first. At most `limit` likes are read, ended
    /// ones included.
    pub async fn liked_before(
        &self,
        user: &UserId,
        before: Option<PostId>,
        limit: i32,
        consistency: Consistency,
    ) -> Result<LikedPage, Error> {
        let [first, last] = key::all_likes();
        let answer = self
            .likes_query(user, &first, &last)
            .set_exclusive_start_key(before.map(|before| primary_key(key::user(user), key::likes(before))))
            .scan_index_forward(false)
            .limit(limit)
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading likes"))?;
        let next = answer.last_evaluated_key().map(liked_post).transpose()?;
        let liked = |item: Item| Ok((liked_post(&item)?, value("a like", item).map(|Like { author, .. }| author)?));
        let posts = answer.items.unwrap_or_default().into_iter().map(liked).collect::<Result<_, Error>>()?;
        Ok(LikedPage { posts, next })
    }

    /// A user's like of a post, which may have ended.
    pub async fn like(&self, user: &UserId, post: PostId) -> Result<Option<Like>, Error> {
        self.get("a like", key::user(user), key::likes(post)).await
    }

    /// The likes of a post by these users, as they stand, in no order. Those that have ended are among them, and those
    /// of deleted accounts are not: they are on their way out.
    pub async fn likes_as_they_stand(&self, post: PostId, users: &[UserId]) -> Result<Vec<LikeChange>, Error> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let keys = users.iter().map(|user| primary_key(key::user(user), key::likes(post))).collect();
        let items = self.dynamo.batch_get(&self.table, keys, Consistency::Strong);
        let (items, there) = tokio::try_join!(items, self.with_profile(users))?;
        let like = |item: Item| {
            let (user, post) = key::parse_like_key(text(&item, PK)?, text(&item, SK)?)
                .ok_or_else(|| Error::poison("the key of a like", "it is none"))?;
            Ok(LikeChange::of(user, post, value("a like", item)?))
        };
        let mut likes = items.into_iter().map(like).collect::<Result<Vec<_>, Error>>()?;
        likes.retain(|like| there.contains(&like.user));
        Ok(likes)
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
}

/// The post of the like with this key.
fn liked_post(item: &Item) -> Result<PostId, Error> {
    let key = text(item, SK)?;
    key::parse_likes(key).ok_or_else(|| Error::poison("the key of a like", key))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        samples::{NOW, user},
        test_world::{Calls, World},
    };

    /// A like that ada gave, or took back, of the post of this second.
    fn like(post: PostId, liked: bool) -> Value {
        json!({
            "PK": {"S": "USER#ada"}, "SK": {"S": format!("LIKES#{post}")}, "liked": {"BOOL": liked},
            "author": {"S": "bob"}, "heat": {"N": "0"}, "version": {"N": "1"},
        })
    }

    #[tokio::test(start_paused = true)]
    async fn likes_of_a_page_are_found_with_two_calls_however_many_likes_lie_between_its_posts() {
        let world = World::new();
        let posts: Vec<_> = (0..1300).map(|second| PostId::new(NOW.after(Duration::from_secs(second)))).collect();
        let likes: Vec<_> = posts.iter().enumerate().map(|(at, post)| like(*post, at % 3 != 0)).collect();
        world.put("commands", &likes);
        let page: Vec<_> = posts.iter().copied().step_by(100).collect();

        let liked = world.tested.commands.liked(&user("ada"), &page, Consistency::Eventual).await.unwrap();

        let expected: Vec<_> = (0..13).filter(|at| at % 3 != 0).map(|at| page[at]).collect();
        assert_eq!(page.iter().copied().filter(|post| liked.contains(post)).collect::<Vec<_>>(), expected);
        assert_eq!(["Query", "BatchGetItem"].map(|call| world.network.count(Calls(call, ""))), [1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_posts_need_no_call() {
        let world = World::new();
        let liked = world.tested.commands.liked(&user("ada"), &[], Consistency::Strong).await.unwrap();
        assert_eq!((liked.len(), world.network.count(Calls("Query", ""))), (0, 0));
    }
}
