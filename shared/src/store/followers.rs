//! The followers of a user. A follow is stored on both sides, and the side of the followed user is found here: in one
//! partition, as long as few follow the user at a time, and otherwise in several ([`super::spread`]).

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;

use super::{
    command_table::CommandTable,
    consistency::Consistency,
    dynamo::{Item, failed, primary_key, s, text},
    edges::UserPage,
    key::{self, SK},
    spread::{ItemPage, SPREAD, merged},
};
use crate::{
    error::Error,
    model::{EdgeKey, EdgeKind, PartitionShard, TallySubject, UserId},
};

/// Which follows are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Present,
    /// Ended ones, too.
    Ever,
}

/// Followers in the order of their keys, each with the partition in which the follow stands.
#[derive(Default)]
struct Followers {
    users: Vec<(UserId, PartitionShard)>,
    /// The follower behind whom the next page begins, if there may be one.
    next: Option<UserId>,
    is_spread: bool,
}

impl CommandTable {
    /// The followers of `followee`, from the one behind `after`: at most `limit`, and often fewer, even none, although
    /// there are more. Of a user who is not spread, at most `limit` follows are read, ended ones included, or two.
    pub async fn followers(&self, followee: &UserId, after: Option<&UserId>, limit: i32) -> Result<UserPage, Error> {
        let Followers { users, next, .. } = self.follower_page(followee, Which::Present, after, limit).await?;
        Ok(UserPage { users: users.into_iter().map(|(user, _)| user).collect(), next })
    }

    /// Present and ended follows of this user behind that of `after`, in the order of the followers' keys. At most
    /// `limit`, and none only if there are no more.
    pub async fn follows_ever(
        &self,
        followee: &UserId,
        after: Option<&UserId>,
        limit: i32,
    ) -> Result<Vec<(EdgeKey, PartitionShard)>, Error> {
        let Followers { users, .. } = self.follower_page(followee, Which::Ever, after, limit).await?;
        let follow = |(follower, shard): (UserId, _)| (EdgeKey::new(&follower, EdgeKind::Follows, followee), shard);
        Ok(users.into_iter().map(follow).collect())
    }

    async fn follower_page(
        &self,
        followee: &UserId,
        which: Which,
        after: Option<&UserId>,
        limit: i32,
    ) -> Result<Followers, Error> {
        let first = self.followers_in(followee, PartitionShard::default(), which, after, limit);
        // A first page begins with the mark.
        let is_spread = async {
            match after {
                Some(_) => self.is_spread(&TallySubject::User(followee.clone()), Consistency::Strong).await,
                None => Ok(false),
            }
        };
        let (first, is_spread) = tokio::try_join!(first, is_spread)?;
        if !is_spread && !first.is_spread {
            return Ok(one_page(vec![first], limit));
        }
        let share = limit / i32::from(PartitionShard::COUNT) + 1;
        let others = PartitionShard::others().map(|shard| self.followers_in(followee, shard, which, after, share));
        let mut pages = try_join_all(others).await?;
        pages.push(first);
        Ok(one_page(pages, limit))
    }

    /// At most `limit` follows of one partition, or two: a page with nothing but the mark would not say where to go on.
    async fn followers_in(
        &self,
        followee: &UserId,
        shard: PartitionShard,
        which: Which,
        after: Option<&UserId>,
        limit: i32,
    ) -> Result<Followers, Error> {
        let partition = key::followers(followee, shard);
        let mut query = self
            .dynamo
            .0
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :followers")
            .expression_attribute_values(":followers", s(&partition))
            .projection_expression("SK")
            .set_exclusive_start_key(after.map(|user| primary_key(&partition, key::user(user))))
            .limit(limit.max(2))
            .consistent_read(true);
        if which == Which::Present {
            query = query
                .filter_expression("#active = :true")
                .expression_attribute_names("#active", "active")
                .expression_attribute_values(":true", AttributeValue::Bool(true));
        }
        let answer = query.send().await.map_err(failed("reading followers"))?;
        let user = |item: &Item| {
            let key = text(item, SK)?;
            key::parse_user(key, key::USER_PREFIX).ok_or_else(|| Error::poison("the key of a follower", key))
        };
        let mut page = Followers { next: answer.last_evaluated_key().map(user).transpose()?, ..Followers::default() };
        for item in answer.items() {
            if text(item, SK)? == SPREAD {
                page.is_spread = true;
            } else {
                page.users.push((user(item)?, shard));
            }
        }
        Ok(page)
    }
}

/// One page of the pages of several partitions, in the order of the followers' keys.
fn one_page(pages: Vec<Followers>, limit: i32) -> Followers {
    let place = |user: &UserId| (key::user(user), user.clone());
    let page = |page: Followers| ItemPage { items: page.users, next: page.next.as_ref().map(place) };
    let limit = usize::try_from(limit).unwrap_or_default();
    let ItemPage { items, next } = merged(pages.into_iter().map(page), limit, |(user, _)| place(user));
    Followers { users: items, next: next.map(|(_, user)| user), is_spread: false }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        model::{Edge, EdgeState, TallyShard},
        samples::{NOW, user, version},
        store::transaction::Change,
        test_world::{Calls, World},
    };

    /// Follows of ada by these users, each in the partition for this shard of the counter.
    async fn follow(world: &World, state: EdgeState, follows: impl IntoIterator<Item = (usize, u8)>) {
        for (follower, shard) in follows {
            let key = EdgeKey::new(&user(&format!("f{follower:04}")), EdgeKind::Follows, &user("ada"));
            let edge = Edge { shard: PartitionShard::of_edge(TallyShard::new(shard)), ..Edge::new(state, version(1)) };
            let changes = [Change::PutEdge { key, edge, replaces: None }];
            world.tested.commands.mark_spread(&changes, NOW).await.unwrap();
            world.tested.commands.commit_unlogged(&changes).await.unwrap();
        }
    }

    /// All pages of this size.
    async fn pages(world: &World, limit: i32) -> Vec<UserPage> {
        let (mut pages, mut after) = (Vec::<UserPage>::new(), None);
        while pages.is_empty() || after.is_some() {
            assert!(pages.len() < 1000, "a walk without an end");
            pages.push(world.tested.commands.followers(&user("ada"), after.as_ref(), limit).await.unwrap());
            after = pages.last().unwrap().next.clone();
        }
        pages
    }

    #[tokio::test(start_paused = true)]
    async fn pages_of_spread_followers_are_in_order_and_complete() {
        let world = World::new();
        follow(&world, EdgeState::Active, (0..40).map(|number| (number, 0))).await;
        follow(&world, EdgeState::Active, (40..300).map(|number| (number, (number % 251) as u8))).await;
        follow(&world, EdgeState::Ended, (300..330).map(|number| (number, 16 + (number % 16) as u8))).await;
        let expected: Vec<_> = (0..300).map(|number| user(&format!("f{number:04}"))).collect();
        for limit in [1, 2, 7, 100, 1000] {
            let pages = pages(&world, limit).await;
            assert!(pages.iter().all(|page| i32::try_from(page.users.len()).unwrap() <= limit));
            let found: Vec<_> = pages.into_iter().flat_map(|page| page.users).collect();
            assert_eq!(found, expected, "in pages of {limit}");
        }
        let mut ever = BTreeSet::new();
        loop {
            let after = ever.last().map(|(_, follower): &(String, UserId)| follower.clone());
            let page = world.tested.commands.follows_ever(&user("ada"), after.as_ref(), 50).await.unwrap();
            if page.is_empty() {
                break;
            }
            ever.extend(page.into_iter().map(|(follow, _)| (key::user(&follow.from), follow.from)));
        }
        assert_eq!(ever.len(), 330);
    }

    #[tokio::test(start_paused = true)]
    async fn followers_in_one_partition_are_one_read_a_page() {
        let world = World::new();
        follow(&world, EdgeState::Active, (0..5).map(|number| (number, 15))).await;
        let page = world.tested.commands.followers(&user("ada"), None, 10).await.unwrap();
        assert_eq!((page.users.len(), page.next), (5, None));
        assert_eq!(world.network.count(Calls("Query", "FOLLOWERS#ada")), 1);
        assert_eq!(world.network.count(Calls("TransactWriteItems", "SPREAD")), 0, "nobody is marked");
        follow(&world, EdgeState::Active, (5..30).map(|number| (number, 16 + number as u8))).await;
        assert_eq!(world.network.count(Calls("TransactWriteItems", "SPREAD")), 1, "once in a while");
        assert_eq!(world.tested.commands.followers(&user("ada"), None, 100).await.unwrap().users.len(), 30);
        assert_eq!(world.network.count(Calls("Query", "FOLLOWERS#ada")), 1 + 16);
    }
}
