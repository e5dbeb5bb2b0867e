//! Many users follow one at the same moment.

use std::time::Duration;

use super::three_have_joined;
use crate::{
    command::{BlockUser, FollowUser},
    model::{EdgeKey, EdgeKind, EdgeState, TallySubject},
    samples::user,
    stream::work_queue::Task,
    test_world::{Calls, Process, World},
};

/// The process has seen that very many follow ada at this moment.
fn ada_is_crowded(process: &Process) {
    let (counter, now) = (TallySubject::User(user("ada")), process.clock.now());
    for _ in 0..4 {
        process.commands.busy.spread_more(&counter, now);
    }
    assert!(process.commands.busy.is_crowded(&counter, now));
}

async fn shard_of_follow(world: &World, follower: &str) -> u8 {
    let key = EdgeKey::new(&user(follower), EdgeKind::Follows, &user("ada"));
    world.other.commands.edges(std::slice::from_ref(&key)).await.unwrap().get(&key).unwrap().shard.get()
}

#[tokio::test(start_paused = true)]
async fn follows_of_a_crowded_user_read_and_require_nothing_that_all_of_them_do() {
    let world = World::new();
    let names: Vec<_> = (0..40).map(|number| format!("f{number:03}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    world.other.join(&["ada"]).await;
    world.other.join(&names).await;
    ada_is_crowded(&world.tested);
    for name in &names {
        world.tested.follow(name, "ada").await;
    }
    let reads = |part| world.network.count(Calls("GetItem", part)) + world.network.count(Calls("Query", part));
    assert_eq!(reads("USER#ada\"},\"SK\":{\"S\":\"PROFILE"), 1);
    assert_eq!(world.network.count(Calls("Query", "BLOCKS#")), 1);
    assert_eq!(world.network.count(Calls("TransactWriteItems", "BLOCKS#f")), 0, "no condition in ada's partition");
    assert!(world.keys("commands", "FOLLOWERS#ada#").len() > 20, "most stand elsewhere");
    let followers = world.other.commands.followers(&user("ada"), None, 100).await.unwrap();
    assert_eq!(followers.users.len(), names.len());

    for name in names {
        let before = shard_of_follow(&world, name).await;
        world.other.unfollow(name, "ada").await;
        world.other.follow(name, "ada").await;
        assert_eq!(shard_of_follow(&world, name).await, before, "a follow stays where it is");
    }
    assert_eq!(world.other.commands.followers(&user("ada"), None, 100).await.unwrap(), followers);
}

#[tokio::test(start_paused = true)]
async fn a_follow_that_slips_past_a_block_is_ended_a_minute_later() {
    let world = three_have_joined().await;
    ada_is_crowded(&world.tested);
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
    let followers = world.other.commands.followers(&user("ada"), None, 10).await.unwrap().users;
    assert_eq!(followers, [user("carol")]);
}

#[tokio::test(start_paused = true)]
async fn what_a_process_knows_refuses_nobody() {
    let world = three_have_joined().await;
    world.other.block("ada", "bob").await;
    ada_is_crowded(&world.tested);
    let follow = FollowUser { followee: user("ada"), wanted: EdgeState::Active };
    assert!(world.tested.run("bob", &follow).await.is_err());
    world.other.done("ada", &BlockUser { blocked: user("bob"), wanted: EdgeState::Ended }).await;
    world.tested.run("bob", &follow).await.unwrap();
}
