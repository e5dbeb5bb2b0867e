//! Notices of which very many come at once: likes of a post, and follows of a user. They stand in one partition, as
//! long as few come at a time, and otherwise in several ([`super::spread`]): the command says where each of them does.
//! A mark in the first partition of their group says so.

use std::cmp::Reverse;

use futures::future::try_join_all;

use super::{
    consistency::Consistency,
    dynamo::{failed, n, s},
    key::{self, GROUP_MARK, PK, SK},
    notices::{NoticeAt, NoticePage, PartitionPage},
    spread::{ItemPage, merged},
    timelines::Timelines,
};
use crate::{
    error::Error,
    model::{Group, Notice, PartitionShard, PostId, Timestamp, UserId, limits::NOTIFICATIONS_KEPT},
};

/// Notices that a page reads of each partition but the first, beyond its share of the limit. Some partitions have more
/// of the newest than others, and the page ends where the first of them does.
const BEYOND_SHARE: i32 = 6;

impl Timelines {
    /// Marks a group some of whose notices do not stand in the first partition. A process that has just done so does
    /// nothing. The mark of follows of a day expires after all of them.
    ///
    /// # Errors
    /// As the store's.
    pub(crate) async fn mark_group(&self, recipient: &UserId, group: Group, now: Timestamp) -> Result<(), Error> {
        let (pk, sk) = mark_of(recipient, group);
        let key = (pk.clone(), sk.clone());
        if self.marked_groups.get(&key, now, None).is_some() {
            return Ok(());
        }
        let mut mark = self.dynamo.0.update_item().table_name(self.table.get()).key(PK, s(pk)).key(SK, s(sk));
        if let Group::Follow(day) = group {
            let expires_at = day.end().after(NOTIFICATIONS_KEPT).as_secs();
            mark = mark.update_expression("SET expires_at = :expires_at");
            mark = mark.expression_attribute_values(":expires_at", n(expires_at));
        }
        mark.send().await.map_err(failed("marking a group of notices"))?;
        self.marked_groups.put(key, (), now);
        Ok(())
    }

    /// Whether the group is marked.
    pub(crate) async fn is_group_marked(
        &self,
        recipient: &UserId,
        group: Group,
        consistency: Consistency,
    ) -> Result<bool, Error> {
        self.has_mark(mark_of(recipient, group), consistency).await
    }

    async fn has_mark(&self, (pk, sk): (String, String), consistency: Consistency) -> Result<bool, Error> {
        let get = self.dynamo.0.get_item().table_name(self.table.get()).key(PK, s(pk)).key(SK, s(sk));
        let answer = get.consistent_read(consistency.is_strong()).send().await.map_err(failed("reading a mark"))?;
        Ok(answer.item.is_some())
    }

    /// At most `limit` notices of a group that may be spread, newest first, behind `after`: as [`Timelines::notices`].
    pub(super) async fn spread_notices(
        &self,
        recipient: &UserId,
        group: Group,
        after: Option<&NoticeAt>,
        limit: i32,
        consistency: Consistency,
    ) -> Result<NoticePage, Error> {
        let read = async |shard: PartitionShard, after: Option<&NoticeAt>, limit: i32| {
            // With room for the mark, which would be all of a page of one notice.
            let limit = limit.saturating_add(i32::from(after.is_none() && shard.is_first()));
            self.notices_in(key::notices(recipient, group, shard), shard, after, limit, consistency).await
        };
        let is_marked = async {
            match after {
                // The page begins with the mark.
                None => Ok(false),
                Some(_) => self.is_group_marked(recipient, group, consistency).await,
            }
        };
        let wanted = usize::try_from(limit).unwrap_or_default();
        let (first, is_marked) = tokio::try_join!(read(PartitionShard::default(), after, limit), is_marked)?;
        if !is_marked && !first.has_mark {
            return Ok(one_page([first], wanted));
        }
        let share = limit.min(limit / i32::from(PartitionShard::COUNT) + BEYOND_SHARE).max(1);
        let mut page = NoticePage { notices: Vec::new(), next: after.cloned() };
        let mut ahead = Some(first);
        // A round gives as many notices as its `share`, or more. Most pages take one.
        for _ in 0..=limit / share {
            let others = PartitionShard::others().map(|shard| read(shard, page.next.as_ref(), share));
            let first = async {
                match ahead.take() {
                    Some(first) => Ok(first),
                    None => read(PartitionShard::default(), page.next.as_ref(), limit).await,
                }
            };
            let (first, others) = tokio::try_join!(first, try_join_all(others))?;
            let more = one_page(std::iter::once(first).chain(others), wanted - page.notices.len());
            page.notices.extend(more.notices);
            page.next = more.next;
            if page.next.is_none() || page.notices.len() >= wanted {
                break;
            }
        }
        Ok(page)
    }

    /// Deletes the likes of a post that are shown, at most so many. Returns whether there may be more. The mark stays,
    /// so that likes which are shown late are found.
    pub async fn clear_likes(&self, post: PostId, limit: usize) -> Result<bool, Error> {
        let mark = (key::likers(post, PartitionShard::default()), GROUP_MARK.to_owned());
        let others = match self.has_mark(mark, Consistency::Strong).await? {
            true => PartitionShard::others().collect(),
            false => Vec::new(),
        };
        let shards = std::iter::once(PartitionShard::default()).chain(others);
        self.clear_partitions(shards.map(|shard| key::likers(post, shard)), limit).await
    }
}

/// The key of the mark of a group.
fn mark_of(recipient: &UserId, group: Group) -> (String, String) {
    let (pk, prefix) = key::notices(recipient, group, PartitionShard::default());
    (pk, format!("{prefix}{GROUP_MARK}"))
}

/// One page of the pages of several partitions.
fn one_page(pages: impl IntoIterator<Item = PartitionPage>, limit: usize) -> NoticePage {
    let page = |page: PartitionPage| ItemPage { items: page.notices, next: page.next.map(Reverse) };
    let place = |notice: &Notice| Reverse(NoticeAt { at: notice.at, id: notice.id.clone() });
    let ItemPage { items, next } = merged(pages.into_iter().map(page), limit, place);
    NoticePage { notices: items, next: next.map(|Reverse(next)| next) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::{Day, Group, TallyShard},
        samples::{NOW, user},
        test_world::{Calls, World},
    };

    /// The post that is liked.
    fn liked() -> PostId {
        PostId::lowest(NOW)
    }

    async fn like(world: &World, likes: impl IntoIterator<Item = (usize, u8)>) {
        notify(world, Group::Like(liked()), likes).await;
    }

    /// Notices, three in each millisecond, that were counted in these shards. Every tenth has ended before it stood.
    async fn notify(world: &World, group: Group, notices: impl IntoIterator<Item = (usize, u8)>) {
        for (number, counted_in) in notices {
            let id = format!("fan{number:04}");
            let (at, actor) = (NOW.after(Duration::from_millis(number as u64 / 3)), user(&id));
            let shard = PartitionShard::of_edge(TallyShard::new(counted_in));
            let notice = Notice { at, id, actor, active: number % 10 != 0, version: 1, shard };
            if !shard.is_first() {
                world.tested.timelines.mark_group(&user("ada"), group, world.tested.clock.now()).await.unwrap();
            }
            world.tested.timelines.put_notice(&user("ada"), group, &notice, false).await.unwrap();
        }
    }

    /// All pages of this size, one after the other.
    async fn walk(world: &World, group: Group, limit: i32) -> Vec<String> {
        let (mut found, mut after) = (Vec::new(), None::<NoticeAt>);
        for _ in 0..1000 {
            let timelines = &world.tested.timelines;
            let page = timelines.notices(&user("ada"), group, after.as_ref(), limit, Consistency::Strong).await;
            let NoticePage { notices, next } = page.unwrap();
            assert!(i32::try_from(notices.len()).unwrap() <= limit);
            found.extend(notices.into_iter().map(|notice| notice.id));
            after = next;
            if after.is_none() {
                return found;
            }
        }
        panic!("a walk without an end");
    }

    fn newest_first(count: usize) -> Vec<String> {
        (0..count).rev().filter(|number| number % 10 != 0).map(|number| format!("fan{number:04}")).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn pages_of_spread_notices_are_in_order_and_complete() {
        for group in [Group::Like(liked()), Group::Follow(Day::of(NOW))] {
            let world = World::new();
            notify(&world, group, (0..40).map(|number| (number, 0))).await;
            notify(&world, group, (40..300).map(|number| (number, (number * number % 251) as u8))).await;
            for limit in [1, 2, 7, 100, 1000] {
                assert_eq!(walk(&world, group, limit).await, newest_first(300), "{group:?} in pages of {limit}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn spread_follows_are_cleared_with_their_marks_and_with_all_else_that_tells_of_the_user() {
        let world = World::new();
        let (timelines, ada) = (&world.tested.timelines, user("ada"));
        for day in 0..3 {
            let group = Group::Follow(Day::of(NOW.after(Duration::from_secs(day * 86_400))));
            notify(&world, group, (0..60).map(|number| (number, number as u8 * 3))).await;
        }
        assert!(timelines.has_notices(&ada).await.unwrap());
        while timelines.clear_notices(&ada, 7).await.unwrap() {}
        assert!(!timelines.has_notices(&ada).await.unwrap());
        assert_eq!(world.keys("timelines", "NOTICES#"), Vec::<String>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_spread_follow_is_left_of_a_user() {
        let world = World::new();
        let group = Group::Follow(Day::of(NOW));
        notify(&world, group, [(1, 17)]).await;
        let key = world.keys("timelines", "NOTICES#ada#").pop().unwrap();
        assert_eq!(key, "NOTICES#ada#1");
        let first = key::inbox_partition(&user("ada"));
        world.tested.timelines.clear_partition(first, 10).await.unwrap();
        assert!(world.tested.timelines.has_notices(&user("ada")).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_page_is_full_wherever_the_newest_likes_stand() {
        let world = World::new();
        like(&world, (0..200).map(|number| (number, (16 + number % 16) as u8))).await;
        like(&world, (200..400).map(|number| (number, 17))).await;
        let timelines = &world.tested.timelines;
        let page = timelines.notices(&user("ada"), Group::Like(liked()), None, 100, Consistency::Strong).await.unwrap();
        assert!(
            (90..=100).contains(&page.notices.len()),
            "{} of 100, a tenth of which never stood",
            page.notices.len()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_of_a_post_that_was_crowded_once_reads_each_partition_once() {
        let world = World::new();
        like(&world, (0..200).map(|number| (number, (16 + number % 16) as u8))).await;
        // All of them stand.
        like(&world, (200..500).filter(|number| number % 10 != 0).map(|number| (number, 0))).await;
        for limit in [20, 100] {
            let before = world.network.count(Calls("Query", "LIKERS#"));
            let timelines = &world.tested.timelines;
            let page = timelines.notices(&user("ada"), Group::Like(liked()), None, limit, Consistency::Strong).await;
            assert!(page.unwrap().next.is_some());
            assert_eq!(world.network.count(Calls("Query", "LIKERS#")) - before, 16, "{limit}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn likes_in_one_partition_are_one_read_a_page() {
        let world = World::new();
        like(&world, (0..25).map(|number| (number, 15))).await;
        assert_eq!(walk(&world, Group::Like(liked()), 30).await, newest_first(25));
        let reads = || [Calls("Query", "LIKERS#"), Calls("GetItem", "LIKERS#")].map(|calls| world.network.count(calls));
        assert_eq!(reads(), [1, 0]);
        like(&world, (25..60).map(|number| (number, 16 + number as u8))).await;
        assert_eq!(world.network.count(Calls("UpdateItem", GROUP_MARK)), 1, "once in a while");
        assert_eq!(walk(&world, Group::Like(liked()), 60).await.len(), newest_first(60).len());
    }

    #[tokio::test(start_paused = true)]
    async fn likes_are_cleared_in_steps_from_all_partitions() {
        let world = World::new();
        like(&world, (0..100).map(|number| (number, number as u8))).await;
        let mut steps = 1;
        while world.tested.timelines.clear_likes(liked(), 30).await.unwrap() {
            steps += 1;
        }
        assert!((4..10).contains(&steps), "{steps}");
        assert_eq!(world.keys("timelines", "LIKERS#"), [key::likers(liked(), PartitionShard::default())], "the mark");
        like(&world, [(7, 20)]).await;
        while world.tested.timelines.clear_likes(liked(), 1).await.unwrap() {}
        assert_eq!(world.keys("timelines", "LIKERS#").len(), 1, "what came late is found");
    }
}
