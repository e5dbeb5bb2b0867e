use std::time::Duration;

use serde_json::json;

use super::run;
use crate::{
    command::{
        BlockUser, Command, CommentOnPost, Committed, CreatePost, DeleteAccount, DeleteComment, DeletePost, EditPost,
        FollowUser, MuteUser, PatchProfile, RemoveFollower, attempts::ATTEMPTS_MAX, create_post::Written,
        react_to_post,
    },
    error::{Error, Rejection},
    model::{CommentId, EdgeKey, EdgeKind, EdgeState, PostId, UserEvent, limits::FOLLOWING_MAX},
    query::ReadRequest,
    samples::{user, version},
    test_world::{Calls, Failure, Process, World},
};

mod blocks;
mod crowds;
mod rate_limits;

/// The one write of a command.
const COMMIT: Calls = Calls("TransactWriteItems", "");

/// Follows or unfollows with the code under test.
async fn set_follow(process: &Process, from: &str, to: &str, wanted: EdgeState) -> Result<Committed<()>, Error> {
    run(&FollowUser { followee: user(to), wanted }, &user(from), &process.commands, &process.clock).await
}

async fn follow(world: &World, followee: &str) -> Result<Committed<()>, Error> {
    set_follow(&world.tested, "ada", followee, EdgeState::Active).await
}

/// Ada, bob and carol have joined.
async fn three_have_joined() -> World {
    let world = World::new();
    world.other.join(&["ada", "bob", "carol"]).await;
    world
}

fn followed(followee: &str) -> UserEvent {
    UserEvent::UserFollowed { followee: user(followee) }
}

/// The log of ada after her profile.
async fn log_of_ada(world: &World) -> Vec<UserEvent> {
    world.other.log("ada").await.split_off(1)
}

async fn follows(world: &World, from: &str, to: &str) -> bool {
    let key = EdgeKey::new(&user(from), EdgeKind::Follows, &user(to));
    world.other.commands.edges(&[key]).await.unwrap().active(&user(from), EdgeKind::Follows, &user(to))
}

#[tokio::test(start_paused = true)]
async fn a_command_appends_its_event_with_all_changes_in_one_transaction() {
    let world = three_have_joined().await;

    let committed = follow(&world, "bob").await.unwrap();

    assert_eq!(committed.version, version(2));
    assert_eq!(log_of_ada(&world).await, [followed("bob")]);
    assert!(follows(&world, "ada", "bob").await);
    assert_eq!(world.other.commands.followers(&user("bob"), None, 10).await.unwrap().users, [user("ada")]);
    assert_eq!(world.keys("commands", "TALLY#USER#bob").len(), 1);
    assert_eq!(world.other.commands.head(&user("ada")).await.unwrap().totals.following, 1);
    let writes = world.network.writes();
    assert_eq!(writes.len(), 1, "{writes:#?}");
}

#[tokio::test(start_paused = true)]
async fn every_command_but_the_creation_of_a_profile_needs_a_profile() {
    let world = three_have_joined().await;
    let post = world.other.post("ada", "hello").await;
    let before = world.tables();
    let tested = &world.tested;
    let (comment, text) = (CommentId::new(tested.clock.now()), "hello".to_owned());
    let mut refused = Vec::new();
    for wanted in [EdgeState::Active, EdgeState::Ended] {
        let ada = || user("ada");
        refused.push(tested.run("ghost", &FollowUser { followee: ada(), wanted }).await.map(|_| ()));
        refused.push(tested.run("ghost", &MuteUser { muted: ada(), wanted }).await.map(|_| ()));
        refused.push(tested.run("ghost", &BlockUser { blocked: ada(), wanted }).await.map(|_| ()));
        let like = react_to_post(&user("ghost"), post, wanted, &tested.commands, &tested.clock).await;
        refused.push(like.map(|_| ()));
    }
    let post_text = || text.clone().try_into().unwrap();
    let new = CreatePost { post: PostId::new(tested.clock.now()), text: post_text(), key: None };
    refused.push(tested.run("ghost", &new).await.map(|_| ()));
    refused.push(tested.run("ghost", &EditPost { post, text: post_text() }).await.map(|_| ()));
    refused.push(tested.run("ghost", &DeletePost { post }).await.map(|_| ()));
    let on_post = CommentOnPost { post, comment, text: text.clone().try_into().unwrap(), key: None };
    refused.push(tested.run("ghost", &on_post).await.map(|_| ()));
    refused.push(tested.run("ghost", &DeleteComment { post, comment }).await.map(|_| ()));
    refused.push(tested.run("ghost", &PatchProfile::default()).await.map(|_| ()));
    refused.push(tested.run("ghost", &RemoveFollower { follower: user("ada") }).await.map(|_| ()));

    for (index, result) in refused.iter().enumerate() {
        assert!(matches!(result, Err(Error::Rejected(Rejection::ProfileRequired))), "{index}: {result:?}");
    }
    assert_eq!(world.tables(), before);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_changes_nothing() {
    let world = three_have_joined().await;
    let before = world.tables();
    world.network.fail(COMMIT, Failure::Internal);

    let result = follow(&world, "bob").await;

    assert!(matches!(result, Err(Error::Transient { .. })), "{result:?}");
    assert_eq!(world.tables(), before);
}

#[tokio::test(start_paused = true)]
async fn after_a_conflict_a_command_decides_again_from_fresh_reads() {
    let world = three_have_joined().await;
    let other = world.other.clone();
    world.network.before(COMMIT, async move || {
        other.follow("ada", "carol").await;
    });

    let committed = follow(&world, "bob").await.unwrap();

    assert_eq!(committed.version, version(3));
    assert_eq!(log_of_ada(&world).await, [followed("carol"), followed("bob")]);
    assert_eq!(world.other.commands.head(&user("ada")).await.unwrap().totals.following, 2);
    assert_eq!(world.network.count(COMMIT), 2);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_no_longer_allowed_is_rejected_after_the_conflict() {
    let world = three_have_joined().await;
    let other = world.other.clone();
    world.network.before(COMMIT, async move || {
        other.block("bob", "ada").await;
    });

    let result = follow(&world, "bob").await;

    assert!(matches!(result, Err(Error::Rejected(Rejection::Blocked))), "{result:?}");
    assert_eq!(log_of_ada(&world).await, []);
}

#[tokio::test(start_paused = true)]
async fn two_commands_that_do_the_same_at_once_append_one_event() {
    let world = three_have_joined().await;
    let other = world.other.clone();
    world.network.before(COMMIT, async move || {
        other.follow("ada", "bob").await;
    });

    let committed = follow(&world, "bob").await.unwrap();

    assert_eq!((committed.version, log_of_ada(&world).await), (version(2), vec![followed("bob")]));
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_answer_was_lost_is_recognised_as_committed() {
    // The SDK makes three attempts. If all answers are lost, nobody tells that the first attempt was committed.
    for lost in [1, 2, 3] {
        let world = three_have_joined().await;
        world.network.lose_answers(COMMIT, lost);

        let committed = follow(&world, "bob").await.unwrap();

        assert_eq!(committed.version, version(2));
        assert_eq!(log_of_ada(&world).await, [followed("bob")], "one event after {lost} lost answers");
        assert_eq!(world.other.commands.head(&user("ada")).await.unwrap().totals.following, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_command_is_not_taken_for_the_own_one() {
    let world = three_have_joined().await;
    let other = world.other.clone();
    world.network.before(COMMIT, async move || {
        other.follow("ada", "carol").await;
    });
    world.network.lose_answers(COMMIT, 2);

    let committed = follow(&world, "bob").await.unwrap();

    assert_eq!((committed.version, follows(&world, "ada", "bob").await), (version(3), true));
}

#[tokio::test(start_paused = true)]
async fn a_command_gives_up_with_a_conflict_after_its_last_attempt() {
    let world = three_have_joined().await;
    let before = world.tables();
    world.network.fail(COMMIT, Failure::Cancelled);

    let result = follow(&world, "bob").await;

    assert!(matches!(result, Err(Error::Conflict)), "{result:?}");
    assert_eq!(world.network.count(COMMIT), ATTEMPTS_MAX);
    assert_eq!(world.tables(), before);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_after_a_conflict_may_count_in_another_shard() {
    let world = three_have_joined().await;
    world.network.fail(COMMIT, Failure::Cancelled);

    follow(&world, "bob").await.unwrap_err();

    let writes = world.network.writes();
    let in_first = |body: &String| body.contains("TALLY#USER#bob#0\"");
    assert!(in_first(&writes[0].body));
    assert!(writes.iter().any(|write| !in_first(&write.body)));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_command_changes_nothing() {
    let world = three_have_joined().await;
    let before = world.tables();

    let result = follow(&world, "ada").await;

    assert!(matches!(result, Err(Error::Rejected(Rejection::CannotFollowSelf))), "{result:?}");
    assert_eq!((world.tables(), world.network.writes()), (before, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_with_the_same_idempotency_key_gets_the_first_answer() {
    let world = three_have_joined().await;
    let (first, again) = (create("hello"), create("hello"));

    let answers = [run_create(&world, &first).await.unwrap(), run_create(&world, &again).await.unwrap()];

    assert_eq!(answers[0].output.post.post, first.post);
    assert_eq!(answers[0], answers[1]);
    assert_eq!(log_of_ada(&world).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_requests_with_the_same_idempotency_key_at_once_get_one_answer() {
    let world = three_have_joined().await;
    let (first, again) = (create("hello"), create("hello"));
    let (other, raced) = (world.other.clone(), first.clone());
    world.network.before(COMMIT, async move || {
        other.done("ada", &raced).await;
    });

    let committed = run_create(&world, &again).await.unwrap();

    assert_eq!((committed.version, committed.output.post.post), (version(2), first.post));
    assert_eq!(log_of_ada(&world).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_no_longer_allowed_gets_the_answer_that_its_key_has_got_meanwhile() {
    let world = three_have_joined().await;
    let post = world.other.post("bob", "hello").await;
    let comment = || CommentOnPost {
        post,
        comment: CommentId::new(crate::samples::NOW),
        text: "a comment".to_owned().try_into().unwrap(),
        key: Some("key".parse().unwrap()),
    };
    let (first, again) = (comment(), comment());
    let (other, raced) = (world.other.clone(), first.clone());
    // The key has been read. Before the block is read, the same request is accepted, and bob blocks ada.
    world.network.before(Calls("BatchGetItem", "BLOCKS#"), async move || {
        other.done("ada", &raced).await;
        other.block("bob", "ada").await;
    });

    let committed = run(&again, &user("ada"), &world.tested.commands, &world.tested.clock).await.unwrap();

    assert_eq!((committed.version, committed.output.comment.comment), (version(2), first.comment));
}

#[tokio::test(start_paused = true)]
async fn whose_account_is_deleted_between_two_reads_is_told_so() {
    async fn run_beside_the_deletion<C: Command>(command: &C) -> Result<Committed<C::Output>, Error> {
        let world = three_have_joined().await;
        let other = world.other.clone();
        // The head has been read, the profile has not.
        world.network.before(Calls("GetItem", "PROFILE"), async move || {
            other.done("ada", &DeleteAccount).await;
        });
        run(command, &user("ada"), &world.tested.commands, &world.tested.clock).await
    }
    for command in [create("hello"), CreatePost { key: None, ..create("hello") }] {
        let result = run_beside_the_deletion(&command).await;
        assert!(matches!(result, Err(Error::Rejected(Rejection::AccountDeleted))), "{result:?}");
    }
    assert_eq!(run_beside_the_deletion(&DeleteAccount).await.unwrap().version, version(2));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_takes_effect_after_its_answer_is_recognised_by_the_next_attempt() {
    let world = three_have_joined().await;
    world.network.delay_effect(COMMIT);
    let command = CreatePost { key: None, ..create("hello") };

    let committed = run_create(&world, &command).await.unwrap();

    assert_eq!((committed.version, committed.output.post.post), (version(2), command.post));
    assert_eq!(log_of_ada(&world).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_takes_effect_between_the_look_for_it_and_the_next_read_of_the_head_is_recognised() {
    let world = three_have_joined().await;
    world.network.delay_effect(COMMIT);
    let network = world.network.clone();
    // The first attempt conflicted, and has looked for its event in vain. The second one reads the head.
    world.network.before(Calls("Query", "EVENT#"), async move || network.apply_late());
    world.network.skip(1);
    let command = CreatePost { key: None, ..create("hello") };

    let committed = run_create(&world, &command).await.unwrap();

    assert_eq!((committed.version, committed.output.post.post), (version(2), command.post));
    assert_eq!((log_of_ada(&world).await.len(), world.network.count(COMMIT)), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_late_commit_is_recognised_behind_events_of_others() {
    let world = three_have_joined().await;
    world.network.delay_effect(COMMIT);
    let other = world.other.clone();
    // Another follow of hers meets the one that has just been committed late, and is committed after it.
    world.network.before(COMMIT, async move || {
        other.follow("ada", "carol").await;
    });

    let committed = follow(&world, "bob").await.unwrap();

    assert_eq!(committed.version, version(2));
    assert_eq!(log_of_ada(&world).await, [followed("bob"), followed("carol")]);
}

#[tokio::test(start_paused = true)]
async fn another_request_with_the_same_idempotency_key_is_rejected() {
    let world = three_have_joined().await;
    run_create(&world, &create("hello")).await.unwrap();

    let result = run_create(&world, &create("goodbye")).await;

    assert!(matches!(result, Err(Error::Rejected(Rejection::IdempotencyKeyReused))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unnecessary_command_appends_nothing() {
    let world = three_have_joined().await;
    let end = world.other.follow("ada", "bob").await;
    let before = world.tables();

    let committed = follow(&world, "bob").await.unwrap();

    assert_eq!((committed.version, world.tables()), (end, before));
}

#[tokio::test(start_paused = true)]
async fn the_version_of_an_unnecessary_command_covers_what_made_it_unnecessary() {
    let world = three_have_joined().await;
    let other = world.other.clone();
    // The end of the log has been read when the same follow is committed elsewhere. Then the edge is read.
    world.network.before(Calls("BatchGetItem", "FOLLOWS#bob"), async move || {
        other.follow("ada", "bob").await;
    });

    let Committed { version: answered, .. } = follow(&world, "bob").await.unwrap();

    assert_eq!(log_of_ada(&world).await, [followed("bob")]);
    assert_eq!(answered, version(2));
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: Some(answered) };
    let page = world.other.feeds.home(request, None, 10).await.unwrap();
    assert_eq!(page.version, version(2), "a page for this version shows the follow");
}

fn create(text: &str) -> CreatePost {
    let post = PostId::new(crate::samples::NOW);
    CreatePost { post, text: text.to_owned().try_into().unwrap(), key: Some("key".parse().unwrap()) }
}

async fn run_create(world: &World, command: &CreatePost) -> Result<Committed<Written>, Error> {
    run(command, &user("ada"), &world.tested.commands, &world.tested.clock).await
}

/// Makes ada's log say that she follows so many.
fn say_following(world: &World, number: u64) {
    let request = json!({
        "TableName": "commands", "Key": {"PK": {"S": "USER#ada"}, "SK": {"S": "EVENT#000000000001"}},
        "UpdateExpression": "SET totals.following = :number",
        "ExpressionAttributeValues": {":number": {"N": number.to_string()}},
    });
    world.meddle("UpdateItem", &request);
}

#[tokio::test(start_paused = true)]
async fn a_follow_that_is_sent_twice_at_once_is_not_refused_for_the_place_that_it_took_itself() {
    let world = three_have_joined().await;
    say_following(&world, FOLLOWING_MAX - 1);
    let other = world.other.clone();
    // Between the read of the edges and that of the head.
    world.network.after(Calls("BatchGetItem", "FOLLOWS#bob"), async move || {
        other.follow("ada", "bob").await;
    });
    world.network.slow_down(Calls("Query", "USER#ada"), Duration::from_millis(100));

    let committed = follow(&world, "bob").await.unwrap();

    assert_eq!(committed.version, version(2));
    assert_eq!(log_of_ada(&world).await, [followed("bob")]);
    let refused = follow(&world, "carol").await;
    assert!(matches!(refused, Err(Error::Rejected(Rejection::FollowingLimitReached))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_follow_can_be_repeated_when_nothing_is_left_of_the_other_account() {
    let world = three_have_joined().await;
    follow(&world, "bob").await.unwrap();
    set_follow(&world.tested, "ada", "bob", EdgeState::Ended).await.unwrap();
    world.other.done("bob", &DeleteAccount).await;
    for (pk, sk) in [("USER#ada", "FOLLOWS#bob"), ("FOLLOWERS#bob", "USER#ada")] {
        let key = json!({"PK": {"S": pk}, "SK": {"S": sk}});
        world.meddle("DeleteItem", &json!({"TableName": "commands", "Key": key}));
    }

    set_follow(&world.tested, "ada", "bob", EdgeState::Ended).await.unwrap();
    let removed = world.tested.run("ada", &RemoveFollower { follower: user("bob") }).await;
    assert!(removed.is_ok(), "{removed:?}");
    for wanted in [EdgeState::Active, EdgeState::Ended] {
        let refused = set_follow(&world.tested, "ada", "nobody", wanted).await;
        assert!(matches!(refused, Err(Error::Rejected(Rejection::UserNotFound))), "{refused:?}");
    }
    let refused = follow(&world, "bob").await;
    assert!(matches!(refused, Err(Error::Rejected(Rejection::UserNotFound))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_text_mentions_the_first_ten_users_and_handles_of_nobody_take_no_place() {
    let world = World::new();
    let names: Vec<_> = (0..12).map(|number| format!("user_{number}")).collect();
    world.other.join(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let nobody: String = (0..15).map(|number| format!("@nobody_{number} ")).collect();
    let users: String = names.iter().rev().map(|name| format!("@{name} ")).collect();

    let post = world.tested.post("user_11", &format!("{nobody}{users}")).await;

    let post = world.other.commands.post(post).await.unwrap().unwrap();
    let mentioned: Vec<_> = post.mentioned.into_iter().map(|mentioned| mentioned.user.as_str().to_owned()).collect();
    let expected: Vec<_> = (1..11).rev().map(|number| format!("user_{number}")).collect();
    assert_eq!(mentioned, expected);
}
