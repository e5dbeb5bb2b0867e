use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    command::react_to_post,
    deadline::Deadline,
    model::{DayNumbers, EdgeState, FactKind, Tag},
    samples::user,
    stream::work_queue::Task,
    test_world::{Calls, Failure, World},
};

use FactKind::{Active, Comment, Deletion, FollowerGained, FollowerLost, Joined, Like, Post as Posts};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The numbers that are not 0.
fn named(numbers: DayNumbers) -> Vec<(FactKind, i64)> {
    FactKind::ALL.into_iter().map(|kind| (kind, numbers.get(kind))).filter(|(_, number)| *number != 0).collect()
}

async fn of(world: &World, id: &str, day: Day) -> Vec<(FactKind, i64)> {
    let days = world.other.timelines.days_of(&user(id), [day]).await.unwrap();
    named(days.get(&day).copied().unwrap_or_default())
}

async fn site(world: &World, day: Day) -> Vec<(FactKind, i64)> {
    let days = world.other.timelines.days([day]).await.unwrap();
    named(days.get(&day).copied().unwrap_or_default())
}

fn today(world: &World) -> Day {
    Day::of(world.other.clock.now())
}

async fn like(world: &World, liker: &str, post: PostId, state: EdgeState) {
    let it = &world.other;
    react_to_post(&user(liker), post, state, &it.commands, &it.clock).await.unwrap();
}

/// Ada and bob; bob follows ada, likes her post, and comments on it. Everything is counted.
async fn counted(world: &World) -> PostId {
    let it = &world.other;
    it.join(&["ada", "bob"]).await;
    it.follow("bob", "ada").await;
    let post = it.post("ada", "hello #you").await;
    it.comment("bob", post, "nice").await;
    like(world, "bob", post, EdgeState::Active).await;
    it.catch_up(&["ada", "bob"]).await;
    it.repair(Task::SettleLikes { post, users: vec![user("bob")] }).await.unwrap();
    post
}

#[tokio::test(start_paused = true)]
async fn each_fact_counts_for_whom_it_concerns_and_for_the_sum() {
    let world = World::new();
    counted(&world).await;
    let day = today(&world);
    let ada = [(Posts, 1), (Like, 1), (Comment, 1), (FollowerGained, 1), (Joined, 1), (Active, 1)];
    assert_eq!(of(&world, "ada", day).await, ada);
    assert_eq!(of(&world, "bob", day).await, [(Joined, 1), (Active, 1)]);
    let sum = [(Posts, 1), (Like, 1), (Comment, 1), (FollowerGained, 1), (Joined, 2), (Active, 2)];
    assert_eq!(site(&world, day).await, sum);
    let tags: Vec<(Tag, i64)> = world.other.timelines.top_tags(day, 5).await.unwrap();
    assert_eq!(tags, [("you".parse().unwrap(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_applied_again_changes_nothing() {
    let world = World::new();
    let post = counted(&world).await;
    let before = world.items("timelines");
    for id in ["ada", "bob"] {
        world.other.repair(Task::Reapply { user: user(id), after: crate::model::Version::ZERO }).await.unwrap();
    }
    world.other.repair(Task::SettlePost { post }).await.unwrap();
    world.other.repair(Task::SettleLikes { post, users: vec![user("bob")] }).await.unwrap();
    let is_counted = |item: &&serde_json::Value| {
        let pk = item["PK"]["S"].as_str().unwrap();
        ["FACTS#", "DAYS#", "DAYTAGS#"].iter().any(|prefix| pk.starts_with(prefix))
    };
    let after = world.items("timelines");
    assert_eq!(
        before.iter().filter(is_counted).collect::<Vec<_>>(),
        after.iter().filter(is_counted).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn a_like_that_ends_and_begins_again_counts_once_on_its_first_day() {
    let world = World::new();
    let post = counted(&world).await;
    let first = today(&world);
    world.pass(DAY);
    like(&world, "bob", post, EdgeState::Ended).await;
    like(&world, "bob", post, EdgeState::Active).await;
    world.other.repair(Task::SettleLikes { post, users: vec![user("bob")] }).await.unwrap();
    assert_eq!(site(&world, today(&world)).await, []);
    assert!(of(&world, "ada", first).await.contains(&(Like, 1)));
}

#[tokio::test(start_paused = true)]
async fn an_event_counts_on_its_day_however_late_it_is_applied() {
    let world = World::new();
    counted(&world).await;
    world.other.unfollow("bob", "ada").await;
    let day = today(&world);
    world.pass(DAY * 2);
    world.other.catch_up(&["bob"]).await;
    assert!(of(&world, "ada", day).await.contains(&(FollowerLost, 1)));
    assert_eq!(site(&world, today(&world)).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_block_loses_a_follower_if_it_ends_a_follow() {
    let world = World::new();
    counted(&world).await;
    world.pass(DAY);
    world.other.block("bob", "ada").await;
    world.other.catch_up(&["bob"]).await;
    assert_eq!(of(&world, "ada", today(&world)).await, [(FollowerLost, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_block_loses_a_follower_whatever_is_wrong_with_the_event_before_it() {
    for unreadable in ["UserFollowed", "FromTheFuture"] {
        let world = World::new();
        counted(&world).await;
        world.pass(DAY);
        let comment = world.other.commands.head(&user("bob")).await.unwrap().version;
        world.other.block("bob", "ada").await;
        world.set_event_type("bob", comment, unreadable);
        assert!(world.other.commands.event(&user("bob"), comment).await.is_err());
        world.other.catch_up(&["bob"]).await;
        assert_eq!(of(&world, "ada", today(&world)).await, [(FollowerLost, 1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_post_stays_counted_and_its_tags_do_not() {
    let world = World::new();
    let post = counted(&world).await;
    let day = today(&world);
    world.other.delete("ada", post).await;
    world.other.catch_up(&["ada"]).await;
    let ada = of(&world, "ada", day).await;
    assert!(ada.contains(&(Posts, 1)) && ada.contains(&(Deletion, 1)), "{ada:?}");
    assert_eq!(world.other.timelines.top_tags(day, 5).await.unwrap(), []);
    assert_eq!(world.keys("timelines", "DAYTAGS#"), Vec::<String>::new(), "nothing is left of the tag");
}

#[tokio::test(start_paused = true)]
async fn a_late_worker_counts_no_tag_that_an_edit_has_removed() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    let post = world.other.post("ada", "#one #two").await;
    let old = world.other.commands.post(post).await.unwrap().unwrap();
    world.other.edit("ada", post, "#two #three").await;
    world.other.catch_up(&["ada"]).await;
    world.tested.projector.notices.statistics.count_tags(&old).await.unwrap();
    let tags = world.other.timelines.top_tags(today(&world), 5).await.unwrap();
    assert_eq!(tags, [("three".parse().unwrap(), 1), ("two".parse().unwrap(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_whose_answer_is_lost_counts_once() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    world.network.lose_answers(Calls("TransactWriteItems", "FACTS#ada"), 1);
    world.tested.catch_up(&["ada"]).await;
    assert_eq!(of(&world, "ada", today(&world)).await, [(Joined, 1), (Active, 1)]);
    assert_eq!(site(&world, today(&world)).await, [(Joined, 1), (Active, 1)]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_applied_that_is_not_counted() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    world.network.fail(Calls("TransactWriteItems", "FACTS#ada"), Failure::Internal);
    let stuck = world.tested.projector.catch_up.user(&user("ada"), None, Deadline::none()).await;
    assert!(!matches!(stuck, Ok(crate::projection::catch_up::Progress::UpToDate)), "{stuck:?}");
    assert_eq!(world.other.viewer("ada").await.applied, crate::model::Version::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_many_others_keep_it_from_counting_holds_up_no_log() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    let of_ada = Calls("TransactWriteItems", "FACTS#ada");
    world.network.fail_next(of_ada, 2, Failure::Cancelled);
    world.tested.catch_up(&["ada"]).await;
    assert_eq!(world.other.viewer("ada").await.applied.get(), 1);
    assert_eq!(of(&world, "ada", today(&world)).await, []);
    assert_eq!(world.network.count(of_ada), 2, "then the work queue has it");
    for task in world.take_tasks() {
        assert!(matches!(task, Task::Recount(Recount::Event { .. })), "nothing else is done again: {task:?}");
        world.tested.repair(task).await.unwrap();
    }
    assert_eq!(of(&world, "ada", today(&world)).await, [(Joined, 1), (Active, 1)]);
}

#[tokio::test(start_paused = true)]
async fn where_statistics_are_off_nothing_is_written() {
    let world = World::with(&[("STATISTICS_DAYS", 0)]);
    counted(&world).await;
    for prefix in ["FACTS#", "DAYS#", "DAYTAGS#"] {
        assert_eq!(world.keys("timelines", prefix), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_are_recounted_from_facts_and_sums_from_numbers() {
    let world = World::new();
    counted(&world).await;
    let day = today(&world);
    let (ada, sum) = (of(&world, "ada", day).await, site(&world, day).await);
    let key = |sk: &str| {
        let pk = world.items("timelines").into_iter().find(|item| item["SK"]["S"] == "USER#ada").unwrap();
        serde_json::json!({"TableName": "timelines", "Key": {"PK": pk["PK"], "SK": {"S": sk}}})
    };
    let (numbers, part) = (key("USER#ada"), key("SUM"));
    world.meddle("DeleteItem", &numbers);
    world.meddle("DeleteItem", &part);
    world.tested.projector.notices.statistics.recount(&Recount::User { user: user("ada"), day }).await.unwrap();
    assert_eq!((of(&world, "ada", day).await, site(&world, day).await), (ada, sum));
}

#[tokio::test(start_paused = true)]
async fn numbers_that_change_while_they_are_counted_are_not_taken_for_wrong_ones() {
    let world = World::new();
    let post = counted(&world).await;
    world.other.join(&["cem", "dee"]).await;
    world.other.catch_up(&["cem", "dee"]).await;
    let (ada, day, timelines) = (user("ada"), today(&world), &world.tested.timelines);
    let part = |sk: &str| {
        let item = world.items("timelines").into_iter().find(|item| item["SK"]["S"] == sk).unwrap();
        item["PK"]["S"].as_str().unwrap().rsplit('#').next().unwrap().parse::<u8>().unwrap()
    };
    let liked_meanwhile = |calls: Calls, liker: &'static str| {
        let other = world.other.clone();
        world.network.after(calls, async move || {
            react_to_post(&user(liker), post, EdgeState::Active, &other.commands, &other.clock).await.unwrap();
            other.repair(Task::SettleLikes { post, users: vec![user(liker)] }).await.unwrap();
        });
    };

    liked_meanwhile(Calls("GetItem", "USER#ada"), "cem");
    assert!(matches!(timelines.recounted_user(&ada, day).await, Err(Error::Conflict)));
    assert!(timelines.recounted_user(&ada, day).await.unwrap().is_right());

    let of_ada = part("USER#ada");
    liked_meanwhile(Calls("GetItem", "\"SUM\""), "dee");
    assert!(matches!(timelines.recounted_sum(day, of_ada).await, Err(Error::Conflict)));
    assert!(timelines.recounted_sum(day, of_ada).await.unwrap().is_right());

    let (of_tag, other) = (part("TAG#you"), world.other.clone());
    world.network.before(Calls("Query", "\"POST#\""), async move || {
        other.edit("ada", post, "hello").await;
        other.catch_up(&["ada"]).await;
    });
    assert!(timelines.tags_add_up(day, of_tag).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_an_erasure_takes_from_numbers_that_have_expired_expires_too() {
    for facts_at_once in [1, 100] {
        let world = World::new();
        counted(&world).await;
        let numbers = |sk: &str| {
            let of_days =
                |item: &Value| item["PK"]["S"].as_str().unwrap().starts_with("DAYS#") && item["SK"]["S"] == sk;
            world.items("timelines").into_iter().filter(of_days).collect::<Vec<_>>()
        };
        for item in [numbers("USER#ada"), numbers("SUM")].concat() {
            let key = json!({"PK": item["PK"], "SK": item["SK"]});
            world.meddle("DeleteItem", &json!({"TableName": "timelines", "Key": key}));
        }
        while world.tested.timelines.erase_facts(&user("ada"), facts_at_once, world.other.clock.now()).await.unwrap() {}
        let left = [numbers("USER#ada"), numbers("SUM")].concat();
        assert!(facts_at_once > 1 || !left.is_empty());
        for item in left {
            let expires_at: u64 = item["expires_at"]["N"].as_str().unwrap().parse().unwrap();
            assert!(expires_at <= world.other.clock.now().as_secs(), "{item}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn likes_of_many_users_share_the_transactions_of_a_part_of_the_day() {
    let world = World::new();
    let it = &world.other;
    let likers: Vec<_> = (0..60).map(|number| format!("liker{number}")).collect();
    it.join(&["ada"]).await;
    it.join(&likers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let post = it.post("ada", "hello").await;
    for liker in &likers {
        like(&world, liker, post, EdgeState::Active).await;
    }
    let users: Vec<_> = likers.iter().map(|liker| user(liker)).collect();
    let statistics = &world.tested.projector.notices.statistics;
    for _ in 0..2 {
        statistics.count_likes_as_they_stand(post, &users).await.unwrap();
        let transactions = world.network.count(Calls("TransactWriteItems", "FACTS#"));
        assert!((1..=33).contains(&transactions), "{transactions}, of 32 parts");
    }
    let day = today(&world);
    assert_eq!(of(&world, "ada", day).await, [(Like, 60)]);
    assert_eq!(site(&world, day).await, [(Like, 60), (Active, 60)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_counted_stays_while_its_event_makes_no_sense() {
    let world = World::new();
    counted(&world).await;
    let comment = world.other.commands.head(&user("bob")).await.unwrap().version;
    let event = world.other.commands.event(&user("bob"), comment).await.unwrap().unwrap();
    let facts = expected(&world.other.commands, &event).await.unwrap();
    assert!(!facts.is_empty());

    let request = json!({
        "TableName": "commands", "Key": {"PK": {"S": "USER#bob"}, "SK": {"S": format!("EVENT#{:012}", comment.get())}},
        "UpdateExpression": "SET #data.post = :no_id", "ExpressionAttributeNames": {"#data": "data"},
        "ExpressionAttributeValues": {":no_id": {"S": "no id"}},
    });
    world.meddle("UpdateItem", &request);

    let standing = following(&world.other.commands, &facts.iter().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(standing.len(), facts.len());
}
