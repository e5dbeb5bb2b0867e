//! Many users follow one at the same moment, or comment on one post.

use std::{cmp::Reverse, time::Duration};

use super::{COMMIT, three_have_joined};
use crate::{
    command::{BlockUser, CommentOnPost, DeleteComment, FollowUser, react_to_post},
    error::{Error, Rejection},
    model::{CommentId, EdgeKey, EdgeKind, EdgeState, PostId, TallySubject, UserId},
    samples::user,
    store::{
        Consistency,
        comments::{CommentOrder, CommentPage},
    },
    stream::work_queue::Task,
    test_world::{Call, Calls, Failure, Process, World},
};

/// So many follow ada by the process under test that it counts her as crowded.
async fn ada_is_crowded(world: &World, followers: &[String]) {
    let names: Vec<_> = followers.iter().map(String::as_str).collect();
    world.other.join(&names).await;
    let Process { commands, clock, .. } = &world.tested;
    world.tested.meets_a_crowd(&TallySubject::User(user("ada")));
    follow_in_the_crowd(world, followers).await;
    assert!(commands.is_marked(&TallySubject::User(user("ada")), clock.now()).await.unwrap());
}

/// These follow ada by the process under test, and each of them meets others who do. Without that, a counter comes
/// together again after some tens of writes.
async fn follow_in_the_crowd(world: &World, followers: &[String]) {
    let Process { commands, clock, .. } = &world.tested;
    for name in followers {
        commands.busy.spread_more(&TallySubject::User(user("ada")), clock.now());
        world.tested.follow(name, "ada").await;
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("f{number:03}")).collect()
}

/// All of ada's followers. A page may end early, since each shard adds its share of the limit and no more.
async fn followers(world: &World) -> Vec<UserId> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = world.other.commands.followers(&user("ada"), after.as_ref(), 100).await.unwrap();
        all.extend(page.users);
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

async fn shard_of_follow(world: &World, follower: &str) -> u8 {
    let key = EdgeKey::new(&user(follower), EdgeKind::Follows, &user("ada"));
    world.other.commands.edges(std::slice::from_ref(&key)).await.unwrap().get(&key).unwrap().shard.get()
}

#[tokio::test(start_paused = true)]
async fn follows_of_a_crowded_user_read_and_require_nothing_that_all_of_them_do() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    let names = names(40);
    ada_is_crowded(&world, &names[..20]).await;
    let reads = |part| ["GetItem", "BatchGetItem", "Query"].map(|it| world.network.count(Calls(it, part))).iter().sum();
    let profiles = || reads("USER#ada\"},\"SK\":{\"S\":\"PROFILE");
    let (profiles_before, blocks_before): (usize, usize) = (profiles(), reads("BLOCKS#f"));
    let required = || world.network.count(Calls("TransactWriteItems", "BLOCKS#f"));
    let required_before = required();
    world.other.join(&names[20..].iter().map(String::as_str).collect::<Vec<_>>()).await;
    follow_in_the_crowd(&world, &names[20..]).await;
    assert!(profiles() <= profiles_before + 1 && reads("BLOCKS#f") <= blocks_before + 1);
    assert_eq!(required(), required_before, "no condition in ada's partition");
    assert!(world.keys("commands", "FOLLOWERS#ada#").len() > 20, "most stand elsewhere");
    let followers = followers(&world).await;
    assert_eq!(followers, names.iter().map(|name| user(name)).collect::<Vec<_>>());

    for name in &names {
        let before = shard_of_follow(&world, name).await;
        world.other.unfollow(name, "ada").await;
        world.other.follow(name, "ada").await;
        assert_eq!(shard_of_follow(&world, name).await, before, "a follow stays where it is");
    }
    assert_eq!(self::followers(&world).await, followers);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_refused_tells_of_the_crowd() {
    let world = World::new();
    let names = names(40);
    world.other.join(&["ada"]).await;
    world.other.join(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    ada_is_crowded(&world, &names[..20]).await;
    // Another process knows nothing of it, and nobody reads ada's profile by its key and answers.
    let process = world.cold();
    let read = Calls("BatchGetItem", "USER#ada\"},\"SK\":{\"S\":\"PROFILE");
    world.network.fail(read, Failure::Throttled);
    let (of_ada, reads_before) = (TallySubject::User(user("ada")), world.network.count(read));
    for name in &names[20..] {
        process.follow(name, "ada").await;
        assert_eq!(shard_of_follow(&world, name).await, 0, "the read may have been refused for another reason");
    }
    assert!(process.commands.busy.is_crowded(&of_ada, process.clock.now()));
    assert!(!process.commands.busy.is_busy(&of_ada, process.clock.now()));
    assert_eq!(world.network.count(read), reads_before + 3, "one read with the attempts of the SDK");
    assert_eq!(followers(&world).await.len(), 40);

    let process = world.cold();
    for name in &names {
        process.unfollow(name, "ada").await;
    }
    assert_eq!(world.network.count(read), reads_before + 6);
    assert_eq!(followers(&world).await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_refused_read_of_a_post_comments_read_it_once() {
    let (world, names) = (World::new(), names(10));
    world.other.join(&["ada"]).await;
    world.other.join(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let post = world.other.post("ada", "hello").await;
    let (process, read) = (world.cold(), Calls("GetItem", "POST#"));
    world.network.fail_next(read, 3, Failure::Throttled);
    let reads_before = world.network.count(read);
    for name in &names {
        process.comment(name, post, "me, too").await;
    }
    assert_eq!(world.network.count(read), reads_before + 3 + 1, "three attempts of the SDK, and what is remembered");
    assert!(!process.commands.busy.is_busy(&TallySubject::Post(post), process.clock.now()));
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_is_there_is_not_written_again() {
    let world = World::new();
    world.other.join(&["ada", "bob"]).await;
    ada_is_crowded(&world, &names(20)).await;
    let marks = || world.network.count(Calls("TransactWriteItems", "SPREAD"));
    let marks_before = marks();
    assert!(marks_before > 0);
    for _ in 0..20 {
        let process = world.cold();
        process.meets_a_crowd(&TallySubject::User(user("ada")));
        process.follow("bob", "ada").await;
        process.unfollow("bob", "ada").await;
    }
    assert_eq!(marks(), marks_before);
}

#[tokio::test(start_paused = true)]
async fn a_command_in_a_crowd_waits_until_it_can_see_whether_it_was_committed() {
    let world = three_have_joined().await;
    let post = world.other.post("ada", "hello").await;
    // An answer is lost, so the SDK's next attempt conflicts with what the first one has written. What is there then
    // can be read only later.
    world.network.lose_answers(COMMIT, 1);
    world.network.fail_next(Calls("GetItem", "EVENT#"), 7, Failure::Throttled);
    let comment = world.tested.comment("bob", post, "hello").await;
    assert_eq!(world.network.count(Calls("GetItem", "EVENT#")), 8);
    assert_eq!(comments(&world, post, CommentOrder::OldestFirst, 20).await, [comment]);
    assert_eq!(world.other.commands.head(&user("bob")).await.unwrap().version.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_read_of_the_caller_that_is_refused_tells_of_no_crowd() {
    let world = three_have_joined().await;
    world.network.fail(Calls("Query", "USER#bob"), Failure::Throttled);
    let follow = FollowUser { followee: user("ada"), wanted: EdgeState::Active };
    let refused = world.tested.run("bob", &follow).await;
    assert!(matches!(refused, Err(Error::Throttled { .. })), "{refused:?}");
    assert!(!world.tested.commands.busy.is_crowded(&TallySubject::User(user("ada")), world.tested.clock.now()));
}

#[tokio::test(start_paused = true)]
async fn a_follow_that_slips_past_a_block_is_ended_a_minute_later() {
    let world = three_have_joined().await;
    ada_is_crowded(&world, &names(20)).await;
    world.tested.follow("carol", "ada").await;
    world.other.block("ada", "bob").await;
    world.other.catch_up(&["ada"]).await;
    assert_eq!(world.take_tasks(), [], "there is no follow to end yet");
    world.tested.follow("bob", "ada").await;
    world.pass(Duration::from_secs(59));
    assert_eq!(world.take_tasks(), []);
    world.pass(Duration::from_secs(1));
    let tasks = world.take_tasks();
    assert_eq!(tasks, [Task::EndFollow { follower: user("bob"), followee: user("ada") }]);
    for task in tasks {
        world.other.repair(task).await.unwrap();
    }
    let followers = followers(&world).await;
    assert!(followers.contains(&user("carol")) && !followers.contains(&user("bob")));
}

#[tokio::test(start_paused = true)]
async fn whoever_follows_already_is_told_of_a_block_that_is_about_to_end_the_follow() {
    let world = three_have_joined().await;
    ada_is_crowded(&world, &names(20)).await;
    world.tested.follow("bob", "ada").await;
    world.other.block("ada", "bob").await;
    let follow = FollowUser { followee: user("ada"), wanted: EdgeState::Active };
    let refused = world.tested.run("bob", &follow).await;
    assert!(matches!(refused, Err(Error::Rejected(Rejection::Blocked))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_process_knows_refuses_nobody() {
    let world = three_have_joined().await;
    world.other.block("ada", "bob").await;
    ada_is_crowded(&world, &names(20)).await;
    let follow = FollowUser { followee: user("ada"), wanted: EdgeState::Active };
    assert!(world.tested.run("bob", &follow).await.is_err());
    world.other.done("ada", &BlockUser { blocked: user("bob"), wanted: EdgeState::Ended }).await;
    world.tested.run("bob", &follow).await.unwrap();
}

/// These comment on the post by the process under test, and each of them meets others who do.
async fn comment_in_the_crowd(world: &World, commenters: &[String], post: PostId) -> Vec<CommentId> {
    let mut comments = Vec::new();
    for name in commenters {
        world.tested.meets_a_crowd(&TallySubject::Post(post));
        comments.push(world.tested.comment(name, post, "me, too").await);
    }
    comments
}

/// All comments on the post, in pages of this size.
async fn comments(world: &World, post: PostId, order: CommentOrder, limit: i32) -> Vec<CommentId> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let read = world.other.commands.comments(post, order, after, limit, Consistency::Eventual);
        let CommentPage { comments, more } = read.await.unwrap();
        assert!(i32::try_from(comments.len()).unwrap() <= limit);
        after = comments.last().map(|comment| comment.comment);
        all.extend(comments.into_iter().map(|comment| comment.comment));
        if !more {
            return all;
        }
        assert!(after.is_some(), "a page without comments says where to go on");
    }
}

/// Three comments from before the crowd, and forty of it.
async fn a_crowded_post() -> (World, PostId, Vec<CommentId>) {
    let world = three_have_joined().await;
    let post = world.other.post("ada", "hello").await;
    let mut written = Vec::new();
    for _ in 0..3 {
        written.push(world.tested.comment("bob", post, "first!").await);
    }
    let names = names(40);
    world.other.join(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    written.extend(comment_in_the_crowd(&world, &names, post).await);
    (world, post, written)
}

#[tokio::test(start_paused = true)]
async fn comments_in_a_crowd_read_and_require_nothing_that_all_of_them_do() {
    let (world, post, _) = a_crowded_post().await;
    let elsewhere = world.keys("commands", &format!("POST#{post}#")).len();
    assert!(elsewhere > 20, "most stand elsewhere: {elsewhere}");
    let marks = world.network.count(Calls("TransactWriteItems", "SPREAD"));
    assert_eq!(marks, 1, "once in a while");
    let key_of_post = format!("{{\"PK\":{{\"S\":\"POST#{post}\"}},\"SK\":{{\"S\":\"POST\"}}}}");
    let is_read = |call: &&Call| call.operation == "GetItem" && call.body.contains(&key_of_post);
    let reads = || world.network.calls().iter().filter(is_read).count();
    let required = || world.network.count(Calls("TransactWriteItems", "BLOCKS#g"));
    let (reads_before, required_before) = (reads(), required());
    let more: Vec<_> = (0..20).map(|number| format!("g{number:03}")).collect();
    world.other.join(&more.iter().map(String::as_str).collect::<Vec<_>>()).await;
    comment_in_the_crowd(&world, &more, post).await;
    assert!(reads() <= reads_before + 1);
    assert_eq!(required(), required_before, "no condition in ada's partition");
}

#[tokio::test(start_paused = true)]
async fn comments_in_several_partitions_are_read_in_order_found_and_deleted() {
    let (world, post, mut written) = a_crowded_post().await;
    written.sort_unstable();
    for limit in [1, 2, 7, 20, 100] {
        assert_eq!(comments(&world, post, CommentOrder::OldestFirst, limit).await, written, "{limit}");
        written.sort_unstable_by_key(|comment| Reverse(*comment));
        assert_eq!(comments(&world, post, CommentOrder::NewestFirst, limit).await, written, "{limit}");
        written.sort_unstable();
    }
    for comment in written {
        let found = world.other.commands.comment(post, comment).await.unwrap().unwrap();
        assert!(found.comment == comment && !found.is_deleted());
        world.other.done("ada", &DeleteComment { post, comment }).await;
        assert!(world.other.commands.comment(post, comment).await.unwrap().unwrap().is_deleted());
    }
    let tally = world.other.commands.tally(&TallySubject::Post(post)).await.unwrap();
    assert_eq!((tally.counts().comments, tally.counts().heat), (0, 0));
    assert_eq!(world.keys("commands", &format!("POST#{post}")).len(), 43 + 2, "with the post and the mark");
}

#[tokio::test(start_paused = true)]
async fn whom_the_author_blocks_cannot_comment_in_the_crowd_two_seconds_later() {
    let (world, post, _) = a_crowded_post().await;
    world.other.block("ada", "bob").await;
    world.pass(Duration::from_secs(2));
    world.tested.meets_a_crowd(&TallySubject::Post(post));
    let text = || "hello?".to_owned().try_into().unwrap();
    let comment = |text| CommentOnPost { post, comment: CommentId::new(world.tested.clock.now()), text, key: None };
    let refused = world.tested.run("bob", &comment(text())).await;
    assert!(matches!(refused, Err(Error::Rejected(Rejection::Blocked))), "{refused:?}");
    world.other.done("ada", &BlockUser { blocked: user("bob"), wanted: EdgeState::Ended }).await;
    world.tested.run("bob", &comment(text())).await.unwrap();
    world.other.block("bob", "ada").await;
    let refused = world.tested.run("bob", &comment(text())).await;
    assert!(matches!(refused, Err(Error::Rejected(Rejection::Blocked))), "{refused:?}");
}

async fn like(process: &Process, post: PostId, wanted: EdgeState) {
    react_to_post(&user("bob"), post, wanted, &process.commands, &process.clock).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_writes_of_others_spread_a_counter() {
    let world = three_have_joined().await;
    let post = world.other.post("ada", "hello").await;
    let (of_ada, of_post) = (TallySubject::User(user("ada")), TallySubject::Post(post));
    let is_spread = |subject| world.tested.commands.busy.is_busy(subject, world.tested.clock.now());
    // Bob's client does two things at once: others, the same ones, and the same ones at the very same moment.
    for followee in ["carol", "ada"] {
        let other = world.other.clone();
        world.network.before(COMMIT, async move || {
            other.follow("bob", followee).await;
            other.unfollow("bob", followee).await;
        });
        world.tested.follow("bob", "ada").await;
        world.tested.unfollow("bob", "ada").await;
    }
    let other = world.other.clone();
    world.network.before(COMMIT, async move || like(&other, post, EdgeState::Active).await);
    like(&world.tested, post, EdgeState::Active).await;
    like(&world.tested, post, EdgeState::Ended).await;
    world.network.fail_next(COMMIT, 1, Failure::Twin);
    world.tested.follow("bob", "ada").await;
    world.network.fail_next(COMMIT, 1, Failure::Twin);
    like(&world.tested, post, EdgeState::Active).await;
    // An answer is lost, and the SDK's next attempt meets what the first one has written.
    world.network.lose_answers(COMMIT, 1);
    world.tested.unfollow("bob", "ada").await;
    world.network.lose_answers(COMMIT, 1);
    world.tested.comment("bob", post, "hello").await;
    assert!(!is_spread(&of_ada) && !is_spread(&of_post));

    world.network.fail_next(COMMIT, 1, Failure::Cancelled);
    world.tested.follow("bob", "ada").await;
    assert!(is_spread(&of_ada));
    world.network.fail_next(COMMIT, 1, Failure::Cancelled);
    like(&world.tested, post, EdgeState::Ended).await;
    assert!(is_spread(&of_post));
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_others_write_at_the_same_time_spreads_the_counter() {
    let world = World::new();
    let names = names(40);
    world.other.join(&["ada"]).await;
    world.other.join(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (mark, of_ada) = (Calls("TransactWriteItems", "SPREAD"), TallySubject::User(user("ada")));
    world.network.fail_next(mark, 1, Failure::Cancelled);
    for name in &names {
        let process = world.cold();
        // The last of the shards over which the counter is spread.
        let last = || process.commands.busy.tally_shard(&of_ada, process.clock.now(), 0.999).get();
        (0..3).for_each(|_| process.commands.busy.spread_more(&of_ada, process.clock.now()));
        assert_eq!(last(), 63);
        process.follow(name, "ada").await;
        if world.network.count(mark) > 0 {
            assert!(last() > 63, "{}", last());
            return;
        }
    }
    panic!("three of four shards stand in another partition");
}
