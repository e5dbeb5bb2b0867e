//! What an administrator hides: from whom, and where.

use std::time::Duration;

use crate::{
    command::{CommentOnPost, FollowUser, ModeratePost, ModerateUser, Moderation, react_to_post},
    error::{Error, Rejection},
    model::{CommentId, Counts, EdgeState, PostId, Tally, TallyImage, TallyShard, TallySubject},
    query::{CommentsOf, HiddenComments, ReadRequest, people::Side},
    samples::user,
    store::comments::CommentOrder,
    test_world::World,
};

const EVERYBODY: [&str; 2] = ["ada", "bob"];

/// Ada has written a post that trends. Bob follows ada, who has commented on bob's post.
async fn ada_is_read_by_bob() -> (World, PostId, PostId) {
    let world = World::new();
    world.other.join(&EVERYBODY).await;
    world.other.follow("bob", "ada").await;
    let of_ada = world.other.post("ada", "of ada #you").await;
    let of_bob = world.other.post("bob", "of bob").await;
    let (comment, text) = (CommentId::new(world.other.clock.now()), "by ada".to_owned().try_into().unwrap());
    world.other.done("ada", &CommentOnPost { post: of_bob, comment, text, key: None }).await;
    world.other.catch_up(&EVERYBODY).await;
    (world, of_ada, of_bob)
}

async fn moderate_post(world: &World, post: PostId, wanted: Moderation) {
    world.other.done("ada", &ModeratePost { post, wanted }).await;
    world.other.catch_up(&["ada"]).await;
    // Processes use cards for two seconds.
    world.pass(Duration::from_secs(3));
}

async fn moderate_ada(world: &World, wanted: Moderation) {
    world.other.done("ada", &ModerateUser { wanted }).await;
    world.other.catch_up(&["ada"]).await;
    // Processes use cards for two seconds.
    world.pass(Duration::from_secs(3));
}

/// The posts that the viewer sees in the home, of ada, with the tag, and by the id of ada's post.
async fn shown(world: &World, viewer: &str, of_ada: PostId) -> [Vec<PostId>; 4] {
    let (viewer, ada) = (user(viewer), user("ada"));
    let request = ReadRequest { viewer: &viewer, min_version: None };
    let feeds = &world.tested.feeds;
    let ids = |posts: Vec<crate::query::FeedPost>| posts.into_iter().map(|post| post.card.post).collect::<Vec<_>>();
    let home = feeds.home(request, None, 10).await.unwrap().page.entries;
    let author = match feeds.author(request, &ada, None, 10).await {
        Ok(page) => page.entries,
        Err(Error::Rejected(Rejection::UserNotFound)) => Vec::new(),
        Err(error) => panic!("{error}"),
    };
    let tag = feeds.tag(request, &"you".parse().unwrap(), None, 10).await.unwrap().entries;
    let by_id = world.tested.conversations().post(request, of_ada).await;
    [ids(home), ids(author), ids(tag), ids(by_id.into_iter().collect())]
}

#[tokio::test(start_paused = true)]
async fn a_post_that_was_taken_down_is_hidden_from_all_but_its_author() {
    let (world, of_ada, of_bob) = ada_is_read_by_bob().await;
    let everywhere = || [vec![of_ada], vec![of_ada], vec![of_ada], vec![of_ada]];
    assert_eq!(shown(&world, "ada", of_ada).await, everywhere());

    moderate_post(&world, of_ada, Moderation::Withdrawn).await;
    assert_eq!(shown(&world, "bob", of_ada).await, [vec![of_bob], vec![], vec![], vec![]]);
    assert_eq!(shown(&world, "ada", of_ada).await, everywhere());
    let (ada, bob) = (user("ada"), user("bob"));
    let request = ReadRequest { viewer: &bob, min_version: None };
    let found = world.tested.conversations().posts(request, &[of_ada, of_bob]).await.unwrap();
    assert_eq!(found.iter().map(|post| post.card.post).collect::<Vec<_>>(), [of_bob], "also not from the truth");
    let request = ReadRequest { viewer: &ada, min_version: None };
    assert!(world.tested.conversations().post(request, of_ada).await.unwrap().card.taken_down, "it is marked");

    let Err(Error::Rejected(refused)) =
        react_to_post(&user("bob"), of_ada, EdgeState::Active, &world.tested.commands, &world.tested.clock).await
    else {
        panic!("accepted")
    };
    assert_eq!(refused, Rejection::PostNotFound);
    moderate_post(&world, of_ada, Moderation::Restored).await;
    assert_eq!(shown(&world, "bob", of_ada).await, [vec![of_bob, of_ada], vec![of_ada], vec![of_ada], vec![of_ada]]);
}

#[tokio::test(start_paused = true)]
async fn a_take_down_ends_trending_and_a_restore_begins_it_again() {
    let (world, of_ada, _) = ada_is_read_by_bob().await;
    let subject = TallySubject::Post(of_ada);
    let mut tally = Tally::default();
    let counts = Counts { likes: 5, heat: 5000, ..Counts::default() };
    tally.take(TallyShard::default(), TallyImage { counts, version: 5 });
    let cards = &world.other.cards;
    let before = cards.tally(&subject).await.unwrap();
    cards.put_tally(&subject, &before, &tally).await.unwrap();
    let trends = async || {
        let now = world.tested.clock.now();
        let best = world.tested.cards.trending_index().best(now.before(Duration::from_secs(3600)), now, 10).await;
        best.unwrap().best.into_iter().any(|post| post.post == of_ada)
    };
    assert!(trends().await);
    moderate_post(&world, of_ada, Moderation::Withdrawn).await;
    assert!(!trends().await);
    // A count that comes meanwhile does not bring it back.
    let before = cards.tally(&subject).await.unwrap();
    cards.put_tally(&subject, &before, &tally).await.unwrap();
    assert!(!trends().await);
    moderate_post(&world, of_ada, Moderation::Restored).await;
    assert!(trends().await);
}

#[tokio::test(start_paused = true)]
async fn nothing_by_a_suspended_user_is_shown_to_others() {
    let (world, of_ada, of_bob) = ada_is_read_by_bob().await;
    moderate_ada(&world, Moderation::Withdrawn).await;
    assert_eq!(shown(&world, "bob", of_ada).await, [vec![of_bob], vec![], vec![], vec![]]);
    assert_eq!(shown(&world, "ada", of_ada).await[0], [of_ada], "the user reads on");

    let (ada, bob) = (user("ada"), user("bob"));
    let request = ReadRequest { viewer: &bob, min_version: None };
    let of = CommentsOf { post: of_bob, order: CommentOrder::OldestFirst, hidden: HiddenComments::Mark };
    let comments = world.tested.conversations().comments(request, of, None, 10).await.unwrap();
    assert!(comments.entries.is_empty());
    let people = world.tested.people();
    let following = people.people(request, Side::Following, &bob, None, 10).await.unwrap();
    assert!(following.entries.is_empty());
    assert!(people.users(request, std::slice::from_ref(&ada)).await.unwrap().is_empty());
    assert!(world.tested.conversations().posts(request, &[of_ada]).await.unwrap().is_empty());
    let profile = people.profile(request, &ada).await;
    assert!(matches!(profile, Err(Error::Rejected(Rejection::UserNotFound))), "{profile:?}");
    assert!(people.own_profile(&ada).await.unwrap().profile.suspended);
    world.other.join(&["carol"]).await;
    let follow = FollowUser { followee: ada.clone(), wanted: EdgeState::Active };
    let refused = world.tested.run("carol", &follow).await;
    assert!(matches!(refused, Err(Error::Rejected(Rejection::UserNotFound))), "{refused:?}");
    let unfollow = FollowUser { followee: ada.clone(), wanted: EdgeState::Ended };
    let refused = world.tested.run("ada", &unfollow).await;
    assert!(matches!(refused, Err(Error::Rejected(Rejection::AccountSuspended))), "{refused:?}");

    moderate_ada(&world, Moderation::Restored).await;
    assert_eq!(shown(&world, "bob", of_ada).await[0], [of_bob, of_ada]);
    assert!(people.profile(request, &ada).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_page_of_comments_is_full_behind_those_of_a_suspended_user() {
    let (world, _, of_bob) = ada_is_read_by_bob().await;
    for number in 0..30 {
        world.other.comment("ada", of_bob, &format!("spam {number}")).await;
    }
    let shown = world.other.comment("bob", of_bob, "not spam").await;
    world.other.comment("ada", of_bob, "more spam").await;
    moderate_ada(&world, Moderation::Withdrawn).await;

    let bob = user("bob");
    let request = ReadRequest { viewer: &bob, min_version: None };
    let of = CommentsOf { post: of_bob, order: CommentOrder::OldestFirst, hidden: HiddenComments::LeaveOut };
    let page = world.tested.conversations().comments(request, of, None, 1).await.unwrap();
    assert_eq!(page.entries.iter().map(|entry| entry.comment.comment).collect::<Vec<_>>(), [shown]);
    assert_eq!(page.next, None);
}
