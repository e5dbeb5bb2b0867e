use super::{
    super::testing::{finish, take_walks},
    *,
};
use crate::{
    deadline::Deadline,
    model::limits::FEED_AGE_MAX,
    query::ReadRequest,
    samples::{shown, user, version},
    store::cards::PostCard,
    test_world::{Calls, World},
};

/// Ada has joined, with so many posts, which are all projected.
async fn ada_has_posts(world: &World, posts: usize) -> Vec<PostId> {
    world.other.join(&["ada"]).await;
    let mut ids = Vec::new();
    for number in 0..posts {
        ids.push(world.other.post("ada", &format!("post {number}")).await);
    }
    world.other.catch_up(&["ada"]).await;
    ids
}

/// How many of the posts show ada with this handle.
async fn shown_as(world: &World, posts: &[PostId], handle: &str) -> usize {
    let cards = world.other.cards.posts(posts, Consistency::Strong).await.unwrap();
    cards.values().filter(|card| card.author_profile == shown(handle)).count()
}

/// How many posts on the page of ada's own posts show this handle.
async fn on_own_page(world: &World, handle: &str) -> usize {
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: Some(world.other.viewer("ada").await.applied) };
    let page = world.other.feeds.author(request, &ada, None, 100).await.unwrap();
    page.entries.iter().filter(|post| post.card.author_profile == shown(handle)).count()
}

#[tokio::test(start_paused = true)]
async fn a_few_posts_show_a_new_profile_without_a_walk() {
    let world = World::new();
    let posts = ada_has_posts(&world, 5).await;
    world.other.rename("ada", "ada_2").await;

    world.tested.catch_up(&["ada"]).await;

    assert_eq!((take_walks(&world), shown_as(&world, &posts, "ada_2").await), (vec![], 5));
    assert_eq!(world.other.viewer("ada").await.unfinished.profile, None);
}

#[tokio::test(start_paused = true)]
async fn a_new_profile_reaches_hundreds_of_posts_and_the_author_sees_it_on_all_of_them_at_once() {
    let world = World::with_steps_of(30);
    let posts = ada_has_posts(&world, 99).await;
    world.other.rename("ada", "ada_2").await;

    world.tested.catch_up(&["ada"]).await;

    assert_eq!((shown_as(&world, &posts, "ada_2").await, on_own_page(&world, "ada_2").await), (30, 99));
    assert!(world.other.viewer("ada").await.unfinished.profile.is_some());
    assert_eq!(finish(&world, take_walks(&world)).await, 3);
    assert_eq!((shown_as(&world, &posts, "ada_2").await, on_own_page(&world, "ada_2").await), (99, 99));
    assert_eq!(world.other.viewer("ada").await.unfinished.profile, None);
}

#[tokio::test(start_paused = true)]
async fn posts_that_have_left_the_feeds_show_a_new_profile_too() {
    let world = World::new();
    let posts = ada_has_posts(&world, 2).await;
    world.pass(2 * FEED_AGE_MAX);
    world.other.rename("ada", "ada_2").await;

    world.tested.catch_up(&["ada"]).await;

    assert_eq!(shown_as(&world, &posts, "ada_2").await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_walk_ends_when_a_newer_profile_has_its_own() {
    let world = World::with_steps_of(2);
    let posts = ada_has_posts(&world, 9).await;
    world.other.rename("ada", "ada_2").await;
    world.tested.catch_up(&["ada"]).await;
    let old = take_walks(&world);
    world.other.rename("ada", "ada_3").await;

    assert_eq!(finish(&world, old).await, 1);

    assert!(world.other.viewer("ada").await.unfinished.profile.is_some());
    world.tested.catch_up(&["ada"]).await;
    finish(&world, take_walks(&world)).await;
    assert_eq!(shown_as(&world, &posts, "ada_3").await, 9);
    assert_eq!(world.other.viewer("ada").await.unfinished.profile, None);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_is_projected_while_the_profile_changes_shows_the_new_one() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    world.other.catch_up(&["ada"]).await;
    // One page of the log has an edit, which reads the profile, and a new post.
    let old = world.other.post("ada", "old").await;
    world.other.catch_up(&["ada"]).await;
    world.other.edit("ada", old, "older").await;
    let post = world.other.post("ada", "new").await;
    let other = world.other.clone();
    // Another worker shows the new profile before the post has its row.
    world.network.before(Calls("BatchWriteItem", "AUTHOR#ada"), async move || {
        other.rename("ada", "ada_2").await;
        let profile = other.commands.profile(&user("ada")).await.unwrap().unwrap();
        other.projector.walks.show_profile(&profile).await.unwrap();
    });

    // This worker does not come to the change of the profile.
    let catch_up = &world.tested.projector.catch_up;
    catch_up.user(&user("ada"), Some(version(4)), Deadline::none()).await.unwrap();

    assert_eq!(world.other.viewer("ada").await.applied, version(4));
    assert_eq!(shown_as(&world, &[old, post], "ada_2").await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_card_with_an_older_profile_gets_the_newer_one_of_whoever_writes_the_post() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    let post = world.other.post("ada", "hello").await;
    let it = &world.other;
    let card = async || {
        let profile = it.commands.profile(&user("ada")).await.unwrap().unwrap();
        PostCard::new(it.commands.post(post).await.unwrap().unwrap(), profile)
    };
    // A rebuild of timelines alone uses the same cards, but its rows are where no walk of a new profile finds them.
    let older = card().await;
    it.cards.put_post(&older, it.clock.now()).await.unwrap();
    it.rename("ada", "ada_2").await;

    it.cards.put_post(&card().await, it.clock.now()).await.unwrap();
    assert_eq!(shown_as(&world, &[post], "ada_2").await, 1);
    it.cards.put_post(&older, it.clock.now()).await.unwrap();
    assert_eq!(shown_as(&world, &[post], "ada_2").await, 1);
}
