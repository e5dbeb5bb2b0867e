//! Catch-ups that do not come to the end of the log: the time is up, or there are too many backfills.

use std::time::Duration;

use super::{Progress, ada_is_not_applied, applied};
use crate::{
    deadline::Deadline,
    model::{RunStep, limits::BACKFILLS_MAX},
    samples::{user, version},
    stream::{
        walk::{BackfillAt, Walk},
        work_queue::Task,
    },
    test_world::{Calls, World},
};

/// Catches up ada as long as the deadline allows.
async fn catch_up_until(world: &World, deadline: Deadline) -> Progress {
    world.tested.projector.catch_up.user(&user("ada"), None, deadline).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_when_the_time_is_up() {
    let world = ada_is_not_applied().await;

    let progress = catch_up_until(&world, Deadline::after(Duration::ZERO)).await;

    assert!(matches!(progress, Progress::Paused(Duration::ZERO)), "{progress:?}");
    assert_eq!((world.network.writes(), applied(&world, "ada").await), (Vec::new(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_long_page_is_applied_step_by_step_and_left_when_the_time_is_up() {
    let world = ada_is_not_applied().await;
    for number in 0..60 {
        world.other.post("ada", &format!("post {number}")).await;
    }
    // Each effect takes a while.
    let each = Duration::from_millis(100);
    world.network.slow_down(Calls("BatchWriteItem", "AUTHOR#ada"), each);

    let progress = catch_up_until(&world, Deadline::none().at_most(3 * each)).await;

    assert!(matches!(progress, Progress::Paused(Duration::ZERO)), "{progress:?}");
    let first = applied(&world, "ada").await;
    assert!((16..61).contains(&first), "{first} are applied");
    while applied(&world, "ada").await < 61 {
        let before = applied(&world, "ada").await;
        catch_up_until(&world, Deadline::none().at_most(3 * each)).await;
        assert!(applied(&world, "ada").await > before);
    }
    assert_eq!(world.network.count(Calls("BatchWriteItem", "AUTHOR#ada")), 60, "no effect is repeated");
}

#[tokio::test(start_paused = true)]
async fn a_user_with_too_many_backfills_waits_until_one_of_them_ends() {
    let world = World::with_steps_of(1);
    world.other.join(&["ada"]).await;
    let authors: Vec<_> = (0..=BACKFILLS_MAX).map(|number| format!("author{number:03}")).collect();
    for author in &authors {
        world.other.join(&[author]).await;
        world.other.post(author, "one").await;
        world.other.post(author, "two").await;
        world.other.catch_up(&[author]).await;
        world.other.follow("ada", author).await;
    }
    world.take_tasks();

    let progress = catch_up_until(&world, Deadline::none()).await;

    assert!(matches!(progress, Progress::Paused(wait) if wait > Duration::ZERO), "{progress:?}");
    let viewer = world.other.viewer("ada").await;
    assert_eq!((viewer.unfinished.backfills.len(), viewer.followed.len()), (BACKFILLS_MAX, BACKFILLS_MAX));
    let tasks = world.take_tasks();
    let oldest = |task: &Task| {
        matches!(task, Task::Walk(Walk::Backfill { author, at: BackfillAt::Start, .. })
        if *author == user("author000"))
    };
    assert_eq!(tasks.iter().filter(|task| oldest(task)).count(), 1, "the oldest one is begun again");

    const FILLS: Calls = Calls("BatchWriteItem", "HOME#ada");
    let fills = world.network.count(FILLS);
    assert_eq!(fills, BACKFILLS_MAX, "nothing is copied of a follow that has to wait");
    for _ in 0..3 {
        assert!(matches!(catch_up_until(&world, Deadline::none()).await, Progress::Paused(_)));
    }
    assert_eq!(world.network.count(FILLS), fills);

    let ended =
        Walk::Backfill { viewer: user("ada"), author: user("author000"), version: version(2), at: BackfillAt::Copied };
    world.other.projector.walks.advance(ended, RunStep::first()).await.unwrap();
    assert!(matches!(catch_up_until(&world, Deadline::none()).await, Progress::UpToDate));
    assert_eq!(world.other.viewer("ada").await.followed.len(), BACKFILLS_MAX + 1);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_follows_that_end_within_the_page_need_no_backfill() {
    let world = ada_is_not_applied().await;
    for author in 0..49 {
        let author = &format!("author{author}");
        world.other.join(&[author]).await;
        world.other.follow("ada", author).await;
    }
    for author in 0..49 {
        world.other.unfollow("ada", &format!("author{author}")).await;
    }

    assert!(matches!(catch_up_until(&world, Deadline::none()).await, Progress::UpToDate));

    let viewer = world.other.viewer("ada").await;
    assert!(viewer.followed.is_empty() && viewer.unfinished.backfills.is_empty());
}
