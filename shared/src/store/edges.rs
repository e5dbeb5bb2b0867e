//! Edges between users in the command table: who follows, mutes and blocks whom.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use aws_sdk_dynamodb::types::{AttributeValue, Select};

use super::{
    command_table::{CommandTable, PROFILE},
    consistency::Consistency,
    dynamo::{Item, failed, primary_key, s, text, value},
    key::{self, PK, SK},
};
use crate::{
    error::Error,
    model::{Edge, EdgeKey, EdgeKind, Profile, Timestamp, UserId},
};

/// Blocks of a busy author that a process remembers at most. Of an author with more of them, each is read when it is
/// asked for.
const REMEMBERED_BLOCKS_MAX: i32 = 100;

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
        edges_of(keys, self.dynamo.batch_get(&self.table, primary_keys(keys), consistency).await?)
    }

    /// The profile of a user, and edges, in one consistent read.
    ///
    /// # Errors
    /// [`Error::Throttled`] as soon as DynamoDB refuses a part of it; otherwise as DynamoDB's.
    pub(crate) async fn profile_and_edges(
        &self,
        user: &UserId,
        keys: &[EdgeKey],
    ) -> Result<(Option<Profile>, Edges), Error> {
        let mut items = primary_keys(keys);
        items.push(primary_key(key::user(user), PROFILE));
        let mut found = self.dynamo.batch_get_without_retry(&self.table, items).await?;
        let profile = found.iter().position(|item| text(item, SK).is_ok_and(|key| key == PROFILE));
        let profile = profile.map(|at| value("a profile", found.swap_remove(at))).transpose()?;
        Ok((profile, edges_of(keys, found)?))
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
                let (kind, most) = (EdgeKind::Blocks, REMEMBERED_BLOCKS_MAX);
                let page = self.list(author, kind, None, most, Consistency::Eventual).await?;
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
        self.list(from, kind, after, limit, Consistency::Strong).await
    }

    async fn list(
        &self,
        from: &UserId,
        kind: EdgeKind,
        after: Option<&UserId>,
        limit: i32,
        consistency: Consistency,
    ) -> Result<UserPage, Error> {
        let (partition, prefix) = (key::user(from), key::edge_prefix(kind));
        let start = after.map(|user| near_side(&EdgeKey::new(from, kind, user)));
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
            .consistent_read(consistency.is_strong())
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

/// The edges with these keys among the items, which are all edges.
fn edges_of(keys: &[EdgeKey], items: Vec<Item>) -> Result<Edges, Error> {
    let by_key: HashMap<_, _> = keys.iter().map(|key| (near_side(key), key)).collect();
    let edge = |item: Item| {
        let key = (text(&item, PK)?.to_owned(), text(&item, SK)?.to_owned());
        let key = by_key.get(&key).ok_or_else(|| Error::poison("an edge", "nobody asked for it"))?;
        Ok(((*key).clone(), value("an edge", item)?))
    };
    items.into_iter().map(edge).collect()
}

/// The primary keys of the edges, each once. Those between a user and the same user may be there twice.
fn primary_keys(keys: &[EdgeKey]) -> Vec<Item> {
    let keys: BTreeSet<_> = keys.iter().map(near_side).collect();
    keys.into_iter().map(|(pk, sk)| primary_key(pk, sk)).collect()
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

    #[tokio::test(start_paused = true)]
    async fn each_block_of_an_author_with_many_is_read() {
        let world = World::new();
        let names: Vec<_> = (0..=super::REMEMBERED_BLOCKS_MAX).map(|number| format!("f{number:03}")).collect();
        world.other.join(&["ada", "bob"]).await;
        world.other.join(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        for name in &names {
            world.other.block("ada", name).await;
        }
        let commands = &world.tested.commands;
        for name in &names {
            assert!(commands.blocked_lately(&user("ada"), &user(name), NOW).await.unwrap(), "{name}");
        }
        assert!(!commands.blocked_lately(&user("ada"), &user("bob"), NOW).await.unwrap());
        assert_eq!(world.network.count(Calls("Query", "BLOCKS#")), 1);
    }
}
