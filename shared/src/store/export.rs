//! All items of a user in the command table, as they are stored: for the export of an account.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    command_table::{CommandTable, POST},
    comments::comment_keys,
    consistency::Consistency,
    dynamo::{Item, failed, primary_key, s, text, value},
    key::{self, PK, SK},
};
use crate::{
    error::Error,
    model::{CommentId, PostId, UserId},
};

/// An item of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredItem {
    /// The sort key.
    pub key: String,
    /// The attributes beside the key.
    pub attributes: Map<String, Value>,
}

/// What an event of a log made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Made {
    /// A post.
    Post(PostId),
    /// A comment on a post.
    Comment(PostId, CommentId),
}

impl CommandTable {
    /// At most `limit` items in the user's partition behind the one with this sort key, in the order of their keys.
    /// Returns the sort key to go on behind, if there may be more.
    pub async fn items_of(
        &self,
        user: &UserId,
        after: Option<String>,
        limit: i32,
    ) -> Result<(Vec<StoredItem>, Option<String>), Error> {
        let partition = key::user(user);
        let start = after.map(|sk| primary_key(&partition, sk));
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :user")
            .expression_attribute_values(":user", s(&partition))
            .set_exclusive_start_key(start)
            .limit(limit)
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("exporting an account"))?;
        let next = answer.last_evaluated_key().map(|key| text(key, SK).map(str::to_owned)).transpose()?;
        let items = answer.items.unwrap_or_default().into_iter().map(stored).collect::<Result<_, _>>()?;
        Ok((items, next))
    }

    /// Those of these posts and comments that exist, as they are stored.
    pub async fn made(&self, made: &[Made]) -> Result<HashMap<Made, Map<String, Value>>, Error> {
        let keys = |made: &Made| match *made {
            Made::Post(post) => vec![(key::post(post), POST.to_owned())],
            Made::Comment(post, comment) => comment_keys(post, comment),
        };
        let by_key: HashMap<_, _> =
            made.iter().flat_map(|made| keys(made).into_iter().map(|key| (key, *made))).collect();
        let keys = by_key.keys().map(|(pk, sk)| primary_key(pk, sk)).collect();
        let mut found = HashMap::new();
        for item in self.dynamo.batch_get(&self.table, keys, Consistency::Strong).await? {
            let key = (text(&item, PK)?.to_owned(), text(&item, SK)?.to_owned());
            if let Some(made) = by_key.get(&key) {
                found.insert(*made, stored(item)?.attributes);
            }
        }
        Ok(found)
    }
}

fn stored(item: Item) -> Result<StoredItem, Error> {
    let key = text(&item, SK)?.to_owned();
    let mut attributes: Map<String, Value> = value("an item to export", item)?;
    attributes.retain(|name, _| name != PK && name != SK);
    Ok(StoredItem { key, attributes })
}
