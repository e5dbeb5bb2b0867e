use super::{
    super::testing::{finish, take_walks},
    *,
};
use crate::{
    query::ReadRequest,
    samples::{NOW, user, version},
    store::timelines::Row,
    test_world::{Calls, World},
};

/// Bob has so many posts, with cards. Ada has joined. The ids of the posts, newest first.
async fn bob_has_posts(world: &World, posts: usize) -> Vec<PostId> {
    world.other.join(&["ada", "bob"]).await;
    let mut ids = Vec::new();
    for number in 0..posts {
        ids.push(world.other.post("bob", &format!("post {number}")).await);
    }
    world.other.catch_up(&["ada", "bob"]).await;
    ids.reverse();
    ids
}

/// Bob has so many rows, without posts: one for each second.
async fn bob_has_rows(world: &World, rows: u64) {
    let row = |number| Row { post: PostId::new(NOW.before(Duration::from_secs(number))), author: user("bob") };
    let rows: Vec<_> = (0..rows).map(row).collect();
    world.other.timelines.put_rows(&[Timeline::Author(user("bob"))], &rows).await.unwrap();
}

/// The posts on ada's page, with and without a version.
async fn pages(world: &World) -> [Vec<PostId>; 2] {
    let ada = user("ada");
    let mut pages = [Vec::new(), Vec::new()];
    let applied = world.other.viewer("ada").await.applied;
    for (page, min_version) in pages.iter_mut().zip([None, Some(applied)]) {
        let home = world.other.feeds.home(ReadRequest { viewer: &ada, min_version }, None, 100).await.unwrap();
        page.extend(home.page.entries.iter().map(|post| post.card.post));
    }
    pages
}

async fn unfinished(world: &World) -> usize {
    world.other.viewer("ada").await.unfinished.backfills.len()
}

/// Ada has followed bob, whose posts take a walk of some steps, and then unfollowed him. Only the follow is applied.
async fn unfollowed_during_a_walk() -> (World, Vec<Walk>) {
    let world = World::with_steps_of(2);
    bob_has_posts(&world, 7).await;
    world.other.follow("ada", "bob").await;
    world.tested.catch_up(&["ada"]).await;
    let walks = take_walks(&world);
    world.other.unfollow("ada", "bob").await;
    (world, walks)
}

#[tokio::test(start_paused = true)]
async fn a_follow_of_an_author_with_few_posts_needs_no_walk() {
    let world = World::new();
    let posts = bob_has_posts(&world, 3).await;
    world.other.follow("ada", "bob").await;

    world.tested.catch_up(&["ada"]).await;

    assert_eq!((take_walks(&world), unfinished(&world).await), (vec![], 0));
    assert_eq!(world.other.home("ada").await, posts);
}

#[tokio::test(start_paused = true)]
async fn a_follow_is_complete_for_readers_before_its_walk_begins_and_at_each_step() {
    let world = World::with_steps_of(2);
    let posts = bob_has_posts(&world, 7).await;
    world.other.follow("ada", "bob").await;

    world.tested.catch_up(&["ada"]).await;

    assert_eq!((world.other.home("ada").await.len(), unfinished(&world).await), (2, 1));
    let mut walks = take_walks(&world);
    while let Some(walk) = walks.pop() {
        assert_eq!(pages(&world).await, [posts.clone(), posts.clone()]);
        match world.tested.projector.walks.step(walk, 2).await.unwrap() {
            Step::Done => {}
            Step::Next(next) => walks.extend(next),
            Step::Later(delay, walk) => {
                assert_eq!((delay, unfinished(&world).await), (PAGES_END, 1), "pages that have begun may end first");
                walks.push(walk);
            }
        }
    }
    assert_eq!((world.other.home("ada").await, unfinished(&world).await), (posts.clone(), 0));
    assert_eq!(pages(&world).await, [posts.clone(), posts]);
}

#[tokio::test(start_paused = true)]
async fn thousands_of_posts_are_copied_step_by_step() {
    let world = World::new();
    bob_has_posts(&world, 0).await;
    bob_has_rows(&world, 4321).await;
    world.other.follow("ada", "bob").await;
    world.tested.catch_up(&["ada"]).await;
    assert_eq!(world.keys("timelines", "HOME#ada").len(), 100, "the first rows are copied at once");

    let steps = finish(&world, take_walks(&world)).await;

    assert_eq!((world.keys("timelines", "HOME#ada").len(), unfinished(&world).await), (4321, 0));
    assert_eq!(steps, 9 + 1, "500 rows each, and the end");
}

#[tokio::test(start_paused = true)]
async fn an_unfollow_ends_the_walk() {
    let (world, walks) = unfollowed_during_a_walk().await;

    assert_eq!(finish(&world, walks).await, 1);

    assert_eq!(unfinished(&world).await, 1, "as long as the unfollow is not applied, pages are complete");
    world.other.catch_up(&["ada"]).await;
    assert_eq!(unfinished(&world).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_catch_up_that_waits_for_a_backfill_does_not_wait_for_a_follow_that_has_ended() {
    let (world, _) = unfollowed_during_a_walk().await;
    let viewer = world.other.viewer("ada").await;

    world.tested.projector.walks.repeat_oldest_backfill(&user("ada"), &viewer).await.unwrap();
    finish(&world, take_walks(&world)).await;

    assert_eq!(unfinished(&world).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_walk_of_an_older_follow_leaves_the_newer_one_unfinished() {
    let world = World::with_steps_of(2);
    let posts = bob_has_posts(&world, 7).await;
    world.other.follow("ada", "bob").await;
    world.tested.catch_up(&["ada"]).await;
    let old = take_walks(&world);
    world.other.unfollow("ada", "bob").await;
    world.other.follow("ada", "bob").await;
    world.tested.catch_up(&["ada"]).await;
    let new = take_walks(&world);

    finish(&world, old).await;
    assert_eq!(unfinished(&world).await, 1);
    finish(&world, new).await;
    assert_eq!((unfinished(&world).await, world.other.home("ada").await), (0, posts));
}

#[tokio::test(start_paused = true)]
async fn a_walk_ends_although_the_author_was_followed_anew_in_events_that_wait_for_it() {
    let (world, walks) = unfollowed_during_a_walk().await;
    world.other.follow("ada", "bob").await;

    finish(&world, walks).await;

    assert_eq!(unfinished(&world).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_is_done_before_its_follow_is_applied_ends_afterwards() {
    let world = World::with_steps_of(2);
    bob_has_posts(&world, 3).await;
    let at = world.other.follow("ada", "bob").await;
    assert_eq!(at, version(2));
    let walk = Walk::Backfill { viewer: user("ada"), author: user("bob"), version: at, at: BackfillAt::Copied };
    let walks = &world.tested.projector.walks;

    let step = walks.step(walk.clone(), 2).await.unwrap();
    assert_eq!(step, Step::Later(super::super::APPLIED_WAIT, walk.clone()));
    world.other.catch_up(&["ada"]).await;
    assert_eq!(unfinished(&world).await, 1);
    assert_eq!(walks.step(walk, 2).await.unwrap(), Step::Done);
    assert_eq!(unfinished(&world).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_is_written_during_the_walk_reaches_the_home() {
    let world = World::with_steps_of(2);
    bob_has_posts(&world, 5).await;
    world.other.follow("ada", "bob").await;
    world.tested.catch_up(&["ada"]).await;
    let other = world.other.clone();
    world.network.after(Calls("Query", "AUTHOR#bob"), async move || {
        other.post("bob", "during the walk").await;
        other.catch_up(&["bob"]).await;
    });
    let walks = take_walks(&world);

    finish(&world, walks).await;

    let walks = take_walks(&world);
    finish(&world, walks).await;
    assert_eq!(world.other.home("ada").await.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_follow_of_an_author_who_becomes_a_celebrity_meanwhile_ends_without_a_copy() {
    let world = World::with_steps_of(2);
    let posts = bob_has_posts(&world, 5).await;
    world.other.follow("ada", "bob").await;
    world.tested.catch_up(&["ada"]).await;
    world.other.commands.promote(&user("bob"), NOW).await.unwrap();
    world.pass(4 * crate::test_world::LIST_LIFETIME);
    let walks = take_walks(&world);

    assert_eq!(finish(&world, walks).await, 2);

    assert_eq!((unfinished(&world).await, world.other.home("ada").await.len()), (0, 2));
    assert_eq!(pages(&world).await, [posts.clone(), posts], "readers pull");
}

#[tokio::test(start_paused = true)]
async fn a_walk_whose_follow_was_erased_ends_and_copies_nothing() {
    let world = World::with_steps_of(2);
    bob_has_posts(&world, 5).await;
    let walks = &world.tested.projector.walks;
    // Nothing is left of carol: neither the follow nor a viewer item.
    for at in [BackfillAt::Start, BackfillAt::Copied] {
        let walk = Walk::Backfill { viewer: user("carol"), author: user("bob"), version: version(10), at };
        assert_eq!(walks.step(walk, 2).await.unwrap(), Step::Done);
    }
    assert!(world.other.home("carol").await.is_empty());
}
