//! Who likes a post, in the order in which they first did: rows in the `timelines` table. The truth is the like in the
//! partition of the user. A row is kept when the like ends, marked as such, so that an older state that comes later
//! does not bring it back.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    consistency::Consistency,
    dynamo::{Item, failed, n, newer_wins, primary_key, s, text},
    key::{self, PK, SK},
    timelines::Timelines,
};
use crate::{
    error::Error,
    model::{LikeChange, PostId, Timestamp, UserId},
};

/// A user who likes a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Liker {
    /// When the user first liked it.
    pub at: Timestamp,
    /// The user.
    pub user: UserId,
}

impl Timelines {
    /// Shows a like, or its end, unless the row has a newer version. That is success, too.
    pub async fn put_liker(&self, change: &LikeChange) -> Result<(), Error> {
        self.dynamo
            .0
            .update_item()
            .table_name(&self.table)
            .key(PK, s(key::likers(change.post)))
            .key(SK, s(key::liker(change.liked_at(), &change.user)))
            .update_expression("SET liked = :liked, version = :version")
            .condition_expression("attribute_not_exists(version) OR version <= :version")
            .expression_attribute_values(":liked", AttributeValue::Bool(change.liked))
            .expression_attribute_values(":version", n(change.like_version))
            .send()
            .await
            .map(|_| ())
            .or_else(newer_wins("writing who likes a post"))
    }

    /// Those who like the post, behind `after`, those who liked it last first. At most `limit` rows are read, those of
    /// ended likes included. Returns the place to go on behind, if there may be more.
    pub async fn likers(
        &self,
        post: PostId,
        after: Option<&Liker>,
        limit: i32,
        consistency: Consistency,
    ) -> Result<(Vec<Liker>, Option<Liker>), Error> {
        let pk = key::likers(post);
        let start = after.map(|after| primary_key(&pk, key::liker(after.at, &after.user)));
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :post")
            .filter_expression("liked = :true")
            .expression_attribute_values(":post", s(&pk))
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .set_exclusive_start_key(start)
            .scan_index_forward(false)
            .limit(limit)
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(failed("reading who likes a post"))?;
        let likers = answer.items().iter().map(liker).collect::<Result<_, _>>()?;
        Ok((likers, answer.last_evaluated_key().map(liker).transpose()?))
    }
}

fn liker(item: &Item) -> Result<Liker, Error> {
    let key = text(item, SK)?;
    let (at, user) = key::parse_liker(key).ok_or_else(|| Error::poison("the key of a liker", key))?;
    Ok(Liker { at, user })
}
