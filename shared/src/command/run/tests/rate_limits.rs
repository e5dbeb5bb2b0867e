//! Rate limits of commands that are in the log.

use std::time::Duration;

use super::{COMMIT, create, follow, run_create, set_follow};
use crate::{
    command::{BlockUser, Command, CreatePost, EditPost, MuteUser, UpdateProfile},
    error::{Error, Rejection},
    model::{EdgeState, Limited, PostId, RateLimited, Spent, UserEvent},
    samples::{shown, user},
    test_world::{Calls, Failure, World},
};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A world with a limit, in which ada, bob, carol and dora have joined.
async fn limited(variable: &'static str, count: u64) -> World {
    let world = World::with_rate_limit(variable, count);
    world.other.join(&["ada", "bob", "carol", "dora"]).await;
    world
}

/// The state of a user's limits.
async fn spent(world: &World, id: &str) -> Spent {
    world.other.commands.head(&user(id)).await.unwrap().spent
}

/// Why a command was refused.
fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> RateLimited {
    match result {
        Err(Error::Rejected(Rejection::RateLimited(limited))) => limited,
        other => panic!("not refused: {other:?}"),
    }
}

/// Ada is refused the command.
async fn refused(world: &World, command: &impl Command<Output: std::fmt::Debug>) -> Limited {
    refusal(world.tested.run("ada", command).await).kind
}

#[tokio::test(start_paused = true)]
async fn a_command_above_the_limit_is_refused_until_its_share_of_the_time_is_over() {
    let world = limited("FOLLOWS_PER_DAY", 2).await;
    follow(&world, "bob").await.unwrap();
    follow(&world, "carol").await.unwrap();
    let before = world.tables();

    let refusal = refusal(follow(&world, "dora").await);

    assert_eq!((refusal.kind, world.tables()), (Limited::Follows, before), "nothing has changed");
    assert!(refusal.retry_after.abs_diff(12 * HOUR) < Duration::from_secs(1), "{refusal:?}");
    world.pass(refusal.retry_after + Duration::from_millis(1));
    follow(&world, "dora").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn ends_are_free_even_above_the_limit() {
    let world = limited("FOLLOWS_PER_DAY", 1).await;
    follow(&world, "bob").await.unwrap();

    set_follow(&world.tested, "ada", "bob", EdgeState::Ended).await.unwrap();

    assert_eq!(refusal(follow(&world, "bob").await).kind, Limited::Follows, "the follow after it is not");
}

#[tokio::test(start_paused = true)]
async fn posts_and_edits_share_a_limit_and_so_do_blocks_and_mutes() {
    let text = || "again".to_owned().try_into().unwrap();
    let new = |world: &World| CreatePost { post: PostId::new(world.other.clock.now()), text: text(), key: None };
    let world = limited("POSTS_PER_HOUR", 2).await;
    let post = world.other.post("ada", "hello").await;
    world.other.edit("ada", post, "bye").await;
    assert_eq!(refused(&world, &new(&world)).await, Limited::Posts);
    assert_eq!(refused(&world, &EditPost { post, text: text() }).await, Limited::Posts);

    let world = limited("BLOCKS_PER_HOUR", 1).await;
    world.other.block("ada", "bob").await;
    let wanted = EdgeState::Active;
    assert_eq!(refused(&world, &BlockUser { blocked: user("carol"), wanted }).await, Limited::Blocks);
    assert_eq!(refused(&world, &MuteUser { muted: user("carol"), wanted }).await, Limited::Blocks);

    let world = limited("PROFILE_CHANGES_PER_DAY", 2).await;
    world.other.rename("ada", "ada2").await;
    assert_eq!(
        refused(&world, &UpdateProfile { profile: shown("ada3"), is_reserved: false }).await,
        Limited::ProfileChanges
    );
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_is_not_charged() {
    let world = limited("FOLLOWS_PER_DAY", 1).await;
    follow(&world, "bob").await.unwrap();
    let before = spent(&world, "ada").await;

    follow(&world, "bob").await.unwrap();

    assert_eq!(spent(&world, "ada").await, before);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_is_answered_above_the_limit_and_not_charged() {
    let world = limited("POSTS_PER_HOUR", 1).await;
    let first = run_create(&world, &create("hello")).await.unwrap();

    assert_eq!(run_create(&world, &create("hello")).await.unwrap(), first);

    let other = CreatePost { key: None, ..create("hello") };
    assert_eq!(refusal(run_create(&world, &other).await).kind, Limited::Posts);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_tried_several_times_is_charged_once() {
    for lost in [1, 3] {
        let world = limited("FOLLOWS_PER_DAY", 2).await;
        world.network.lose_answers(COMMIT, lost);
        follow(&world, "bob").await.unwrap();
        world.network.fail_next(COMMIT, 2, Failure::Cancelled);
        follow(&world, "carol").await.unwrap();
        assert_eq!(refusal(follow(&world, "dora").await).kind, Limited::Follows);
    }
}

#[tokio::test(start_paused = true)]
async fn commands_at_once_are_charged_each() {
    let world = limited("FOLLOWS_PER_DAY", 1).await;
    let other = world.other.clone();
    world.network.before(COMMIT, async move || {
        other.follow("ada", "carol").await;
    });

    assert_eq!(refusal(follow(&world, "bob").await).kind, Limited::Follows);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_follow_after_a_block_does_not_change_the_limits_of_the_follower() {
    let world = limited("FOLLOWS_PER_DAY", 5).await;
    world.other.follow("bob", "ada").await;
    let before = spent(&world, "bob").await;

    world.other.block("ada", "bob").await;
    world.tested.projector.blocked_follows.end(&user("bob"), &user("ada")).await.unwrap();

    assert!(matches!(world.other.log("bob").await.last(), Some(UserEvent::UserUnfollowed { .. })));
    assert_eq!(spent(&world, "bob").await, before);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_sent_twice_at_once_is_not_refused_for_its_own_charge() {
    let world = limited("POSTS_PER_HOUR", 1).await;
    let other = world.other.clone();
    // The key has been read when the same request is committed elsewhere. Then the end of the log is read.
    world.network.before(Calls("Query", "USER#ada"), async move || {
        other.done("ada", &create("hello")).await;
    });

    let committed = run_create(&world, &create("hello")).await.unwrap();

    assert_eq!((committed.version.get(), world.other.log("ada").await.len()), (2, 2));
}
