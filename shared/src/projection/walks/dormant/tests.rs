use serde_json::json;

use super::{
    super::testing::{finish, take_walks},
    *,
};
use crate::{
    model::{PostId, RunStep, Version},
    query::{Newest, Ranking, ReadRequest},
    samples::user,
    store::timelines::Row,
    stream::work_queue::Task,
    test_world::World,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A world where homes are left out ten days after the last visit.
fn world() -> World {
    World::with(&[("DORMANT_DAYS", 10)])
}

/// Ada follows these authors.
async fn ada_follows(world: &World, authors: &[&str]) {
    world.other.join(&["ada"]).await;
    world.other.join(authors).await;
    for author in authors {
        world.other.follow("ada", author).await;
    }
    world.other.catch_up(authors).await;
    world.other.catch_up(&["ada"]).await;
    world.take_tasks();
}

async fn post(world: &World, author: &str) -> PostId {
    let post = world.other.post(author, "hello").await;
    world.tested.catch_up(&[author]).await;
    post
}

/// The posts on ada's page, newest first, and its mark.
async fn page(world: &World, min_version: Option<Version>) -> (Vec<PostId>, Option<Newest>) {
    let ada = user("ada");
    let home = world.other.feeds.home(ReadRequest { viewer: &ada, min_version }, None, 100).await.unwrap();
    (home.page.entries.iter().map(|post| post.card.post).collect(), home.newest)
}

async fn ranked(world: &World) -> Vec<PostId> {
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: None };
    let home = world.other.feeds.ranked_home(request, Ranking::Ranked, None, 100).await.unwrap();
    let mut posts: Vec<_> = home.page.entries.iter().map(|post| post.card.post).collect();
    posts.sort_unstable_by(|a, b| b.cmp(a));
    posts
}

async fn new_since(world: &World, mark: &Newest) -> usize {
    let ada = user("ada");
    world.other.feeds.newer(ReadRequest { viewer: &ada, min_version: None }, mark, None).await.unwrap().count
}

async fn visit(world: &World) -> Option<Visit> {
    world.other.timelines.visit(&user("ada"), Consistency::Strong).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_home_that_nobody_reads_gets_no_rows_and_is_complete_for_whoever_returns() {
    let world = world();
    ada_follows(&world, &["bob", "cem"]).await;
    let first = post(&world, "bob").await;
    assert_eq!(page(&world, None).await.0, [first]);
    let (_, mark) = page(&world, None).await;
    world.pass(11 * DAY);

    let [second, third] = [post(&world, "bob").await, post(&world, "cem").await];

    assert_eq!(world.other.home("ada").await, [first], "nobody has read the home for ten days");
    assert_eq!(world.other.home("bob").await.len(), 2, "an author's own home has all posts");
    assert_eq!(new_since(&world, &mark.unwrap()).await, 2);
    let all = [third, second, first];
    let applied = world.other.viewer("ada").await.applied;
    for _ in 0..2 {
        assert_eq!(page(&world, None).await.0, all);
        assert_eq!(page(&world, Some(applied)).await.0, all);
        assert_eq!(ranked(&world).await, all);
    }
    assert_eq!((world.other.home("ada").await, take_walks(&world)), (vec![first], vec![]), "no push, no walk");

    let fourth = post(&world, "cem").await;
    let walks = take_walks(&world);
    assert!(matches!(walks[..], [Walk::CompleteHome { .. }]), "{walks:?}");
    post(&world, "cem").await;
    assert_eq!(take_walks(&world), [], "the walk is under way");
    finish(&world, walks).await;
    let home = world.other.home("ada").await;
    assert_eq!(home[1..], [fourth, third, second, first], "all rows are copied");
    assert_eq!(page(&world, None).await.0, home);
    assert_eq!(visit(&world).await.unwrap().incomplete_since, None);
}

#[tokio::test(start_paused = true)]
async fn a_page_does_not_take_a_home_for_whole_because_that_of_another_table_was() {
    let world = world();
    ada_follows(&world, &["bob"]).await;
    let first = post(&world, "bob").await;
    page(&world, None).await;
    world.pass(11 * DAY);
    let second = post(&world, "bob").await;
    assert_eq!(world.other.home("ada").await, [first]);

    let (ada, now) = (user("ada"), world.other.clock.now());
    let before = PostId::lowest(now.after(DAY));
    for (table, expected) in [("b", vec![second, first]), ("a", vec![first])] {
        let walk = json!({"home": {"before": before, "as_of": now, "only_own": false, "table": table}});
        let (request, walk) = (ReadRequest { viewer: &ada, min_version: None }, serde_json::from_value(walk).unwrap());
        let page = world.cold().feeds.home(request, Some(walk), 20).await.unwrap().page;
        assert_eq!(page.entries.iter().map(|post| post.card.post).collect::<Vec<_>>(), expected, "{table}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_knows_no_visits_can_read_one_as_a_row() {
    let world = world();
    ada_follows(&world, &["bob"]).await;
    let real = post(&world, "bob").await;
    let home: Vec<_> = world.items("timelines").into_iter().filter(|item| item["PK"]["S"] == "HOME#ada").collect();
    assert_eq!(home.len(), 2);
    for item in home {
        let id: PostId = item["SK"]["S"].as_str().unwrap().parse().unwrap();
        let author: UserId = item["author"]["S"].as_str().unwrap().parse().unwrap();
        assert!(id == real && author == user("bob") || id > real && author == user("ada"));
    }
}

#[tokio::test(start_paused = true)]
async fn each_visit_puts_off_the_end_and_polling_is_a_visit() {
    let world = world();
    ada_follows(&world, &["bob"]).await;
    let mut posts = vec![post(&world, "bob").await];
    let (_, mark) = page(&world, None).await;
    let mark = mark.unwrap();
    for _ in 0..3 {
        world.pass(6 * DAY);
        assert_eq!(new_since(&world, &mark).await, posts.len() - 1);
        posts.push(post(&world, "bob").await);
    }
    posts.reverse();
    assert_eq!(world.other.home("ada").await, posts);
    assert!(take_walks(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_walk_copies_all_followed_authors_in_small_steps_and_a_page_at_each_is_complete() {
    let world = World::with(&[("DORMANT_DAYS", 10), ("WALK_STEP_ROWS", 2)]);
    ada_follows(&world, &["bob", "cem", "dan"]).await;
    post(&world, "bob").await;
    world.pass(11 * DAY);
    for _ in 0..5 {
        for author in ["bob", "cem"] {
            post(&world, author).await;
        }
    }
    let (before, _) = page(&world, None).await;
    assert_eq!((before.len(), world.other.home("ada").await.len()), (11, 1));
    let last = post(&world, "dan").await;
    let mut walks = take_walks(&world);
    let mut steps = 0;
    while let Some(walk) = walks.pop() {
        assert_eq!(page(&world, None).await.0, [&[last], &before[..]].concat());
        match world.tested.projector.walks.step(walk.clone(), 2).await.unwrap() {
            Step::Done => {}
            Step::Next(next) => walks.extend(next),
            Step::Later(delay, walk) => {
                assert_eq!(delay, PAGES_END);
                walks.push(walk);
            }
        }
        // A step that is repeated changes nothing, and a home that was read meanwhile neither.
        world.tested.projector.walks.advance(walk, RunStep::first()).await.unwrap();
        steps += 1;
        assert!(steps < 100, "the walk does not end");
    }
    assert!(steps > 5, "{steps} steps");
    assert_eq!(world.other.home("ada").await, [&[last], &before[..]].concat());
}

/// The first step of the walk of ada's home that ends within the posts of an author, and that author.
async fn within_an_author(world: &World) -> (Walk, UserId) {
    let mut walks = take_walks(world);
    loop {
        let Step::Next(next) = world.tested.projector.walks.step(walks.pop().unwrap(), 2).await.unwrap() else {
            panic!("the walk ends before")
        };
        walks = next;
        if let [Walk::CompleteHome { at: HomeAt::Followed { below: Some((author, _)), .. }, .. }] = &walks[..] {
            let author = author.clone();
            return (walks.remove(0), author);
        }
    }
}

/// Ada comes back after bob and cem have written five posts each, of which her home has none, and another one.
async fn returned_to_many_posts(numbers: &[(&'static str, u64)]) -> World {
    let world = World::with(&[&[("DORMANT_DAYS", 10), ("WALK_STEP_ROWS", 2)], numbers].concat());
    ada_follows(&world, &["bob", "cem"]).await;
    post(&world, "bob").await;
    world.pass(11 * DAY);
    for _ in 0..5 {
        for author in ["bob", "cem"] {
            post(&world, author).await;
        }
    }
    page(&world, None).await;
    post(&world, "bob").await;
    world
}

#[tokio::test(start_paused = true)]
async fn an_author_who_is_unfollowed_between_two_steps_takes_no_rows_of_others_along() {
    let world = returned_to_many_posts(&[]).await;
    let (walk, author) = within_an_author(&world).await;
    world.other.unfollow("ada", author.as_str()).await;
    world.other.catch_up(&["ada"]).await;
    world.take_tasks();

    finish(&world, vec![walk]).await;

    let other = if author == user("bob") { "cem" } else { "bob" };
    let rows = world.other.rows(&Timeline::Home(user("ada"))).await;
    let theirs = rows.iter().filter(|row| row.author == user(other)).count();
    assert_eq!(theirs, world.other.rows(&Timeline::Author(user(other))).await.len());
}

#[tokio::test(start_paused = true)]
async fn an_author_who_is_promoted_between_two_steps_does_not_hold_up_the_walk() {
    let world = returned_to_many_posts(&[("CELEBRITY_FOLLOWERS", 2)]).await;
    let (walk, author) = within_an_author(&world).await;
    world.other.commands.promote(&author, world.other.clock.now()).await.unwrap();
    world.pass(DAY);

    let steps = finish(&world, vec![walk]).await;

    assert!(steps < 20, "{steps}");
    assert_eq!(visit(&world).await.unwrap().incomplete_since, None);
}

#[tokio::test(start_paused = true)]
async fn a_home_that_gets_rows_for_too_long_gets_them_for_the_usual_time() {
    let world = world();
    ada_follows(&world, &["bob"]).await;
    post(&world, "bob").await;
    let before = visit(&world).await.unwrap();
    let long = Visit { pushed_until: before.pushed_until.after(1000 * DAY), ..before };
    assert!(world.other.timelines.change_visit(&user("ada"), &before, &long).await.unwrap());
    post(&world, "bob").await;
    let after = visit(&world).await.unwrap().pushed_until;
    assert!(after >= before.pushed_until && after < before.pushed_until.after(DAY), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_visit_that_was_taken_for_a_row_stays() {
    let world = world();
    ada_follows(&world, &["bob"]).await;
    post(&world, "bob").await;
    let home = Timeline::Home(user("ada"));
    let row = Row { post: "ffffffff-ffff-7fff-bfff-ffffffffffff".parse().unwrap(), author: user("ada") };
    world.other.repair(Task::CheckRow { timeline: home.key(), post: row.post, author: row.author }).await.unwrap();
    assert!(visit(&world).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_of_one_follower_takes_no_post_from_others() {
    let world = world();
    ada_follows(&world, &["bob"]).await;
    for follower in ["carol", "dan"] {
        world.other.join(&[follower]).await;
        world.other.follow(follower, "bob").await;
    }
    let visit = json!({
        "PK": {"S": Timeline::Home(user("carol")).key()}, "SK": {"S": "ffffffff-ffff-7fff-bfff-ffffffffffff"},
        "author": {"S": "carol"}, "pushed_until": {"S": "nonsense"},
    });
    world.put("timelines", &[visit]);
    world.put("commands", &[json!({"PK": {"S": "USER#dan"}, "SK": {"S": "PROFILE"}, "handle": {"N": "7"}})]);

    let post = post(&world, "bob").await;

    for follower in ["ada", "carol", "dan"] {
        let (home, post) = (json!({"S": Timeline::Home(user(follower)).key()}), json!({"S": post}));
        assert!(world.items("timelines").iter().any(|row| row["PK"] == home && row["SK"] == post), "{follower}");
    }
}

/// Ada has come back to a home that lacks a post by bob, and a further one by him has begun the walk that completes it.
async fn returned() -> (World, Vec<Walk>) {
    let world = world();
    ada_follows(&world, &["bob"]).await;
    post(&world, "bob").await;
    world.pass(11 * DAY);
    post(&world, "bob").await;
    page(&world, None).await;
    post(&world, "bob").await;
    let walks = take_walks(&world);
    assert_eq!(walks.len(), 1);
    (world, walks)
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_was_lost_is_begun_again_by_a_later_push() {
    let (world, _) = returned().await;
    world.pass(AGAIN_AFTER);
    post(&world, "bob").await;
    let walks = take_walks(&world);
    assert_eq!(walks.len(), 1);
    finish(&world, walks).await;
    assert_eq!(world.other.home("ada").await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_walk_of_an_earlier_return_ends_nothing() {
    let (world, early) = returned().await;
    world.pass(11 * DAY);
    let missed = post(&world, "bob").await;
    page(&world, None).await;
    finish(&world, early).await;
    assert!(visit(&world).await.unwrap().incomplete_since.is_some());
    assert!(!world.other.home("ada").await.contains(&missed));
    assert!(page(&world, None).await.0.contains(&missed));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_account_leaves_no_visit() {
    let world = world();
    ada_follows(&world, &["bob"]).await;
    let row = Row { post: post(&world, "bob").await, author: user("bob") };
    assert!(visit(&world).await.is_some());
    let home = Timeline::Home(user("ada"));
    world.other.timelines.put(std::slice::from_ref(&home), &row).await.unwrap();
    while world.other.timelines.clear(&home, 1).await.unwrap() {}
    assert_eq!((visit(&world).await, world.other.rows(&home).await), (None, vec![]));
}
