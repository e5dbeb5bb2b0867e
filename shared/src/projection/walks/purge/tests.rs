use super::{
    super::testing::{finish, take_walks},
    *,
};
use crate::{
    command::react_to_post,
    model::EdgeState,
    test_world::{Calls, Process, World},
};

/// What ada and bob say, in parts that stand nowhere else.
const SAID: [&str; 7] = ["hush", "psst", "whisper", "cyd_", "murmur", "mumble", "dee_"];

/// Works on walks until none is left. Returns how many steps there were.
async fn work(world: &World) -> usize {
    let walks = take_walks(world);
    finish(world, walks).await
}

/// Takes one step of the purge.
async fn step(process: &Process, post: PostId) {
    let walks = &process.projector.walks;
    walks.purge_step(post, &crate::samples::user("ada"), None, None, walks.step_rows.get()).await.unwrap();
}

/// The items, in any table, that hold something that ada or bob said.
fn left(world: &World) -> Vec<String> {
    let items = world.tables().into_iter().flatten().map(|item| item.to_string());
    items.filter(|item| SAID.iter().any(|said| item.contains(said))).collect()
}

/// Ada writes a post and edits it, bob comments on it, and all of it is shown.
async fn a_talked_about_post() -> (World, PostId) {
    let world = World::new();
    world.other.join(&["ada", "bob"]).await;
    let post = world.other.post("ada", "hush #psst @cyd_").await;
    world.other.catch_up(&["ada", "bob"]).await;
    world.other.edit("ada", post, "whisper #murmur").await;
    world.other.comment("bob", post, "mumble #psst @dee_").await;
    world.other.catch_up(&["ada", "bob"]).await;
    assert_eq!(world.keys("timelines", "TAG#"), ["TAG#murmur"]);
    for said in SAID {
        assert!(left(&world).iter().any(|item| item.contains(said)), "{said} is nowhere");
    }
    (world, post)
}

#[tokio::test(start_paused = true)]
async fn a_deletion_leaves_no_text_tag_or_mention_in_any_table() {
    let (world, post) = a_talked_about_post().await;
    world.other.delete("ada", post).await;
    world.tested.catch_up(&["ada"]).await;

    assert_eq!(work(&world).await, 1);

    assert_eq!(left(&world), [""; 0]);
    assert_eq!(world.keys("timelines", "TAG#"), [""; 0]);
    assert_eq!(world.other.log("bob").await.len(), 2, "the log has no gaps");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_purge_changes_nothing() {
    let (world, post) = a_talked_about_post().await;
    world.other.delete("ada", post).await;
    world.tested.catch_up(&["ada"]).await;
    work(&world).await;
    let tables = world.tables();

    step(&world.tested, post).await;

    assert_eq!(world.tables(), tables);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_is_not_deleted_is_not_purged() {
    let (world, post) = a_talked_about_post().await;
    let tables = world.tables();

    step(&world.tested, post).await;

    assert_eq!(world.tables(), tables);
}

#[tokio::test(start_paused = true)]
async fn many_comments_are_removed_in_parts_of_equal_time() {
    let world = World::with_steps_of(10);
    world.other.join(&["ada", "bob"]).await;
    let post = world.other.post("ada", "hush #psst @cyd_").await;
    for number in 0..101 {
        world.other.comment("bob", post, &format!("mumble {number}")).await;
    }
    world.other.delete("ada", post).await;
    world.tested.catch_up(&["ada"]).await;
    let first = take_walks(&world).remove(0);

    let Step::Next(parts) = world.tested.projector.walks.step(first, 10).await.unwrap() else { panic!("no parts") };
    assert_eq!(parts.len(), 8);
    let steps = finish(&world, parts).await;

    assert!((16..=24).contains(&steps), "some 12 comments in each part: {steps}");
    assert_eq!(left(&world), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn comments_in_several_partitions_are_removed() {
    let world = World::with_steps_of(10);
    world.other.join(&["ada", "bob"]).await;
    let post = world.other.post("ada", "hush").await;
    for number in 0..60 {
        world.other.meets_a_crowd(&TallySubject::Post(post));
        world.other.comment("bob", post, &format!("mumble {number}")).await;
    }
    let elsewhere = format!("POST#{post}#");
    assert!(world.keys("commands", &elsewhere).len() > 30);
    world.other.delete("ada", post).await;
    world.tested.catch_up(&["ada"]).await;

    work(&world).await;

    assert_eq!(left(&world), [""; 0]);
    assert_eq!(world.keys("commands", &elsewhere), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn comments_of_the_same_moment_are_removed_without_parts() {
    let world = World::with_steps_of(2);
    world.other.join(&["ada", "bob"]).await;
    let post = world.other.post("ada", "hush").await;
    let now = world.other.clock.now();
    for number in 0..7 {
        let (comment, text) = (CommentId::new(now), format!("mumble {number}").try_into().unwrap());
        world.other.done("bob", &crate::command::CommentOnPost { post, comment, text, key: None }).await;
    }
    world.other.delete("ada", post).await;
    world.tested.catch_up(&["ada"]).await;

    work(&world).await;

    assert_eq!(left(&world), [""; 0]);
}

/// Deletes the post and removes all that is known of it.
async fn purge(process: &Process, post: PostId) {
    process.delete("ada", post).await;
    process.catch_up(&["ada"]).await;
    step(process, post).await;
}

#[tokio::test(start_paused = true)]
async fn a_comment_that_is_committed_after_the_purge_is_removed_too() {
    let (world, post) = a_talked_about_post().await;
    let other = world.other.clone();
    world.network.before(Calls("TransactWriteItems", "late mumble"), async move || purge(&other, post).await);

    world.tested.comment("bob", post, "late mumble").await;
    world.take_tasks();
    assert_eq!(left(&world).len(), 2, "the comment and its event");
    world.tested.catch_up(&["bob"]).await;
    let walks = take_walks(&world);
    assert!(matches!(walks[..], [Walk::Purge { until: Some(_), .. }]), "nothing but this comment: {walks:?}");
    finish(&world, walks).await;

    assert_eq!(left(&world), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_late_worker_does_not_bring_a_tag_back() {
    let (world, post) = a_talked_about_post().await;
    world.other.edit("ada", post, "hush #psst").await;
    let other = world.other.clone();
    world.network.before(Calls("TransactWriteItems", "TAG#psst"), async move || purge(&other, post).await);

    world.tested.catch_up(&["ada"]).await;
    work(&world).await;

    assert_eq!(left(&world), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn many_likes_and_comments_are_split_once() {
    let world = World::with_steps_of(2);
    let likers = ["bob", "cyd", "dee", "eve", "fay"];
    world.other.join(&["ada"]).await;
    world.other.join(&likers).await;
    let post = world.other.post("ada", "hush").await;
    world.other.catch_up(&["ada"]).await;
    let it = &world.other;
    for liker in likers.map(crate::samples::user) {
        react_to_post(&liker, post, EdgeState::Active, &it.commands, &it.clock).await.unwrap();
    }
    world.tested.projector.repair.settle_likes(post, &likers.map(crate::samples::user)).await.unwrap();
    for number in 0..9 {
        world.other.comment("bob", post, &format!("mumble {number}")).await;
    }
    assert!(!world.keys("timelines", "LIKERS#").is_empty());
    world.other.delete("ada", post).await;
    world.tested.catch_up(&["ada"]).await;

    let (mut open, mut splits) = (take_walks(&world), 0);
    while let Some(walk) = open.pop() {
        splits += usize::from(matches!(walk, Walk::Purge { until: None, .. }));
        if let Step::Next(next) = world.tested.projector.walks.step(walk, 2).await.unwrap() {
            open.extend(next);
        }
    }
    assert_eq!(splits, 1);
    assert_eq!(world.keys("timelines", "LIKERS#"), [""; 0]);
    assert_eq!(left(&world), [""; 0]);
}
