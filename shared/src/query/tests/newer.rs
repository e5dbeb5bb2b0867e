//! What is new in a home: pushed posts, and those of celebrities.

use std::time::Duration;

use crate::{
    command::MuteUser,
    model::{EdgeState, PostId, Timestamp},
    query::{Newest, ReadRequest},
    samples::user,
    store::timelines::{Row, Timeline},
    test_world::{Calls, LIST_LIFETIME, World},
};

/// Any read of DynamoDB.
const READS: [Calls; 3] = [Calls("Query", ""), Calls("GetItem", ""), Calls("BatchGetItem", "")];

/// Ada follows bob and the star, who is a celebrity with one pushed post.
async fn ada_follows_two() -> (World, PostId) {
    let world = World::with_celebrities_from(1);
    world.other.join(&["ada", "bob", "star", "far"]).await;
    for (follower, followee) in [("ada", "star"), ("bob", "star"), ("bob", "far")] {
        world.other.follow(follower, followee).await;
    }
    let first = world.other.post("star", "pushed").await;
    world.other.post("far", "pushed").await;
    world.other.catch_up(&["ada", "bob", "star", "far"]).await;
    world.pass(3 * LIST_LIFETIME);
    (world, first)
}

async fn post(world: &World, author: &str) -> PostId {
    let post = world.other.post(author, "a post").await;
    world.other.catch_up(&[author]).await;
    post
}

/// The mark of ada's home.
async fn mark(world: &World) -> Newest {
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: None };
    world.other.feeds.home(request, None, 20).await.unwrap().newest.unwrap()
}

/// How many posts are new, the oldest of them, and the next mark.
async fn newer(world: &World, mark: &Newest, limit: Option<usize>) -> (usize, Vec<PostId>, Newest) {
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: None };
    let found = world.tested.feeds.newer(request, mark, limit).await.unwrap();
    (found.count, found.posts.into_iter().map(|post| post.card.post).collect(), found.newest)
}

fn reads(world: &World) -> usize {
    READS.map(|calls| world.network.count(calls)).iter().sum()
}

#[tokio::test(start_paused = true)]
async fn two_reads_tell_that_nothing_is_new_however_long_nothing_was() {
    let (world, _) = ada_follows_two().await;
    // By then, nobody is a new celebrity.
    world.pass(Duration::from_secs(600));
    let mut mark = mark(&world).await;
    let lists = || world.network.count(Calls("Query", "CELEBRITIES"));
    let (reads_before, lists_before) = (reads(&world), lists());
    for minutes in [0, 1, 30, 50] {
        world.pass(Duration::from_secs(60 * minutes));
        let (count, posts, next) = newer(&world, &mark, Some(20)).await;
        assert_eq!((count, posts), (0, Vec::new()));
        mark = next;
    }
    // Each process reads the list of celebrities once a minute.
    assert_eq!(lists() - lists_before, 4);
    assert_eq!(reads(&world) - reads_before, 8 + 4);
}

#[tokio::test(start_paused = true)]
async fn posts_of_celebrities_are_new_for_their_followers_only() {
    let (world, _) = ada_follows_two().await;
    let before = mark(&world).await;
    post(&world, "far").await;
    let (count, _, after) = newer(&world, &before, None).await;
    assert_eq!(count, 0, "ada does not follow far");
    let of_star = post(&world, "star").await;
    for mark in [&before, &after] {
        assert_eq!(newer(&world, mark, Some(20)).await.1, [of_star]);
    }
    // Pages ask once a second what was announced.
    world.pass(Duration::from_secs(1));
    assert_eq!(newer(&world, &mark(&world).await, None).await.0, 0, "the page has shown it");
}

#[tokio::test(start_paused = true)]
async fn a_post_is_new_although_it_came_before_the_follow_reached_the_viewer_item() {
    let (world, _) = ada_follows_two().await;
    world.other.join(&["carol"]).await;
    world.other.catch_up(&["carol"]).await;
    let (before, rows_before) = (mark(&world).await, world.keys("timelines", "HOME#ada").len());
    world.other.follow("ada", "carol").await;
    let of_carol = post(&world, "carol").await;
    assert_eq!(world.keys("timelines", "HOME#ada").len(), rows_before + 1, "it was pushed");

    // Neither a poll nor a page shows it yet, and neither takes it for known.
    let (count, _, polled) = newer(&world, &before, Some(20)).await;
    assert_eq!(count, 0);
    let paged = mark(&world).await;
    world.other.catch_up(&["ada"]).await;
    for mark in [&before, &polled, &paged] {
        assert_eq!(newer(&world, mark, Some(20)).await.1, [of_carol]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_of_a_new_celebrity_is_new_although_it_was_neither_pushed_nor_announced() {
    let (world, _) = ada_follows_two().await;
    world.other.join(&["nova"]).await;
    world.other.follow("ada", "nova").await;
    world.other.catch_up(&["ada", "nova"]).await;
    let before = mark(&world).await;
    // The push of the post that promotes nova came to ada when readers pulled already.
    let of_nova = world.other.post("nova", "famous").await;
    world.other.catch_up(&["nova"]).await;
    world.other.timelines.delete(&Timeline::Home(user("ada")), of_nova).await.unwrap();
    world.pass(LIST_LIFETIME);
    assert_eq!(newer(&world, &before, Some(20)).await.1, [of_nova]);
}

#[tokio::test(start_paused = true)]
async fn after_more_time_than_announcements_are_kept_the_celebrities_are_read() {
    let (world, _) = ada_follows_two().await;
    let before = mark(&world).await;
    let of_star = post(&world, "star").await;
    post(&world, "far").await;
    world.pass(Duration::from_secs(2 * 3600));
    let (count, posts, next) = newer(&world, &before, Some(20)).await;
    assert_eq!((count, posts), (1, vec![of_star]));
    assert_eq!(newer(&world, &next, None).await.0, 0);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_arrives_late_behind_newer_ones_is_new() {
    let (world, _) = ada_follows_two().await;
    world.other.follow("ada", "bob").await;
    world.other.catch_up(&["ada"]).await;
    let [late, punctual] = [world.other.post("bob", "late").await, world.other.post("ada", "punctual").await];
    world.other.catch_up(&["ada"]).await;
    let (_, shown, mark) = newer(&world, &mark(&world).await, Some(20)).await;
    assert_eq!(shown, [], "the page has shown it: {punctual:?}");
    world.other.catch_up(&["bob"]).await;
    assert_eq!(newer(&world, &mark, Some(20)).await.1, [late]);
}

#[tokio::test(start_paused = true)]
async fn a_post_whose_card_is_still_to_come_is_new_once_it_is_there() {
    let (world, _) = ada_follows_two().await;
    let before = mark(&world).await;
    let of_star = world.other.post("star", "announced a moment before it has a card").await;
    let row = Row { post: of_star, author: user("star") };
    world.other.timelines.put_announced(&row, &world.other.clock).await.unwrap();

    let (count, posts, asked) = newer(&world, &before, Some(20)).await;
    assert_eq!((count, posts), (0, Vec::new()));
    world.pass(Duration::from_secs(1));
    let of_page = mark(&world).await;
    world.other.catch_up(&["star"]).await;

    for mark in [asked, of_page] {
        let (_, posts, next) = newer(&world, &mark, Some(20)).await;
        assert_eq!(posts, [of_star]);
        assert_eq!(newer(&world, &next, Some(20)).await.0, 0, "once");
    }
}

#[tokio::test(start_paused = true)]
async fn posts_of_celebrities_whom_nobody_here_follows_do_not_make_a_late_post_old() {
    let (world, _) = ada_follows_two().await;
    world.other.follow("ada", "bob").await;
    world.other.catch_up(&["ada"]).await;
    let mut mark = mark(&world).await;
    let late = world.other.post("bob", "late").await;
    for second in 0..50 {
        post(&world, "far").await;
        world.pass(Duration::from_secs(1));
        if second % 10 == 0 {
            let (count, _, next) = newer(&world, &mark, Some(20)).await;
            assert_eq!(count, 0);
            mark = next;
        }
    }
    world.other.catch_up(&["bob"]).await;
    assert_eq!(newer(&world, &mark, Some(20)).await.1, [late]);
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_new_posts_are_counted_to_a_hundred_and_shown_one_by_one() {
    let (world, _) = ada_follows_two().await;
    world.other.follow("ada", "bob").await;
    world.other.catch_up(&["ada"]).await;
    let before = mark(&world).await;
    let mut written = Vec::new();
    for _ in 0..260 {
        written.push(world.other.post("bob", "one of many").await);
    }
    world.other.catch_up(&["bob"]).await;
    // Some rows show nothing: another author's, whom ada does not follow.
    let hidden = world.other.post("far", "hidden").await;
    let row = Row { post: hidden, author: user("far") };
    world.other.timelines.put(&[Timeline::Home(user("ada"))], &row).await.unwrap();

    assert_eq!(newer(&world, &before, None).await.0, 100);
    for limit in [7, 100] {
        let (mut shown, mut mark) = (Vec::new(), before.clone());
        loop {
            let (count, mut posts, next) = newer(&world, &mark, Some(limit)).await;
            posts.reverse();
            shown.extend(posts);
            mark = next;
            if count == 0 {
                break;
            }
        }
        assert_eq!(shown, written, "{limit} at a time");
    }
}

/// Ada follows the star and bob, and mutes this author.
async fn ada_follows_bob_and_mutes(muted: &str) -> World {
    let (world, _) = ada_follows_two().await;
    world.other.follow("ada", "bob").await;
    world.other.done("ada", &MuteUser { muted: user(muted), wanted: EdgeState::Active }).await;
    world.other.catch_up(&["ada"]).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_post_is_new_behind_more_posts_of_a_muted_celebrity_than_one_read_looks_at() {
    let world = ada_follows_bob_and_mutes("star").await;
    let before = mark(&world).await;
    for _ in 0..130 {
        post(&world, "star").await;
        world.pass(Duration::from_secs(10));
    }
    let shown = post(&world, "bob").await;
    // Announcements are no longer kept.
    world.pass(Duration::from_secs(3 * 60 * 60));

    let (_, posts, after) = newer(&world, &before, Some(20)).await;
    assert_eq!(posts, [shown]);
    assert_eq!(newer(&world, &after, Some(20)).await.0, 0);
}

/// Puts rows of this author, a second apart, into ada's home.
fn push_rows(world: &World, author: &str, from: Timestamp, number: u64) {
    let row = |second| {
        let post = PostId::new(from.after(Duration::from_secs(second)));
        let key = |text: &str| serde_json::json!({ "S": text });
        serde_json::json!({
            "PK": key("HOME#ada"),
            "SK": key(&post.to_string()),
            "author": key(author),
        })
    };
    let rows: Vec<_> = (0..number).map(row).collect();
    world.put("timelines", &rows);
}

#[tokio::test(start_paused = true)]
async fn posts_behind_thousands_of_hidden_rows_are_new_after_some_more_requests() {
    let world = ada_follows_bob_and_mutes("far").await;
    let mut mark = mark(&world).await;
    let now = world.other.clock.now();
    world.pass(Duration::from_secs(6000));
    push_rows(&world, "far", now, 6000);
    let shown = post(&world, "bob").await;

    let mut counts = Vec::new();
    for _ in 0..3 {
        let (count, posts, next) = newer(&world, &mark, Some(20)).await;
        counts.push(count);
        assert!(posts.iter().all(|post| *post == shown));
        mark = next;
        world.pass(Duration::from_secs(60));
    }
    assert_eq!(counts, [0, 0, 1], "each request gets past 2500 rows");
}

#[tokio::test(start_paused = true)]
async fn a_celebritys_post_is_new_although_it_was_announced_before_the_follow_reached_the_viewer_item() {
    let (world, _) = ada_follows_two().await;
    world.pass(Duration::from_secs(600));
    let before = mark(&world).await;
    world.other.follow("ada", "far").await;
    let early = post(&world, "far").await;
    let (count, _, between) = newer(&world, &before, Some(20)).await;
    assert_eq!(count, 0, "the viewer item lacks the follow");

    world.other.catch_up(&["ada"]).await;
    world.pass(Duration::from_secs(60));
    assert_eq!(newer(&world, &between, Some(20)).await.1, [early]);
}
