use std::time::Duration;

use super::{
    super::testing::{finish, take_walks},
    *,
};
use crate::{
    samples::{NOW, user},
    store::timelines::Row,
    test_world::{Calls, World},
};

/// Ada follows bob and carol, each of whom has this many rows, and they are in ada's home.
async fn ada_follows(world: &World, rows: u64) {
    world.other.join(&["ada", "bob", "carol"]).await;
    for author in ["bob", "carol"] {
        let row = |number| Row { post: PostId::new(NOW.before(Duration::from_secs(number))), author: user(author) };
        let rows: Vec<_> = (0..rows).map(row).collect();
        world.other.timelines.put_rows(&[Timeline::Author(user(author))], &rows).await.unwrap();
        world.other.follow("ada", author).await;
    }
    world.other.catch_up(&["ada", "bob", "carol"]).await;
    finish(world, take_walks(world)).await;
    assert_eq!(in_home(world, "bob"), usize::try_from(rows).unwrap());
}

/// Rows of the author in ada's home.
fn in_home(world: &World, author: &str) -> usize {
    let is_row = |item: &&serde_json::Value| item["PK"]["S"] == "HOME#ada" && item["author"]["S"] == author;
    world.items("timelines").iter().filter(is_row).count()
}

#[tokio::test(start_paused = true)]
async fn an_unfollow_removes_thousands_of_rows_step_by_step_and_leaves_those_of_others() {
    let world = World::new();
    ada_follows(&world, 1234).await;
    world.other.unfollow("ada", "bob").await;
    world.tested.catch_up(&["ada"]).await;
    assert_eq!(in_home(&world, "bob"), 1234, "nobody waits for the removal");

    let steps = finish(&world, take_walks(&world)).await;

    assert_eq!((steps, in_home(&world, "bob"), in_home(&world, "carol")), (3, 0, 1234));
}

#[tokio::test(start_paused = true)]
async fn a_block_removes_the_rows_in_both_homes() {
    let world = World::new();
    ada_follows(&world, 3).await;
    world.other.block("bob", "ada").await;
    world.tested.catch_up(&["bob"]).await;
    world.take_tasks();
    world.tested.projector.blocked_follows.end(&user("ada"), &user("bob")).await.unwrap();
    world.tested.catch_up(&["ada"]).await;

    finish(&world, take_walks(&world)).await;

    assert_eq!(in_home(&world, "bob"), 0);
    world.other.block("ada", "carol").await;
    world.tested.catch_up(&["ada"]).await;
    finish(&world, take_walks(&world)).await;
    assert_eq!(in_home(&world, "carol"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_block_without_a_follow_removes_nothing() {
    let world = World::new();
    ada_follows(&world, 1).await;
    world.other.block("bob", "carol").await;
    world.tested.catch_up(&["bob"]).await;

    assert_eq!(take_walks(&world), []);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_who_follows_again_during_the_removal_loses_no_row() {
    let world = World::new();
    ada_follows(&world, 150).await;
    world.other.unfollow("ada", "bob").await;
    world.tested.catch_up(&["ada"]).await;
    let removal = take_walks(&world);
    let other = world.other.clone();
    // Another worker is faster than the first transaction of the removal.
    world.network.before(Calls("TransactWriteItems", "HOME#ada"), async move || {
        other.follow("ada", "bob").await;
        other.catch_up(&["ada"]).await;
    });

    assert_eq!(finish(&world, removal).await, 1);

    finish(&world, take_walks(&world)).await;
    assert_eq!(in_home(&world, "bob"), 150);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_who_follows_again_after_the_removal_gets_all_rows() {
    let world = World::new();
    ada_follows(&world, 150).await;
    world.other.unfollow("ada", "bob").await;
    world.tested.catch_up(&["ada"]).await;
    finish(&world, take_walks(&world)).await;

    world.other.follow("ada", "bob").await;
    world.tested.catch_up(&["ada"]).await;
    finish(&world, take_walks(&world)).await;

    assert_eq!(in_home(&world, "bob"), 150);
}
