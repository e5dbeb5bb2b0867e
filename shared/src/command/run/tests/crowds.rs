//! Many users follow one at the same moment.

use std::time::Duration;

use super::three_have_joined;
use crate::{
    command::{BlockUser, FollowUser},
    model::{EdgeKey, EdgeKind, EdgeState, TallySubject, UserId},
    samples::user,
    stream::work_queue::Task,
    test_world::{Calls, Process, World},
};

/// So many follow ada by the process under test that it counts her as crowded.
async fn ada_is_crowded(world: &World, followers: &[String]) {
    let names: Vec<_> = followers.iter().map(String::as_str).collect();
    world.other.join(&names).await;
    let Process { commands, clock, .. } = &world.tested;
    (0..4).for_each(|_| commands.busy.spread_more(&TallySubject::User(user("ada")), clock.now()));
    follow_in_the_crowd(world, followers).await;
    assert!(commands.busy.is_marked(&user("ada"), clock.now()));
}

/// These follow ada by the process under test, and each of them meets others who do. Without that, a counter comes
/// together again after some tens of writes.
async fn follow_in_the_crowd(world: &World, followers: &[String]) {
    let Process { commands, clock, .. } = &world.tested;
    for name in followers {
        commands.busy.spread_more(&TallySubject::User(user("ada")), clock.now());
        world.tested.follow(name, "ada").await;
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("f{number:03}")).collect()
}

/// All of ada's followers. A page may end early, since each shard adds its share of the limit and no more.
async fn followers(world: &World) -> Vec<UserId> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = world.other.commands.followers(&user("ada"), after.as_ref(), 100).await.unwrap();
        all.extend(page.users);
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

async fn shard_of_follow(world: &World, follower: &str) -> u8 {
    let key = EdgeKey::new(&user(follower), EdgeKind::Follows, &user("ada"));
    world.other.commands.edges(std::slice::from_ref(&key)).await.unwrap().get(&key).unwrap().shard.get()
}

#[tokio::test(start_paused = true)]
async fn follows_of_a_crowded_user_read_and_require_nothing_that_all_of_them_do() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    let names = names(40);
    ada_is_crowded(&world, &names[..20]).await;
    let reads = |part| world.network.count(Calls("GetItem", part)) + world.network.count(Calls("Query", part));
    let profiles = || reads("USER#ada\"},\"SK\":{\"S\":\"PROFILE");
    let (profiles_before, blocks_before) = (profiles(), reads("BLOCKS#"));
    let required = || world.network.count(Calls("TransactWriteItems", "BLOCKS#f"));
    let required_before = required();
    world.other.join(&names[20..].iter().map(String::as_str).collect::<Vec<_>>()).await;
    follow_in_the_crowd(&world, &names[20..]).await;
    assert!(profiles() <= profiles_before + 1 && reads("BLOCKS#") <= blocks_before + 1);
    assert_eq!(required(), required_before, "no condition in ada's partition");
    assert!(world.keys("commands", "FOLLOWERS#ada#").len() > 20, "most stand elsewhere");
    let followers = followers(&world).await;
    assert_eq!(followers, names.iter().map(|name| user(name)).collect::<Vec<_>>());

    for name in &names {
        let before = shard_of_follow(&world, name).await;
        world.other.unfollow(name, "ada").await;
        world.other.follow(name, "ada").await;
        assert_eq!(shard_of_follow(&world, name).await, before, "a follow stays where it is");
    }
    assert_eq!(self::followers(&world).await, followers);
}

#[tokio::test(start_paused = true)]
async fn a_follow_that_slips_past_a_block_is_ended_a_minute_later() {
    let world = three_have_joined().await;
    ada_is_crowded(&world, &names(20)).await;
    world.tested.follow("carol", "ada").await;
    world.other.block("ada", "bob").await;
    world.other.catch_up(&["ada"]).await;
    assert_eq!(world.take_tasks(), [], "there is no follow to end yet");
    world.tested.follow("bob", "ada").await;
    world.pass(Duration::from_secs(59));
    assert_eq!(world.take_tasks(), []);
    world.pass(Duration::from_secs(1));
    let tasks = world.take_tasks();
    assert_eq!(tasks, [Task::EndFollow { follower: user("bob"), followee: user("ada") }]);
    for task in tasks {
        world.other.repair(task).await.unwrap();
    }
    let followers = followers(&world).await;
    assert!(followers.contains(&user("carol")) && !followers.contains(&user("bob")));
}

#[tokio::test(start_paused = true)]
async fn what_a_process_knows_refuses_nobody() {
    let world = three_have_joined().await;
    world.other.block("ada", "bob").await;
    ada_is_crowded(&world, &names(20)).await;
    let follow = FollowUser { followee: user("ada"), wanted: EdgeState::Active };
    assert!(world.tested.run("bob", &follow).await.is_err());
    world.other.done("ada", &BlockUser { blocked: user("bob"), wanted: EdgeState::Ended }).await;
    world.tested.run("bob", &follow).await.unwrap();
}
