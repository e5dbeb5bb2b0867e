//! Single posts and their comments.

use crate::{
    command::{CommentOnPost, DeleteComment, MuteUser, react_to_post},
    error::{Error, Rejection},
    model::{CommentId, Counts, EdgeState, PostId, TallyChange, TallyImage, TallyShard, TallySubject},
    projection::tally,
    query::{CommentWithAuthor, CommentsOf, FeedPost, HiddenComments, Page, ReadRequest},
    samples::{shown, user},
    store::{Consistency, comments::CommentOrder},
    test_world::World,
};

/// Ada, bob and carol have joined, and ada has written a post. All logs are applied.
async fn ada_has_written() -> (World, PostId) {
    let world = World::new();
    world.other.join(&["ada", "bob", "carol"]).await;
    let post = world.other.post("ada", "hello").await;
    world.other.catch_up(&["ada", "bob", "carol"]).await;
    (world, post)
}

async fn comment(world: &World, author: &str, post: PostId, text: &str) -> CommentId {
    let comment = CommentId::new(world.other.clock.now());
    let text = text.to_owned().try_into().unwrap();
    world.other.done(author, &CommentOnPost { post, comment, text, key: None }).await;
    comment
}

/// The post as the viewer sees it.
async fn post_seen_by(world: &World, viewer: &str, post: PostId) -> Result<FeedPost, Error> {
    let viewer = user(viewer);
    world.tested.conversations().post(ReadRequest { viewer: &viewer, min_version: None }, post).await
}

/// A page of the comments that bob sees, oldest first.
async fn comments(
    world: &World,
    post: PostId,
    after: Option<CommentId>,
    limit: usize,
) -> Page<CommentWithAuthor, CommentId> {
    let bob = user("bob");
    let request = ReadRequest { viewer: &bob, min_version: None };
    world.tested.conversations().comments(request, of(post, CommentOrder::OldestFirst), after, limit).await.unwrap()
}

fn of(post: PostId, order: CommentOrder) -> CommentsOf {
    CommentsOf { post, order, hidden: HiddenComments::LeaveOut }
}

fn texts(page: &Page<CommentWithAuthor, CommentId>) -> Vec<&str> {
    page.entries.iter().map(|entry| entry.comment.text.as_ref().unwrap().as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_post_that_has_no_card_yet_is_read_from_the_truth() {
    let (world, _) = ada_has_written().await;
    let post = world.other.post("ada", "brand new").await;

    let seen = post_seen_by(&world, "bob", post).await.unwrap();

    assert_eq!(seen.card.text.unwrap().as_str(), "brand new");
    assert_eq!(seen.card.author_profile, shown("ada"));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_post_does_not_exist_with_and_without_a_card() {
    let (world, post) = ada_has_written().await;
    let without_card = world.other.post("ada", "brand new").await;
    world.other.delete("ada", without_card).await;
    world.other.delete("ada", post).await;
    let seen = post_seen_by(&world, "bob", without_card).await;
    assert!(matches!(seen, Err(Error::Rejected(Rejection::PostNotFound))), "{seen:?}");

    world.other.catch_up(&["ada"]).await;
    let seen = post_seen_by(&world, "bob", post).await;
    assert!(matches!(seen, Err(Error::Rejected(Rejection::PostNotFound))), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_like_shows_to_its_user_at_once() {
    let (world, post) = ada_has_written().await;
    react_to_post(&user("bob"), post, EdgeState::Active, &world.other.commands, &world.other.clock).await.unwrap();

    assert!(post_seen_by(&world, "bob", post).await.unwrap().liked);
    assert!(!post_seen_by(&world, "carol", post).await.unwrap().liked);
}

#[tokio::test(start_paused = true)]
async fn comments_that_are_deleted_or_by_muted_users_are_left_out_of_full_pages() {
    let (world, post) = ada_has_written().await;
    let mut deleted = Vec::new();
    for number in 1..=3 {
        comment(&world, "ada", post, &format!("ada {number}")).await;
        comment(&world, "carol", post, &format!("carol {number}")).await;
        deleted.push(comment(&world, "bob", post, &format!("bob {number}")).await);
    }
    for comment in deleted {
        world.other.done("bob", &DeleteComment { post, comment }).await;
    }
    world.other.done("bob", &MuteUser { muted: user("carol"), wanted: EdgeState::Active }).await;
    world.other.catch_up(&["bob"]).await;

    let first = comments(&world, post, None, 2).await;
    assert_eq!(texts(&first), ["ada 1", "ada 2"]);
    let last = comments(&world, post, first.next, 2).await;
    assert_eq!((texts(&last), last.next), (vec!["ada 3"], None));
}

/// The comment as bob sees it.
async fn comment_seen(world: &World, post: PostId, comment: CommentId) -> Result<CommentWithAuthor, Error> {
    let bob = user("bob");
    world.tested.conversations().comment(ReadRequest { viewer: &bob, min_version: None }, post, comment).await
}

#[tokio::test(start_paused = true)]
async fn a_comment_is_found_by_its_id_until_it_or_its_post_is_deleted() {
    let (world, post) = ada_has_written().await;
    let (first, second) = (comment(&world, "carol", post, "one").await, comment(&world, "carol", post, "two").await);
    world.other.done("bob", &MuteUser { muted: user("carol"), wanted: EdgeState::Active }).await;
    world.other.catch_up(&["bob"]).await;

    let seen = comment_seen(&world, post, first).await.unwrap();
    assert_eq!(seen.comment.text.unwrap().as_str(), "one", "a mute does not hide what is looked up");
    assert_eq!(seen.author.profile, shown("carol"));
    let elsewhere = world.other.post("ada", "another").await;
    let missing = CommentId::new(world.other.clock.now());
    world.other.done("carol", &DeleteComment { post, comment: first }).await;
    for (post, comment) in [(post, first), (post, missing), (elsewhere, second)] {
        let seen = comment_seen(&world, post, comment).await;
        assert!(matches!(seen, Err(Error::Rejected(Rejection::CommentNotFound))), "{seen:?}");
    }
    world.other.delete("ada", post).await;
    world.other.catch_up(&["ada"]).await;
    let seen = comment_seen(&world, post, second).await;
    assert!(matches!(seen, Err(Error::Rejected(Rejection::PostNotFound))), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_comment_by_a_blocked_user_is_not_found() {
    let (world, post) = ada_has_written().await;
    let by_carol = comment(&world, "carol", post, "one").await;
    let blocked = world.other.block("bob", "carol").await;
    let bob = user("bob");
    let request = ReadRequest { viewer: &bob, min_version: Some(blocked) };

    let seen = world.tested.conversations().comment(request, post, by_carol).await;

    assert!(matches!(seen, Err(Error::Rejected(Rejection::CommentNotFound))), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn the_author_of_a_comment_is_shown_before_any_projection_has_reached_them() {
    let (world, post) = ada_has_written().await;
    world.other.join(&["dan"]).await;
    comment(&world, "dan", post, "hello").await;

    let page = comments(&world, post, None, 10).await;

    assert_eq!(page.entries[0].author.profile, shown("dan"));
}

#[tokio::test(start_paused = true)]
async fn the_viewers_comment_has_the_new_profile_if_the_viewer_asks_for_it() {
    let (world, post) = ada_has_written().await;
    comment(&world, "bob", post, "hello").await;
    let renamed = world.other.rename("bob", "bob_2").await;
    let bob = user("bob");
    let request = ReadRequest { viewer: &bob, min_version: Some(renamed) };

    let page = world.tested.conversations().comments(request, of(post, CommentOrder::NewestFirst), None, 10).await;

    assert_eq!(page.unwrap().entries[0].author.profile, shown("bob_2"));
}

#[tokio::test(start_paused = true)]
async fn comments_on_a_post_that_does_not_exist_are_rejected() {
    let (world, post) = ada_has_written().await;
    world.other.delete("ada", post).await;
    let bob = user("bob");
    for min_version in [Some(crate::samples::version(1)), None] {
        let request = ReadRequest { viewer: &bob, min_version };
        let page = world.tested.conversations().comments(request, of(post, CommentOrder::OldestFirst), None, 10).await;
        assert!(matches!(page, Err(Error::Rejected(Rejection::PostNotFound))), "{page:?}");
        world.other.catch_up(&["ada"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_an_edit_has_the_counts_of_the_card() {
    let (world, post) = ada_has_written().await;
    let subject = TallySubject::Post(post);
    let image = TallyImage { version: 1, counts: Counts { likes: 2, comments: 1, heat: 5, ..Counts::default() } };
    let change = TallyChange { subject: subject.clone(), shard: TallyShard::default(), image };
    tally::show(&world.other.cards, &subject, &[change]).await.unwrap();
    let version = world.other.edit("ada", post, "edited").await;
    let edited = world.other.commands.post(post).await.unwrap().unwrap();
    let author = world.other.commands.profile(&user("ada")).await.unwrap().unwrap();

    let shown = world.tested.conversations().written(&user("ada"), version, edited, author).await.unwrap().card;

    assert_eq!(shown.text.unwrap().as_str(), "edited");
    assert_eq!((shown.likes, shown.comments, shown.heat), (2, 1, 5));
}

#[tokio::test(start_paused = true)]
async fn an_author_sees_the_new_name_on_a_post_whose_card_has_the_old_one() {
    let (world, post) = ada_has_written().await;
    world.other.rename("ada", "ada_2").await;
    let card = world.items("cards").into_iter().find(|item| item["PK"]["S"] == format!("POST#{post}")).unwrap();
    world.other.catch_up(&["ada"]).await;
    // As if the walk that shows the name on all cards had not come to this one.
    let version = world.other.commands.head(&user("ada")).await.unwrap().version;
    let before = world.other.viewers.get(&user("ada"), Consistency::Strong).await.unwrap();
    let mut viewer = before.viewer.clone();
    viewer.unfinished.profile = Some(version);
    world.other.viewers.put(&user("ada"), &before, viewer).await.unwrap();
    world.put("cards", &[card]);

    let seen = post_seen_by(&world, "ada", post).await.unwrap();
    assert_eq!(seen.card.author_profile.handle.as_str(), "ada_2");
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: None };
    let seen = world.tested.conversations().posts(request, &[post]).await.unwrap();
    assert_eq!(seen[0].card.author_profile.handle.as_str(), "ada_2");
    assert_eq!(post_seen_by(&world, "bob", post).await.unwrap().card.author_profile.handle.as_str(), "ada");
}
