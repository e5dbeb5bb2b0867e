//! Who is hidden from whom: blocks in both directions, and mutes.

use crate::{
    command::{BlockUser, CommentOnPost, DeleteComment, FollowUser, MuteUser, react_to_post},
    error::{Error, Rejection},
    model::{Blockers, CommentId, EdgeState, PostId},
    query::{CommentsOf, HiddenComments, ReadRequest, Relation, people::Side},
    samples::user,
    store::{Consistency, comments::CommentOrder},
    test_world::World,
};

const EVERYBODY: [&str; 3] = ["ada", "bob", "carol"];

/// Ada, bob and carol have joined. Ada and bob have written a post each, with the same tag, and follow carol. All logs
/// are applied.
async fn ada_and_bob_have_written() -> (World, PostId, PostId) {
    let world = World::new();
    world.other.join(&EVERYBODY).await;
    let of_ada = world.other.post("ada", "of ada #you").await;
    let of_bob = world.other.post("bob", "of bob #you").await;
    for follower in ["ada", "bob"] {
        world.other.follow(follower, "carol").await;
    }
    world.other.catch_up(&EVERYBODY).await;
    (world, of_ada, of_bob)
}

async fn comment(world: &World, author: &str, post: PostId) -> CommentId {
    let comment = CommentId::new(world.other.clock.now());
    let text = format!("of {author}").try_into().unwrap();
    world.other.done(author, &CommentOnPost { post, comment, text, key: None }).await;
    comment
}

async fn mute(world: &World, id: &str, muted: &str) {
    world.other.done(id, &MuteUser { muted: user(muted), wanted: EdgeState::Active }).await;
    world.other.catch_up(&[id]).await;
}

/// Makes the viewer item of the user one that does not list who blocks the user, as older releases wrote it.
async fn unlist_blockers(world: &World, id: &str) {
    let before = world.other.viewers.get(&user(id), Consistency::Strong).await.unwrap();
    let viewer = crate::model::Viewer { blocked_by: Blockers::Unlisted, ..before.viewer.clone() };
    world.other.viewers.put(&user(id), &before, viewer).await.unwrap();
}

/// The authors of the comments that the viewer sees on a post, and whether each is hidden.
async fn comments(
    world: &World,
    viewer: &str,
    post: PostId,
    hidden: HiddenComments,
) -> Result<Vec<(String, bool)>, Error> {
    let viewer = user(viewer);
    let request = ReadRequest { viewer: &viewer, min_version: None };
    let of = CommentsOf { post, order: CommentOrder::OldestFirst, hidden };
    let page = world.tested.conversations().comments(request, of, None, 10).await?;
    Ok(page.entries.into_iter().map(|entry| (entry.comment.author.to_string(), entry.hidden)).collect())
}

/// The users on this list.
async fn people(world: &World, viewer: &str, side: Side, of: &str) -> Vec<String> {
    let viewer = user(viewer);
    let request = ReadRequest { viewer: &viewer, min_version: None };
    let page = world.tested.people().people(request, side, &user(of), None, 10).await.unwrap();
    page.entries.into_iter().map(|card| card.user.to_string()).collect()
}

/// The posts with the tag, and those of an author, that the viewer sees.
async fn posts(world: &World, viewer: &str, author: &str) -> [Vec<PostId>; 2] {
    let viewer = user(viewer);
    let request = ReadRequest { viewer: &viewer, min_version: None };
    let feeds = &world.tested.feeds;
    let tagged = feeds.tag(request, &"you".parse().unwrap(), None, 10).await.unwrap().entries;
    let by_author = feeds.author(request, &user(author), None, 10).await.unwrap().entries;
    [tagged, by_author].map(|posts| posts.iter().map(|post| post.card.post).collect())
}

async fn sees_post(world: &World, viewer: &str, post: PostId) -> bool {
    let viewer = user(viewer);
    match world.tested.conversations().post(ReadRequest { viewer: &viewer, min_version: None }, post).await {
        Ok(_) => true,
        Err(Error::Rejected(Rejection::PostNotFound)) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn relation(world: &World, viewer: &str, other: &str) -> Relation {
    let viewer = user(viewer);
    let request = ReadRequest { viewer: &viewer, min_version: None };
    world.tested.people().profile(request, &user(other)).await.unwrap().relation
}

#[tokio::test(start_paused = true)]
async fn a_block_hides_each_from_the_other_until_it_ends() {
    let (world, of_ada, of_bob) = ada_and_bob_have_written().await;
    let of_carol = world.other.post("carol", "of carol").await;
    for author in ["ada", "bob"] {
        comment(&world, author, of_carol).await;
    }
    world.other.block("ada", "bob").await;
    world.other.catch_up(&["ada", "carol"]).await;
    for unlisted in [false, true] {
        if unlisted {
            unlist_blockers(&world, "bob").await;
        }
        for (viewer, own, other, others) in [("ada", of_ada, "bob", of_bob), ("bob", of_bob, "ada", of_ada)] {
            assert!(sees_post(&world, viewer, own).await && !sees_post(&world, viewer, others).await);
            let [tagged, by_other] = posts(&world, viewer, other).await;
            assert_eq!((tagged, by_other), (vec![own], vec![]), "{viewer}");
            let seen = comments(&world, viewer, of_carol, HiddenComments::LeaveOut).await.unwrap();
            assert_eq!(seen, [(viewer.to_owned(), false)]);
            let none = comments(&world, viewer, others, HiddenComments::LeaveOut).await;
            assert!(matches!(none, Err(Error::Rejected(Rejection::PostNotFound))), "{none:?}");
            assert_eq!(people(&world, viewer, Side::Followers, "carol").await, [viewer]);
            assert_eq!(people(&world, viewer, Side::Following, other).await, [""; 0]);
        }
    }
    let none = Relation { following: false, followed_by: false, muted: false, blocked: false, blocked_by: false };
    assert_eq!(relation(&world, "ada", "bob").await, Relation { blocked: true, ..none });
    assert_eq!(relation(&world, "bob", "ada").await, Relation { blocked_by: true, ..none });
    assert_eq!(people(&world, "ada", Side::Blocked, "ada").await, ["bob"], "this list is for undoing it");

    world.other.done("ada", &BlockUser { blocked: user("bob"), wanted: EdgeState::Ended }).await;
    world.other.catch_up(&["ada"]).await;
    assert!(sees_post(&world, "bob", of_ada).await && sees_post(&world, "ada", of_bob).await);
}

#[tokio::test(start_paused = true)]
async fn what_was_done_before_a_block_can_be_undone() {
    let (world, of_ada, _) = ada_and_bob_have_written().await;
    let (commands, clock) = (&world.other.commands, &world.other.clock);
    let bob = user("bob");
    react_to_post(&bob, of_ada, EdgeState::Active, commands, clock).await.unwrap();
    let of_bob = comment(&world, "bob", of_ada).await;
    world.other.block("ada", "bob").await;

    let like = react_to_post(&bob, of_ada, EdgeState::Ended, commands, clock).await;
    let unfollow = world.other.run("bob", &FollowUser { followee: user("ada"), wanted: EdgeState::Ended }).await;
    let delete = world.other.run("bob", &DeleteComment { post: of_ada, comment: of_bob }).await;

    assert!(like.is_ok() && unfollow.is_ok() && delete.is_ok(), "{like:?} {unfollow:?} {delete:?}");
    let again = react_to_post(&bob, of_ada, EdgeState::Active, commands, clock).await;
    assert!(matches!(again, Err(Error::Rejected(Rejection::Blocked))), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_mute_affects_what_comes_and_not_what_is_looked_up() {
    let (world, of_ada, of_bob) = ada_and_bob_have_written().await;
    for post in [of_ada, of_bob] {
        comment(&world, "bob", post).await;
    }
    mute(&world, "ada", "bob").await;

    let [tagged, by_bob] = posts(&world, "ada", "bob").await;
    assert_eq!((tagged, by_bob), (vec![of_ada], vec![of_bob]));
    assert!(sees_post(&world, "ada", of_bob).await);
    let by_bob = [("bob".to_owned(), false)];
    assert_eq!(comments(&world, "ada", of_ada, HiddenComments::LeaveOut).await.unwrap(), []);
    assert_eq!(comments(&world, "ada", of_bob, HiddenComments::LeaveOut).await.unwrap(), by_bob, "bob's own post");
    assert_eq!(people(&world, "ada", Side::Followers, "carol").await, ["ada", "bob"]);
}

#[tokio::test(start_paused = true)]
async fn the_author_of_a_post_lists_and_deletes_hidden_comments() {
    let (world, of_ada, _) = ada_and_bob_have_written().await;
    world.other.join(&["dan"]).await;
    let written = [("bob", false), ("carol", false), ("dan", false)];
    let mut ids = Vec::new();
    for (author, _) in written {
        ids.push(comment(&world, author, of_ada).await);
    }
    world.other.block("ada", "bob").await;
    world.other.block("carol", "ada").await;
    world.other.catch_up(&["ada", "carol"]).await;

    let named = |entries: &[(&str, bool)]| entries.iter().map(|(id, is)| ((*id).to_owned(), *is)).collect::<Vec<_>>();
    let left = comments(&world, "ada", of_ada, HiddenComments::LeaveOut).await.unwrap();
    assert_eq!(left, named(&[("dan", false)]));
    let all = comments(&world, "ada", of_ada, HiddenComments::Mark).await.unwrap();
    assert_eq!(all, named(&[("bob", true), ("carol", true), ("dan", false)]));
    let others = comments(&world, "dan", of_ada, HiddenComments::Mark).await;
    assert!(matches!(others, Err(Error::Rejected(Rejection::NotAuthor))), "{others:?}");
    for comment in ids {
        world.other.done("ada", &DeleteComment { post: of_ada, comment }).await;
    }
    assert_eq!(comments(&world, "ada", of_ada, HiddenComments::Mark).await.unwrap(), []);
}
