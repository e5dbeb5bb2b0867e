//! Edges between users in the command table: who follows, mutes and blocks whom.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_dynamodb::types::{AttributeValue, Select};

use super::{
    command_table::CommandTable,
    consistency::Consistency,
    dynamo::{Item, failed, primary_key, s, text, value},
    key::{self, PK, SK},
};
use crate::{
    error::Error,
    model::{Edge, EdgeKey, EdgeKind, Timestamp, UserId},
};

/// Blocks of a busy author that a process remembers at most. Of an author with more of them, each is read when it is
/// asked for.
const REMEMBERED_BLOCKS_MAX: i32 = 500;

/// The edges that were found, present and ended ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edges(HashMap<EdgeKey, Edge>);

/// Users in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserPage {
    /// The users.
    pub users: Vec<UserId>,
    /// The user behind whom the next page begins, if there may be one.
    pub next: Option<UserId>,
}

impl Edges {
    /// The edge, if it ever existed.
    pub fn get(&self, key: &EdgeKey) -> Option<Edge> {
        self.0.get(key).copied()
    }

    /// Whether the edge exists at present.
    pub fn active(&self, from: &UserId, kind: EdgeKind, to: &UserId) -> bool {
        self.get(&EdgeKey::new(from, kind, to)).is_some_and(|edge| edge.active)
    }

    /// Whether one of the two blocks the other.
    pub fn block_between(&self, a: &UserId, b: &UserId) -> bool {
        self.active(a, EdgeKind::Blocks, b) || self.active(b, EdgeKind::Blocks, a)
    }
}

impl FromIterator<(EdgeKey, Edge)> for Edges {
    fn from_iter<T: IntoIterator<Item = (EdgeKey, Edge)>>(edges: T) -> Self {
        Self(edges.into_iter().collect())
    }
}

impl CommandTable {
    /// Edges by their keys, in one consistent read.
    pub async fn edges(&self, keys: &[EdgeKey]) -> Result<Edges, Error> {
        self.read_edges(keys, Consistency::Strong).await
    }

    /// Whether one of the two users blocks the other, as it is or was a moment ago.
    pub(crate) async fn block_between(&self, a: &UserId, b: &UserId) -> Result<bool, Error> {
        Ok(self.read_edges(&EdgeKey::blocks(a, b), Consistency::Eventual).await?.block_between(a, b))
    }

    async fn read_edges(&self, keys: &[EdgeKey], consistency: Consistency) -> Result<Edges, Error> {
        let by_key: HashMap<_, _> = keys.iter().map(|key| (near_side(key), key)).collect();
        let items = by_key.keys().map(|(pk, sk)| primary_key(pk, sk));
        let found = self.dynamo.batch_get(&self.table, items.collect(), consistency).await?;
        let edge = |item: Item| {
            let key = (text(&item, PK)?.to_owned(), text(&item, SK)?.to_owned());
            let key = by_key.get(&key).ok_or_else(|| Error::poison("an edge", "nobody asked for it"))?;
            Ok(((*key).clone(), value("an edge", item)?))
        };
        found.into_iter().map(edge).collect()
    }

    /// Whether one of the two users blocks the other, for authors whom very many users ask about at once. Whom the
    /// author blocks is what this process has read of it up to two seconds ago.
    pub(crate) async fn block_with_busy(&self, user: &UserId, author: &UserId, now: Timestamp) -> Result<bool, Error> {
        let own = [EdgeKey::new(user, EdgeKind::Blocks, author)];
        Ok(self.blocked_lately(author, user, now).await?
            || self.read_edges(&own, Consistency::Eventual).await?.block_between(user, author))
    }

    /// Whether an author blocks this user. Whom the author blocks is what this process has read of it up to two seconds
    /// ago. Of an author who blocks very many users, each block is read.
    pub(crate) async fn blocked_lately(&self, author: &UserId, user: &UserId, now: Timestamp) -> Result<bool, Error> {
        let blocked = match self.busy.blocked(author, now) {
            Some(known) => known,
            None => {
                let page = self.edges_from(author, EdgeKind::Blocks, None, REMEMBERED_BLOCKS_MAX).await?;
                let blocked = page.next.is_none().then(|| Arc::new(page.users.into_iter().collect()));
                self.busy.know_blocked(author, blocked.clone(), now);
                blocked
            }
        };
        match blocked {
            Some(blocked) => Ok(blocked.contains(user)),
            None => {
                let key = EdgeKey::new(author, EdgeKind::Blocks, user);
                Ok(self.read_edges(&[key], Consistency::Eventual).await?.block_between(user, author))
            }
        }
    }

    /// The users to whom edges of this kind go from `from`, from the one behind `after`. At most `limit` edges are
    /// read, ended ones included, so a page may be empty although there are more.
    pub async fn edges_from(
        &self,
        from: &UserId,
        kind: EdgeKind,
        after: Option<&UserId>,
        limit: i32,
    ) -> Result<UserPage, Error> {
        let start = after.map(|user| near_side(&EdgeKey::new(from, kind, user)));
        self.list(key::user(from), key::edge_prefix(kind), start, limit).await
    }

    async fn list(
        &self,
        partition: String,
        prefix: &'static str,
        start: Option<(String, String)>,
        limit: i32,
    ) -> Result<UserPage, Error> {
        let start = start.map(|(pk, sk)| primary_key(pk, sk));
        let answer = self
            .dynamo
            .0
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :partition AND begins_with(SK, :prefix)")
            .filter_expression("#active = :true")
            .expression_attribute_names("#active", "active")
            .expression_attribute_values(":partition", s(partition))
            .expression_attribute_values(":prefix", s(prefix))
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .select(Select::SpecificAttributes)
            .projection_expression("SK")
            .set_exclusive_start_key(start)
            .limit(limit)
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("reading edges"))?;
        let user = |item: &Item| {
            let key = text(item, SK)?;
            key::parse_user(key, prefix).ok_or_else(|| Error::poison("the key of an edge", key))
        };
        Ok(UserPage {
            users: answer.items().iter().map(user).collect::<Result<_, _>>()?,
            next: answer.last_evaluated_key().map(user).transpose()?,
        })
    }
}

/// Key of the edge in the partition of the user that it goes from.
pub(super) fn near_side(key: &EdgeKey) -> (String, String) {
    (key::user(&key.from), key::edge(key.kind, &key.to))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        samples::{NOW, user},
        test_world::{Calls, World},
    };

    #[tokio::test(start_paused = true)]
    async fn blocks_of_a_busy_author_are_read_once_and_the_own_blocks_always() {
        let world = World::new();
        world.other.join(&["ada", "bob", "cem"]).await;
        world.other.block("ada", "bob").await;
        let commands = &world.tested.commands;
        let is_blocked = async |id: &str, at| commands.block_with_busy(&user(id), &user("ada"), at).await.unwrap();
        assert_eq!((is_blocked("bob", NOW).await, is_blocked("cem", NOW).await), (true, false));
        assert_eq!(world.network.count(Calls("Query", "BLOCKS#")), 1);
        world.other.block("ada", "cem").await;
        assert!(!is_blocked("cem", NOW).await, "up to two seconds ago");
        assert!(is_blocked("cem", NOW.after(Duration::from_secs(2))).await);
        world.other.join(&["dan"]).await;
        world.other.block("dan", "ada").await;
        assert!(is_blocked("dan", NOW.after(Duration::from_secs(2))).await);
    }
}
