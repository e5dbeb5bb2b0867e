use std::time::Duration;

use serde_json::{Value, json};

use super::{catch_up_or_quarantine, redo};
use crate::{
    command::DeleteAccount,
    deadline::Deadline,
    error::Error,
    metrics::{FEED_LAG, QUARANTINED, Recorded},
    samples::{user, version},
    store::Consistency,
    stream::{walk::Walk, work_queue::Task},
    test_world::{Calls, Failure, Process, World},
};

/// The write of ada's posts to her timeline.
const SHOW_POST: Calls = Calls("BatchWriteItem", "AUTHOR#ada");
/// The write of posts into ada's home.
const FILL_HOME: Calls = Calls("BatchWriteItem", "HOME#ada");
/// The read of a viewer item.
const READ_VIEWER: Calls = Calls("GetItem", "\"viewers\"");
/// A type of events that only a newer release understands.
const UNKNOWN: &str = "FromTheFuture";
/// A type of events that does not fit the data of other types.
const WRONG: &str = "PostEdited";

/// Catches up ada with the code under test.
async fn catch_up(process: &Process) -> Result<(), Error> {
    let (catch_up, quarantine) = (&process.projector.catch_up, &process.quarantine);
    let paused = catch_up_or_quarantine(catch_up, quarantine, &user("ada"), Deadline::none()).await?;
    assert_eq!(paused, None);
    Ok(())
}

/// Redoes an event of ada's with the code under test.
async fn redo_event(world: &World, number: u64) -> Result<(), Error> {
    redo(&world.tested.projector.catch_up, &user("ada"), version(number)).await
}

/// The message of an event of ada's, without the error.
fn message(number: u64) -> Value {
    json!({"redo": {"user": "ada", "version": number}})
}

/// Takes all messages from the quarantine, without their errors. Each has one.
fn take_quarantined(world: &World) -> Vec<Value> {
    let mut messages = world.take_quarantined();
    for message in &mut messages {
        let error = message["redo"].as_object_mut().unwrap().remove("error").unwrap();
        assert!(!error.as_str().unwrap().is_empty());
    }
    messages
}

/// Ada has joined, and bob and carol, whose logs are applied.
async fn ada_is_not_applied() -> World {
    let world = World::new();
    world.other.join(&["ada", "bob", "carol"]).await;
    world.other.catch_up(&["bob", "carol"]).await;
    world
}

/// Ada has joined, followed bob with event 2, and followed carol with event 3. Event 2 makes no sense.
async fn event_2_is_poison() -> World {
    let world = ada_is_not_applied().await;
    world.other.follow("ada", "bob").await;
    world.other.follow("ada", "carol").await;
    world.set_event_type("ada", version(2), WRONG);
    world
}

#[tokio::test(start_paused = true)]
async fn poison_is_put_into_the_quarantine_at_once() {
    let world = event_2_is_poison().await;

    catch_up(&world.tested).await.unwrap();

    assert_eq!(take_quarantined(&world), [message(2)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_put_into_the_quarantine_and_how_late_events_were_is_recorded() {
    let world = event_2_is_poison().await;
    world.pass(Duration::from_secs(7));
    let metrics = Recorded::default();
    let _recording = metrics.begin();

    catch_up(&world.tested).await.unwrap();

    assert_eq!(metrics.sum(QUARANTINED), 1);
    assert_eq!(metrics.count(FEED_LAG), 2, "before the event, and after it");
    assert!((7000..7100).contains(&metrics.max_ms(FEED_LAG)), "{}", metrics.max_ms(FEED_LAG));
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_write_dynamodb_refuses_for_good_is_poison() {
    let world = ada_is_not_applied().await;
    world.other.post("ada", "hello").await;
    world.network.fail(SHOW_POST, Failure::Invalid);

    catch_up(&world.tested).await.unwrap();

    assert_eq!(take_quarantined(&world), [message(2)]);
}

#[tokio::test(start_paused = true)]
async fn the_log_goes_on_behind_an_event_in_the_quarantine() {
    let world = event_2_is_poison().await;

    catch_up(&world.tested).await.unwrap();

    let viewer = world.other.viewer("ada").await;
    assert_eq!(viewer.applied, version(3));
    assert!(viewer.follows(&user("carol")) && !viewer.follows(&user("bob")));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_may_succeed_later_is_never_put_into_the_quarantine() {
    let world = ada_is_not_applied().await;
    let post = world.other.post("ada", "hello").await;
    world.other.follow("ada", "bob").await;
    world.network.fail(SHOW_POST, Failure::Internal);

    for _ in 0..20 {
        let tried = catch_up(&world.tested).await;
        assert!(matches!(tried, Err(Error::Transient { .. })), "{tried:?}");
    }
    assert_eq!((take_quarantined(&world), world.other.viewer("ada").await.applied), (vec![], version(1)));

    world.network.calm();
    catch_up(&world.tested).await.unwrap();
    assert_eq!((take_quarantined(&world), world.other.viewer("ada").await.applied), (vec![], version(3)));
    assert!(world.other.cards.posts(&[post], Consistency::Strong).await.unwrap().contains_key(&post));
}

#[tokio::test(start_paused = true)]
async fn an_event_of_a_newer_release_waits_for_that_release() {
    let world = ada_is_not_applied().await;
    world.other.follow("ada", "bob").await;
    world.set_event_type("ada", version(2), UNKNOWN);

    for result in [catch_up(&world.tested).await, redo_event(&world, 2).await] {
        assert!(matches!(result, Err(Error::NewerRelease { .. })), "{result:?}");
    }
    assert_eq!((take_quarantined(&world), world.other.viewer("ada").await.applied), (vec![], version(1)));

    world.set_event_type("ada", version(2), "UserFollowed");
    catch_up(&world.tested).await.unwrap();
    assert!(world.other.viewer("ada").await.follows(&user("bob")));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_put_into_the_quarantine_is_not_passed() {
    let world = event_2_is_poison().await;
    world.network.fail(Calls("SendMessageBatch", ""), Failure::Internal);

    let result = catch_up(&world.tested).await;

    assert!(matches!(result, Err(Error::Transient { .. })), "{result:?}");
    assert_eq!(world.other.viewer("ada").await.applied, version(1));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_another_worker_has_passed_is_not_put_into_the_quarantine_again() {
    let world = event_2_is_poison().await;
    let other = world.other.clone();
    world.network.before(READ_VIEWER, async move || catch_up(&other).await.unwrap());
    // The other worker comes when the effects have failed here. The first read begins the catch-up.
    world.network.skip(1);

    catch_up(&world.tested).await.unwrap();

    assert_eq!(take_quarantined(&world), [message(2)], "from the other worker");
    assert_eq!(world.other.viewer("ada").await.applied, version(3));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_passed_while_it_fills_the_quarantine_moves_nothing_back() {
    let world = event_2_is_poison().await;
    let other = world.other.clone();
    world.network.after(Calls("SendMessageBatch", ""), async move || {
        catch_up(&other).await.unwrap();
    });

    catch_up(&world.tested).await.unwrap();

    assert_eq!(take_quarantined(&world), [message(2), message(2)], "both workers were in time");
    let viewer = world.other.viewer("ada").await;
    assert!(viewer.applied == version(3) && viewer.follows(&user("carol")));
}

#[tokio::test(start_paused = true)]
async fn many_failing_events_end_the_catch_up() {
    let world = World::new();
    world.put_mutes("ada", 1..=101);
    for number in 1..=101 {
        world.set_event_type("ada", version(number), WRONG);
    }

    let result = catch_up(&world.tested).await;

    assert!(matches!(result, Err(Error::Transient { .. })), "{result:?}");
    assert_eq!(take_quarantined(&world).len(), 100);
    assert_eq!(world.other.viewer("ada").await.applied, version(100));
}

#[tokio::test(start_paused = true)]
async fn a_redone_post_is_shown_to_followers_although_later_events_are_applied() {
    let world = ada_is_not_applied().await;
    world.other.follow("bob", "ada").await;
    world.other.catch_up(&["bob"]).await;
    let post = world.other.post("ada", "hello").await;
    world.other.follow("ada", "carol").await;
    world.network.fail(SHOW_POST, Failure::Invalid);
    catch_up(&world.tested).await.unwrap();
    assert!(world.other.home("bob").await.is_empty());

    world.network.calm();
    redo_event(&world, 2).await.unwrap();

    assert_eq!(world.other.home("bob").await, [post]);
    assert!(world.other.cards.posts(&[post], Consistency::Strong).await.unwrap().contains_key(&post));
}

#[tokio::test(start_paused = true)]
async fn a_redone_follow_fills_the_home_and_is_in_the_viewer_item() {
    let world = ada_is_not_applied().await;
    let post = world.other.post("bob", "before the follow").await;
    world.other.catch_up(&["bob"]).await;
    world.other.follow("ada", "bob").await;
    world.set_event_type("ada", version(2), WRONG);
    catch_up(&world.tested).await.unwrap();
    assert!(!world.other.viewer("ada").await.follows(&user("bob")));

    world.set_event_type("ada", version(2), "UserFollowed");
    redo_event(&world, 2).await.unwrap();

    assert!(world.other.viewer("ada").await.follows(&user("bob")));
    assert_eq!(world.other.home("ada").await, [post]);
}

#[tokio::test(start_paused = true)]
async fn a_redone_follow_that_has_ended_since_stays_ended() {
    let world = event_2_is_poison().await;
    world.other.unfollow("ada", "bob").await;
    catch_up(&world.tested).await.unwrap();

    world.set_event_type("ada", version(2), "UserFollowed");
    redo_event(&world, 2).await.unwrap();

    let viewer = world.other.viewer("ada").await;
    assert!(viewer.applied == version(4) && !viewer.follows(&user("bob")));
}

#[tokio::test(start_paused = true)]
async fn a_redone_unfollow_of_a_user_who_is_followed_again_leaves_no_unfinished_backfill() {
    let world = ada_is_not_applied().await;
    let post = world.other.post("bob", "hello").await;
    world.other.catch_up(&["bob"]).await;
    world.other.follow("ada", "bob").await;
    world.other.unfollow("ada", "bob").await;
    world.other.follow("ada", "bob").await;
    catch_up(&world.tested).await.unwrap();

    redo_event(&world, 3).await.unwrap();

    let viewer = world.other.viewer("ada").await;
    assert!(viewer.follows(&user("bob")) && viewer.unfinished.backfills.is_empty(), "{viewer:?}");
    assert_eq!(world.other.home("ada").await, [post]);
}

#[tokio::test(start_paused = true)]
async fn a_redo_that_comes_twice_and_dies_leaves_no_unfinished_backfill() {
    let world = ada_is_not_applied().await;
    world.other.post("bob", "hello").await;
    world.other.catch_up(&["bob"]).await;
    world.other.follow("ada", "bob").await;
    catch_up(&world.tested).await.unwrap();
    world.network.fail(FILL_HOME, Failure::Internal);

    redo_event(&world, 2).await.unwrap_err();

    let viewer = world.other.viewer("ada").await;
    assert!(viewer.follows(&user("bob")) && viewer.unfinished.backfills.is_empty(), "{viewer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_redone_follow_that_dies_is_unfinished_until_it_is_repeated_and_pages_that_have_begun_have_ended() {
    let world = ada_is_not_applied().await;
    let post = world.other.post("bob", "hello").await;
    world.other.catch_up(&["bob"]).await;
    world.other.follow("ada", "bob").await;
    world.set_event_type("ada", version(2), WRONG);
    catch_up(&world.tested).await.unwrap();
    world.set_event_type("ada", version(2), "UserFollowed");
    world.network.fail(FILL_HOME, Failure::Internal);

    redo_event(&world, 2).await.unwrap_err();

    let viewer = world.other.viewer("ada").await;
    assert!(viewer.follows(&user("bob")) && viewer.unfinished.backfills.contains_key(&user("bob")), "{viewer:?}");
    world.network.calm();
    redo_event(&world, 2).await.unwrap();
    assert_eq!(world.other.home("ada").await, [post]);
    let is_end = |task: &Task| matches!(task, Task::Walk(Walk::Backfill { .. }));
    assert!(!world.take_tasks().iter().any(is_end));
    let viewer = world.other.viewer("ada").await;
    assert!(viewer.unfinished.backfills.contains_key(&user("bob")), "a page may have read the home before: {viewer:?}");
    world.pass(Duration::from_secs(10));
    let ends: Vec<_> = world.take_tasks().into_iter().filter(is_end).collect();
    assert_eq!(ends.len(), 1);
    for end in ends {
        world.tested.repair(end).await.unwrap();
    }
    assert!(world.other.viewer("ada").await.unfinished.backfills.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_redone_block_that_ended_a_follow_settles_both_edges() {
    let world = ada_is_not_applied().await;
    world.other.follow("ada", "bob").await;
    world.other.block("ada", "bob").await;
    world.set_event_type("ada", version(3), WRONG);
    catch_up(&world.tested).await.unwrap();
    let viewer = world.other.viewer("ada").await;
    assert!(viewer.follows(&user("bob")) && !viewer.hides(&user("bob")));

    world.set_event_type("ada", version(3), "UserBlocked");
    redo_event(&world, 3).await.unwrap();

    let viewer = world.other.viewer("ada").await;
    assert!(!viewer.follows(&user("bob")) && viewer.hides(&user("bob")));
}

#[tokio::test(start_paused = true)]
async fn a_redo_leaves_an_edge_to_the_event_that_is_still_to_be_applied() {
    let world = event_2_is_poison().await;
    catch_up(&world.tested).await.unwrap();
    world.set_event_type("ada", version(2), "UserFollowed");
    world.other.unfollow("ada", "bob").await;
    let before = world.other.viewer("ada").await;

    redo_event(&world, 2).await.unwrap();

    assert_eq!(world.other.viewer("ada").await, before);
}

#[tokio::test(start_paused = true)]
async fn a_redo_that_loses_a_race_settles_the_edge_from_fresh_reads() {
    let world = event_2_is_poison().await;
    catch_up(&world.tested).await.unwrap();
    world.set_event_type("ada", version(2), "UserFollowed");
    let other = world.other.clone();
    world.network.before(Calls("UpdateItem", "\"viewers\""), async move || {
        other.unfollow("ada", "bob").await;
        other.catch_up(&["ada"]).await;
    });

    redo_event(&world, 2).await.unwrap();

    let viewer = world.other.viewer("ada").await;
    assert!(viewer.applied == version(4) && !viewer.follows(&user("bob")));
}

#[tokio::test(start_paused = true)]
async fn what_is_still_poison_or_does_not_exist_cannot_be_redone() {
    let world = event_2_is_poison().await;
    catch_up(&world.tested).await.unwrap();
    let before = world.tables();

    for number in [2, 7] {
        let result = redo_event(&world, number).await;
        assert!(matches!(result, Err(Error::Poison { .. })), "{result:?}");
    }

    assert_eq!(world.tables(), before);
}

#[tokio::test(start_paused = true)]
async fn a_redo_during_which_the_account_is_deleted_is_done_when_it_comes_again() {
    let world = ada_is_not_applied().await;
    world.other.post("ada", "hello").await;
    catch_up(&world.tested).await.unwrap();
    world.take_tasks();
    let other = world.other.clone();
    // By then, the redo has found that ada is there, and it reads her profile afterwards.
    world.network.before(SHOW_POST, async move || {
        other.done("ada", &DeleteAccount).await;
    });

    assert!(matches!(redo_event(&world, 2).await, Err(Error::Poison { .. })));
    redo_event(&world, 2).await.unwrap();

    let is_erasure = |task: &Task| matches!(task, Task::Walk(Walk::Erase { .. }));
    assert!(world.take_tasks().iter().any(is_erasure));
}
