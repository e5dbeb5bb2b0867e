//! A block needs only the log of the blocker, whatever the other user does. The projection ends the other's follow.

use super::{COMMIT, followed, follows, log_of_ada, three_have_joined};
use crate::{
    command::{BlockUser, run},
    error::Error,
    model::{EdgeState, UserEvent},
    samples::{user, version},
    stream::work_queue::Task,
    test_world::World,
};

/// Whatever the process under test commits, bob's log has moved on by then.
fn bob_hammers(world: &World) {
    let other = world.other.clone();
    world.network.before_each(COMMIT, async move || {
        other.post("bob", "hammering").await;
    });
}

/// The events of bob's log after his profile.
async fn log_of_bob(world: &World) -> Vec<UserEvent> {
    world.other.log("bob").await.split_off(1)
}

/// Applies what is left to do after commands, as the functions do.
async fn all_is_projected(world: &World) {
    world.other.catch_up(&["ada", "bob", "carol"]).await;
    for task in world.take_tasks() {
        let Task::EndFollow { follower, followee } = task else { panic!("{task:?}") };
        world.other.projector.blocked_follows.end(&follower, &followee).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_needs_no_more_than_the_log_of_the_blocker_and_its_projection_ends_the_follow() {
    let world = three_have_joined().await;
    world.other.follow("bob", "ada").await;
    let before = log_of_bob(&world).await;

    world.tested.block("ada", "bob").await;

    assert_eq!(log_of_ada(&world).await, [UserEvent::UserBlocked { blocked: user("bob") }]);
    assert_eq!(log_of_bob(&world).await, before);
    all_is_projected(&world).await;
    let unfollowed = UserEvent::UserUnfollowed { followee: user("ada") };
    assert_eq!(log_of_bob(&world).await, [followed("ada"), unfollowed]);
    assert_eq!(world.other.commands.head(&user("bob")).await.unwrap().totals.following, 0);
    assert!(!follows(&world, "bob", "ada").await);
    let tables = world.tables();
    world.other.projector.blocked_follows.end(&user("bob"), &user("ada")).await.unwrap();
    assert_eq!(world.tables(), tables, "a task that comes twice changes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_follower_who_hammers_commands_cannot_hold_up_a_block() {
    let world = three_have_joined().await;
    world.other.follow("bob", "ada").await;
    bob_hammers(&world);

    world.tested.block("ada", "bob").await;

    assert_eq!(world.network.count(COMMIT), 1, "the first attempt is committed");
    assert_eq!(log_of_ada(&world).await, [UserEvent::UserBlocked { blocked: user("bob") }]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_follow_after_a_block_is_tried_again_while_the_follower_hammers_commands() {
    let world = three_have_joined().await;
    world.other.follow("bob", "ada").await;
    world.other.block("ada", "bob").await;
    let end = async || world.tested.projector.blocked_follows.end(&user("bob"), &user("ada")).await;

    bob_hammers(&world);
    assert!(matches!(end().await, Err(Error::Conflict)), "the task comes again");
    assert!(follows(&world, "bob", "ada").await);
    world.network.calm();
    end().await.unwrap();
    assert!(!follows(&world, "bob", "ada").await);
}

#[tokio::test(start_paused = true)]
async fn a_follow_that_is_committed_during_a_block_does_not_outlive_it() {
    let world = three_have_joined().await;
    let other = world.other.clone();
    world.network.before(COMMIT, async move || {
        other.follow("bob", "ada").await;
    });

    world.tested.block("ada", "bob").await;

    assert_eq!(world.other.commands.head(&user("ada")).await.unwrap().version, version(2));
    all_is_projected(&world).await;
    assert!(!follows(&world, "bob", "ada").await);
}

#[tokio::test(start_paused = true)]
async fn a_block_that_ends_at_once_ends_the_follow_and_leaves_a_later_one() {
    let world = three_have_joined().await;
    world.other.follow("bob", "ada").await;
    world.other.block("ada", "bob").await;
    let unblock = BlockUser { blocked: user("bob"), wanted: EdgeState::Ended };
    run(&unblock, &user("ada"), &world.tested.commands, &world.tested.clock).await.unwrap();
    assert!(!follows(&world, "bob", "ada").await);

    world.other.follow("bob", "ada").await;
    all_is_projected(&world).await;
    world.other.projector.blocked_follows.end(&user("bob"), &user("ada")).await.unwrap();

    assert!(follows(&world, "bob", "ada").await);
    let unfollowed = UserEvent::UserUnfollowed { followee: user("ada") };
    assert_eq!(log_of_bob(&world).await, [followed("ada"), unfollowed, followed("ada")]);
}
