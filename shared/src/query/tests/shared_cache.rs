//! Pages with a shared cache: what they cost, and that they show nothing that is out of date.

use std::{sync::Arc, time::Duration};

use crate::{
    command::react_to_post,
    model::{EdgeState, PostId, TallySubject, Version},
    query::{ReadRequest, TrendingPosition},
    samples::user,
    shared_cache::Memory,
    test_world::{Calls, Process, World},
};

const READ_CARDS: Calls = Calls("BatchGetItem", "\"cards\"");
const READ_VIEWER: Calls = Calls("GetItem", "\"viewers\"");
const READ_HOME: Calls = Calls("Query", "HOME#");
const READ_STAR: Calls = Calls("Query", "AUTHOR#star");
const READ_TRENDS: Calls = Calls("GetItem", "TRENDING");
/// For how long a process keeps cards.
const KEPT: Duration = Duration::from_secs(2);

/// Ada follows bob and the star, whose posts are pulled. Everything is applied.
async fn world() -> (World, Arc<Memory>) {
    let cache = Arc::new(Memory::default());
    let world = World::with_shared_cache(cache.clone());
    world.other.join(&["ada", "bob", "cem", "star"]).await;
    for followee in ["bob", "star"] {
        world.other.follow("ada", followee).await;
    }
    world.other.follow("cem", "star").await;
    world.other.catch_up(&["ada", "bob", "cem", "star"]).await;
    (world, cache)
}

async fn post(world: &World, author: &str, text: &str) -> PostId {
    let post = world.other.post(author, text).await;
    world.other.catch_up(&[author]).await;
    post
}

/// The texts of the viewer's home.
async fn home(process: &Process, viewer: &str) -> Vec<String> {
    home_at(process, viewer, None).await
}

async fn home_at(process: &Process, viewer: &str, min_version: Option<Version>) -> Vec<String> {
    let viewer = user(viewer);
    let page = process.feeds.home(ReadRequest { viewer: &viewer, min_version }, None, 20).await.unwrap().page;
    page.entries
        .into_iter()
        .map(|post| post.card.text.map(|text| text.as_str().to_owned()).unwrap_or_default())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn cold_processes_find_what_others_have_read() {
    let (world, _cache) = world().await;
    post(&world, "bob", "pushed").await;
    post(&world, "star", "first").await;
    world.pass(Duration::from_secs(60));
    post(&world, "star", "pulled").await;
    let expected = ["pulled", "first", "pushed"];
    let reads = || [READ_CARDS, READ_VIEWER, READ_HOME, READ_STAR].map(|calls| world.network.count(calls));
    assert_eq!(home(&world.cold(), "ada").await, expected);
    assert_eq!(reads(), [1, 1, 1, 1]);
    assert_eq!(home(&world.cold(), "ada").await, expected);
    assert_eq!(reads(), [1, 2, 2, 1], "the second page makes the home hot");
    for _ in 0..8 {
        assert_eq!(home(&world.cold(), "ada").await, expected);
    }
    assert_eq!(reads(), [1, 2, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn pages_show_every_change_of_a_card_at_once() {
    let (world, _cache) = world().await;
    let post = post(&world, "bob", "hello").await;
    assert_eq!(home(&world.cold(), "ada").await, ["hello"]);
    world.other.edit("bob", post, "edited").await;
    world.other.catch_up(&["bob"]).await;
    assert_eq!(home(&world.cold(), "ada").await, ["edited"]);
    world.other.rename("bob", "bob_2").await;
    world.other.catch_up(&["bob"]).await;
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: None };
    let page = world.cold().feeds.home(request, None, 20).await.unwrap().page;
    assert_eq!(page.entries[0].card.author_profile.handle.as_str(), "bob_2");
    assert_eq!(world.network.count(READ_CARDS), 1);
    world.other.delete("bob", post).await;
    world.other.catch_up(&["bob"]).await;
    assert_eq!(home(&world.cold(), "ada").await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_read_that_a_deletion_overtakes_is_not_kept() {
    let (world, _cache) = world().await;
    let deleted = post(&world, "bob", "hello").await;
    let other = world.other.clone();
    world.network.after(READ_CARDS, async move || {
        other.delete("bob", deleted).await;
        other.catch_up(&["bob"]).await;
    });
    assert_eq!(home(&world.cold(), "ada").await, ["hello"], "the page was read before");
    assert_eq!(home(&world.cold(), "ada").await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_like_whose_write_was_given_up_before_the_cache_was_told_shows_once_it_comes_again() {
    let (world, _cache) = world().await;
    let post = post(&world, "bob", "hello").await;
    let likes = async || {
        let ada = user("ada");
        let request = ReadRequest { viewer: &ada, min_version: None };
        world.cold().feeds.home(request, None, 20).await.unwrap().page.entries[0].card.likes
    };
    assert_eq!(likes().await, 0);
    let (it, subject) = (&world.other, TallySubject::Post(post));
    react_to_post(&user("ada"), post, EdgeState::Active, &it.commands, &it.clock).await.unwrap();
    let shards: Vec<_> = it.commands.tally(&subject).await.unwrap().0.into_keys().collect();
    let show = || world.tested.projector.repair.settle_tally(&subject, &shards);
    let write = Calls("UpdateItem", "\"cards\"");
    world.network.lose_answers(write, usize::MAX);
    {
        let mut given_up = std::pin::pin!(show());
        while world.network.count(write) == 0 {
            assert!(futures::poll!(&mut given_up).is_pending());
            tokio::task::yield_now().await;
        }
    }
    world.network.calm();
    assert_eq!(likes().await, 0, "the cache has the card as it was");

    show().await.unwrap();
    assert_eq!(likes().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_hot_home_shows_new_rows_and_the_end_of_a_follow_at_once() {
    let (world, _cache) = world().await;
    post(&world, "bob", "first").await;
    for _ in 0..3 {
        assert_eq!(home(&world.cold(), "ada").await, ["first"]);
    }
    assert_eq!(world.network.count(READ_HOME), 2);
    post(&world, "bob", "second").await;
    assert_eq!(home(&world.cold(), "ada").await, ["second", "first"]);
    assert_eq!(home(&world.cold(), "ada").await, ["second", "first"]);
    assert_eq!(world.network.count(READ_HOME), 3, "it is still hot");
    world.other.unfollow("ada", "bob").await;
    world.other.catch_up(&["ada"]).await;
    assert_eq!(home(&world.cold(), "ada").await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_query_for_a_version_takes_nothing_from_the_cache() {
    let (world, _cache) = world().await;
    post(&world, "bob", "hello").await;
    for _ in 0..3 {
        home(&world.cold(), "ada").await;
    }
    let calls = [READ_CARDS, READ_VIEWER, READ_HOME];
    let before = calls.map(|calls| world.network.count(calls));
    let version = world.other.viewer("ada").await.applied;
    assert_eq!(home_at(&world.cold(), "ada", Some(version)).await, ["hello"]);
    assert_eq!(calls.map(|calls| world.network.count(calls)), before.map(|count| count + 1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_cache_changes_nothing_but_the_cost() {
    let (world, cache) = world().await;
    post(&world, "bob", "hello").await;
    for _ in 0..3 {
        home(&world.cold(), "ada").await;
    }
    cache.flush();
    let process = world.cold();
    assert_eq!(home(&process, "ada").await, ["hello"]);
    assert_eq!(world.network.count(READ_CARDS), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_an_erased_account() {
    let (world, cache) = world().await;
    post(&world, "bob", "hello").await;
    for viewer in ["ada", "ada", "bob", "bob"] {
        home(&world.cold(), viewer).await;
    }
    let subject = crate::model::TallySubject::Post;
    let post = world.other.home("bob").await[0];
    world.other.feeds.cards.remove(&subject(post)).await.unwrap();
    world.other.feeds.viewers.remove(&user("bob")).await.unwrap();
    world.pass(KEPT);
    assert_eq!(home(&world.cold(), "ada").await, Vec::<String>::new());
    assert_eq!(world.cold().feeds.viewers.through_cache(&user("bob")).await.unwrap().applied, Version::ZERO);
    drop(cache);
}

#[tokio::test(start_paused = true)]
async fn what_trends_is_read_once_in_two_seconds_by_all_processes_together() {
    let (world, _cache) = world().await;
    let ada = user("ada");
    for _ in 0..5 {
        let request = ReadRequest { viewer: &ada, min_version: None };
        world.cold().feeds.trending(request, TrendingPosition::default(), 20).await.unwrap();
    }
    let once = world.network.count(READ_TRENDS);
    assert!(once > 0);
    world.pass(KEPT);
    let request = ReadRequest { viewer: &ada, min_version: None };
    world.cold().feeds.trending(request, TrendingPosition::default(), 20).await.unwrap();
    assert_eq!(world.network.count(READ_TRENDS), 2 * once);
}
