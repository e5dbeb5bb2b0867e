//! Posts of celebrities, which readers pull, are as fresh as those that are pushed.

use std::time::Duration;

use crate::{
    model::{CLOCK_DIFFERENCE_MAX, PostId},
    query::{HomePage, HomePosition, HomeWalk, Ranking, ReadRequest},
    samples::user,
    store::timelines::Timeline,
    test_world::{Calls, LIST_LIFETIME, Process, World},
};

/// The read of the rows of the star.
const READ_ROWS: Calls = Calls("Query", "AUTHOR#star");
/// The read of announcements.
const READ_ANNOUNCEMENTS: Calls = Calls("Query", "ANNOUNCED");
/// For how long a process does not ask for announcements again.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

/// Ada follows the star, who has just become a celebrity by the first post. All is applied.
async fn the_star_is_new() -> (World, PostId) {
    let world = World::with_celebrities_from(1);
    world.other.join(&["ada", "star"]).await;
    world.other.follow("ada", "star").await;
    let first = world.other.post("star", "pushed").await;
    world.other.catch_up(&["ada", "star"]).await;
    (world, first)
}

/// The same, when every process knows of the celebrity.
async fn the_star_is_known() -> (World, PostId) {
    let (world, first) = the_star_is_new().await;
    world.pass(3 * LIST_LIFETIME);
    (world, first)
}

async fn post(world: &World, text: &str) -> PostId {
    let post = world.other.post("star", text).await;
    world.other.catch_up(&["star"]).await;
    post
}

async fn page(
    process: &Process,
    walk: Option<HomeWalk<HomePosition>>,
    limit: usize,
) -> (Vec<PostId>, Option<HomeWalk<HomePosition>>) {
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: None };
    let HomePage { page, .. } = process.feeds.home(request, walk, limit).await.unwrap();
    (page.entries.iter().map(|post| post.card.post).collect(), page.next)
}

async fn home(process: &Process) -> Vec<PostId> {
    page(process, None, 20).await.0
}

#[tokio::test(start_paused = true)]
async fn one_read_a_second_tells_what_kept_rows_lack() {
    let (world, first) = the_star_is_known().await;
    let second = post(&world, "pulled").await;
    assert_eq!(home(&world.tested).await, [second, first]);
    let reads = || [READ_ROWS, READ_ANNOUNCEMENTS].map(|calls| world.network.count(calls));
    assert_eq!(reads(), [1, 1]);

    let mut expected = vec![second, first];
    for number in 0..5 {
        let newest = post(&world, &format!("pulled {number}")).await;
        world.pass(ASKED_AGAIN);
        expected.insert(0, newest);
        assert_eq!(home(&world.tested).await, expected, "a second after it was projected");
        assert_eq!(home(&world.tested).await, expected);
        assert_eq!(reads(), [1, 2 + number], "the rows are read once, and what is new once a second");
    }
    let copied = world.items("timelines").iter().filter(|row| row["PK"]["S"] == "HOME#ada").count();
    assert_eq!(copied, 1, "only the first was pushed");
}

#[tokio::test(start_paused = true)]
async fn kept_rows_expire_and_what_was_announced_long_ago_is_read_with_the_rows() {
    let (world, first) = the_star_is_known().await;
    let second = post(&world, "pulled").await;
    assert_eq!(home(&world.tested).await, [second, first]);
    let third = post(&world, "while nobody read").await;
    world.pass(Duration::from_secs(600));
    let fourth = post(&world, "just now").await;

    assert_eq!(home(&world.tested).await, [fourth, third, second, first]);
    assert_eq!(world.network.count(READ_ROWS), 2);
}

#[tokio::test(start_paused = true)]
async fn posts_of_a_new_celebrity_are_read_for_each_page_until_every_process_announces_them() {
    let (world, first) = the_star_is_new().await;
    assert_eq!(home(&world.tested).await, [first]);
    // The projection still uses a list without the star. Its copy to ada's home is on the way.
    let second = post(&world, "neither announced nor copied").await;
    world.other.timelines.delete(&Timeline::Home(user("ada")), second).await.unwrap();

    assert_eq!(world.keys("timelines", "ANNOUNCED").len(), 0);
    assert_eq!(home(&world.tested).await, [second, first]);
}

#[tokio::test(start_paused = true)]
async fn the_next_page_of_a_walk_knows_what_the_first_one_knew_in_whatever_process() {
    let (world, first) = the_star_is_known().await;
    assert_eq!(home(&world.other).await, [first]);
    world.pass(ASKED_AGAIN / 4);
    let [older, newer] = [post(&world, "older").await, post(&world, "newer").await];
    world.pass(ASKED_AGAIN / 4);

    let (shown, next) = page(&world.tested, None, 1).await;
    assert_eq!(shown, [newer]);
    assert_eq!(home(&world.other).await, [first], "the other process does not know them yet");
    let (shown, next) = page(&world.other, next, 20).await;
    assert_eq!((shown, next), (vec![older, first], None));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ahead_makes_no_kept_announcement_newer_than_the_page_before() {
    let (world, first) = the_star_is_known().await;
    let ahead = world.process_ahead_by(CLOCK_DIFFERENCE_MAX / 2);
    assert_eq!(home(&ahead).await, [first]);
    let [older, newer] = [post(&world, "older").await, post(&world, "newer").await];

    let (shown, next) = page(&world.tested, None, 1).await;
    assert_eq!(shown, [newer]);
    let (shown, next) = page(&ahead, next, 20).await;
    assert_eq!((shown, next), (vec![older, first], None));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_without_celebrities_reads_no_announcements() {
    let world = World::new();
    world.other.join(&["ada", "star"]).await;
    world.other.follow("ada", "star").await;
    let first = post(&world, "pushed").await;
    world.other.catch_up(&["ada"]).await;

    assert_eq!(home(&world.tested).await, [first]);
    assert_eq!(world.network.count(READ_ANNOUNCEMENTS), 0);
}

#[tokio::test(start_paused = true)]
async fn ranked_pages_read_the_rows_of_a_celebrity_once_and_leave_them_to_others() {
    let (world, first) = the_star_is_known().await;
    let mut posts = vec![first];
    for number in 0..40 {
        posts.insert(0, post(&world, &format!("pulled {number}")).await);
    }
    world.pass(ASKED_AGAIN);
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: None };
    let (mut shown, mut walk) = (Vec::new(), None);
    loop {
        let HomePage { page, .. } = world.tested.feeds.ranked_home(request, Ranking::Ranked, walk, 15).await.unwrap();
        shown.extend(page.entries.iter().map(|post| post.card.post));
        walk = page.next;
        if walk.is_none() {
            break;
        }
    }
    shown.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(shown, posts);
    assert_eq!(page(&world.tested, None, 41).await.0, posts);
    assert_eq!(world.network.count(READ_ROWS), 1);
}
