mod pauses;

use std::time::Duration;

use super::{Progress, RACES_LOST_MAX};
use crate::{
    command::BlockUser,
    deadline::Deadline,
    error::Error,
    model::{Blockers, EdgeState, Version},
    query::ReadRequest,
    samples::{shown, user, version},
    store::Consistency,
    stream::work_queue::Task,
    test_world::{Calls, Failure, Process, World},
};

/// The write with which a catch-up ends.
const STORE_VIEWER: Calls = Calls("UpdateItem", "\"viewers\"");
/// The write of a part of a card.
const WRITE_CARD: Calls = Calls("UpdateItem", "\"cards\"");

/// Catches up the user with the code under test.
async fn catch_up(process: &Process, id: &str) -> Result<Progress, Error> {
    process.projector.catch_up.user(&user(id), None, Deadline::none()).await
}

/// Version of the last event that was applied.
async fn applied(world: &World, id: &str) -> u64 {
    world.other.viewer(id).await.applied.get()
}

fn stuck_at(progress: &Progress) -> Option<u64> {
    match progress {
        Progress::Stuck { version, .. } => Some(version.get()),
        Progress::UpToDate | Progress::Paused(_) => None,
    }
}

/// Ada, bob and carol have joined. Only the logs of bob and carol are applied.
async fn ada_is_not_applied() -> World {
    let world = World::new();
    world.other.join(&["ada", "bob", "carol"]).await;
    world.other.catch_up(&["bob", "carol"]).await;
    world
}

#[tokio::test(start_paused = true)]
async fn events_are_applied_in_the_order_of_the_log() {
    let world = ada_is_not_applied().await;
    world.other.follow("ada", "bob").await;
    world.other.unfollow("ada", "bob").await;
    world.other.follow("ada", "carol").await;
    let post = world.other.post("ada", "first").await;
    let end = world.other.edit("ada", post, "second").await;

    let progress = catch_up(&world.tested, "ada").await.unwrap();

    assert!(matches!(progress, Progress::UpToDate));
    let viewer = world.other.viewer("ada").await;
    assert_eq!(viewer.applied, end);
    assert!(viewer.follows(&user("carol")) && !viewer.follows(&user("bob")));
    let card = world.other.cards.posts(&[post], Consistency::Strong).await.unwrap().remove(&post).unwrap();
    assert_eq!(card.text.unwrap().as_str(), "second");
    assert_eq!(world.other.home("ada").await, [post]);
}

#[tokio::test(start_paused = true)]
async fn the_viewer_item_is_written_after_all_effects() {
    let world = ada_is_not_applied().await;
    world.other.post("ada", "hello #you").await;

    catch_up(&world.tested, "ada").await.unwrap();

    let writes = world.network.writes();
    let is_viewer = |call: &&crate::test_world::Call| call.body.contains("\"viewers\"");
    assert_eq!(writes.iter().filter(is_viewer).count(), 1);
    assert!(writes.last().filter(is_viewer).is_some(), "{writes:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_the_viewer_item_repeats_effects_without_a_change() {
    let world = ada_is_not_applied().await;
    world.other.follow("bob", "ada").await;
    world.other.follow("ada", "carol").await;
    let post = world.other.post("ada", "hello #you").await;
    world.other.edit("ada", post, "hello #me").await;
    world.other.delete("ada", post).await;
    world.other.post("ada", "again #you").await;

    world.network.fail(STORE_VIEWER, Failure::Internal);
    assert!(matches!(catch_up(&world.tested, "ada").await, Err(Error::Transient { .. })));
    assert_eq!(applied(&world, "ada").await, 0);
    let effects = ["timelines", "cards"].map(|table| world.items(table));
    world.network.calm();
    catch_up(&world.tested, "ada").await.unwrap();

    assert_eq!(applied(&world, "ada").await, 6);
    assert_eq!(["timelines", "cards"].map(|table| world.items(table)), effects);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_loses_a_race_starts_again_from_the_viewer_item_of_the_winner() {
    let world = ada_is_not_applied().await;
    world.other.follow("ada", "bob").await;
    let other = world.other.clone();
    world.network.before(STORE_VIEWER, async move || {
        other.follow("ada", "carol").await;
        other.catch_up(&["ada"]).await;
    });

    let progress = catch_up(&world.tested, "ada").await.unwrap();

    assert!(matches!(progress, Progress::UpToDate));
    let viewer = world.other.viewer("ada").await;
    assert_eq!(viewer.applied, version(3));
    assert!(viewer.follows(&user("bob")) && viewer.follows(&user("carol")), "no update is lost");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_loses_every_race_leaves_the_user_to_the_others_for_a_while() {
    let world = ada_is_not_applied().await;
    let other = world.other.clone();
    world.network.before_each(STORE_VIEWER, async move || {
        let before = other.viewers.get(&user("ada"), Consistency::Strong).await.unwrap();
        other.viewers.put(&user("ada"), &before, before.viewer.clone()).await.unwrap();
    });

    let progress = catch_up(&world.tested, "ada").await.unwrap();

    assert!(matches!(progress, Progress::Paused(wait) if wait > Duration::ZERO), "{progress:?}");
    assert_eq!(world.network.count(STORE_VIEWER), RACES_LOST_MAX as usize + 1);
}

#[tokio::test(start_paused = true)]
async fn a_log_of_several_pages_is_applied_to_its_end() {
    let world = World::new();
    world.put_mutes("ada", 1..=201);

    catch_up(&world.tested, "ada").await.unwrap();

    let viewer = world.other.viewer("ada").await;
    assert_eq!((viewer.applied, viewer.muted.len()), (version(201), 201));
    assert_eq!(world.network.count(STORE_VIEWER), 3, "one write for each page");
}

#[tokio::test(start_paused = true)]
async fn a_catch_up_to_a_version_ends_with_the_page_that_has_it() {
    let world = World::new();
    world.put_mutes("ada", 1..=101);

    for _ in 0..2 {
        let catch_up = &world.tested.projector.catch_up;
        catch_up.user(&user("ada"), Some(version(100)), Deadline::none()).await.unwrap();
        assert_eq!(applied(&world, "ada").await, 100);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_makes_no_sense_stops_its_log() {
    let world = ada_is_not_applied().await;
    world.other.follow("ada", "bob").await;
    world.other.follow("ada", "carol").await;
    world.set_event_type("ada", version(2), "PostEdited");

    let progress = catch_up(&world.tested, "ada").await.unwrap();

    assert!(matches!(&progress, Progress::Stuck { error: Error::Poison { .. }, .. }), "{progress:?}");
    assert_eq!(stuck_at(&progress), Some(2));
    let viewer = world.other.viewer("ada").await;
    assert_eq!(viewer.applied, version(1));
    assert!(viewer.followed.is_empty(), "what comes after it is not folded");
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_a_log_is_poison_and_moves_nothing() {
    let world = ada_is_not_applied().await;
    world.other.follow("ada", "bob").await;
    world.other.follow("ada", "carol").await;
    world.delete_event("ada", version(2));

    let result = catch_up(&world.tested, "ada").await;

    assert!(matches!(result, Err(Error::Poison { .. })), "{result:?}");
    assert_eq!(applied(&world, "ada").await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_fails_stops_the_log_at_its_event() {
    let world = ada_is_not_applied().await;
    world.other.follow("ada", "bob").await;
    world.other.post("ada", "hello").await;
    world.other.follow("ada", "carol").await;
    world.network.fail(Calls("BatchWriteItem", "AUTHOR#ada"), Failure::Internal);

    let progress = catch_up(&world.tested, "ada").await.unwrap();

    assert!(matches!(&progress, Progress::Stuck { error: Error::Transient { .. }, .. }), "{progress:?}");
    assert_eq!(stuck_at(&progress), Some(3));
    let viewer = world.other.viewer("ada").await;
    assert_eq!(viewer.applied, version(2), "the events in front of it are applied");
    assert!(viewer.follows(&user("bob")) && !viewer.follows(&user("carol")));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_effect_is_tried_again_by_the_sdk() {
    let world = ada_is_not_applied().await;
    world.network.fail_next(WRITE_CARD, 2, Failure::Throttled);

    let progress = catch_up(&world.tested, "ada").await.unwrap();

    assert!(matches!(progress, Progress::UpToDate), "{progress:?}");
}

#[tokio::test(start_paused = true)]
async fn totals_that_cannot_be_shown_stop_the_log_at_its_last_event() {
    let world = ada_is_not_applied().await;
    world.other.follow("ada", "bob").await;
    world.other.follow("ada", "carol").await;
    world.network.fail(Calls("UpdateItem", "totals_version"), Failure::Internal);

    let progress = catch_up(&world.tested, "ada").await.unwrap();

    assert_eq!((stuck_at(&progress), applied(&world, "ada").await), (Some(3), 2));
    world.network.calm();
    catch_up(&world.tested, "ada").await.unwrap();
    let cards = world.other.cards.users(&[user("ada")], Consistency::Strong).await.unwrap();
    assert_eq!(cards[&user("ada")].following, 2);
}

#[tokio::test(start_paused = true)]
async fn equal_effects_within_a_page_are_applied_once() {
    let world = ada_is_not_applied().await;
    let post = world.other.post("ada", "one").await;
    world.other.edit("ada", post, "two").await;
    world.other.edit("ada", post, "three").await;

    catch_up(&world.tested, "ada").await.unwrap();
    catch_up(&world.tested, "ada").await.unwrap();

    let on_post = Calls("UpdateItem", "\"POST#");
    assert_eq!(world.network.count(on_post), 1, "one write for the creation and both edits");
    let reads = world.network.count(Calls("GetItem", "\"PROFILE\""));
    assert_eq!(reads, 2, "once for the profile, and once after the row of the new post is written");
    let card = world.other.cards.posts(&[post], Consistency::Strong).await.unwrap().remove(&post).unwrap();
    assert_eq!((card.text.unwrap().as_str(), card.version), ("three", 3));
}

#[tokio::test(start_paused = true)]
async fn thirty_profile_changes_update_the_cards_of_the_authors_posts_once() {
    let world = ada_is_not_applied().await;
    let mut posts = Vec::new();
    for number in 0..5 {
        posts.push(world.other.post("ada", &format!("post {number}")).await);
    }
    world.other.catch_up(&["ada"]).await;
    for number in 0..30 {
        world.other.rename("ada", &format!("ada_{number}")).await;
    }

    catch_up(&world.tested, "ada").await.unwrap();

    assert_eq!(world.network.count(Calls("UpdateItem", "author_profile")), posts.len());
    let cards = world.other.cards.posts(&posts, Consistency::Strong).await.unwrap();
    assert!(cards.values().all(|card| card.author_profile == shown("ada_29")), "{cards:?}");
    assert_eq!(applied(&world, "ada").await, 36);
}

#[tokio::test(start_paused = true)]
async fn a_follow_that_ends_within_the_page_copies_nothing() {
    let world = ada_is_not_applied().await;
    world.other.post("bob", "hello").await;
    world.other.catch_up(&["bob"]).await;
    for _ in 0..5 {
        world.other.follow("ada", "bob").await;
        world.other.unfollow("ada", "bob").await;
    }

    catch_up(&world.tested, "ada").await.unwrap();

    assert_eq!(world.network.count(Calls("Query", "AUTHOR#bob")), 0);
    assert!(world.other.viewer("ada").await.followed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_follow_in_front_of_a_failing_event_is_complete_although_its_end_comes_behind() {
    let world = ada_is_not_applied().await;
    let old = world.other.post("bob", "before the follow").await;
    world.other.catch_up(&["bob"]).await;
    world.other.follow("ada", "bob").await;
    world.other.post("ada", "hello").await;
    world.other.unfollow("ada", "bob").await;
    world.network.fail(Calls("BatchWriteItem", "AUTHOR#ada"), Failure::Internal);

    let progress = catch_up(&world.tested, "ada").await.unwrap();

    assert_eq!((stuck_at(&progress), applied(&world, "ada").await), (Some(3), 2));
    let viewer = world.other.viewer("ada").await;
    assert!(viewer.follows(&user("bob")) && viewer.unfinished.backfills.contains_key(&user("bob")));
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: Some(version(2)) };
    let page = world.other.feeds.home(request, None, 10).await.unwrap().page;
    assert_eq!(page.entries.iter().map(|post| post.card.post).collect::<Vec<_>>(), [old]);
}

#[tokio::test(start_paused = true)]
async fn a_new_follow_fills_the_home_and_a_page_shows_it() {
    let world = ada_is_not_applied().await;
    let old = world.other.post("bob", "before the follow").await;
    world.other.catch_up(&["bob"]).await;
    world.other.follow("ada", "bob").await;

    catch_up(&world.tested, "ada").await.unwrap();

    let ada = user("ada");
    let page = world.other.feeds.home(ReadRequest { viewer: &ada, min_version: None }, None, 10).await.unwrap();
    assert_eq!(page.page.entries.iter().map(|post| post.card.post).collect::<Vec<_>>(), [old]);
    assert_eq!(page.version, version(2));
}

#[tokio::test(start_paused = true)]
async fn a_post_that_is_committed_during_the_backfill_of_a_new_follow_reaches_the_home() {
    let world = ada_is_not_applied().await;
    world.other.follow("ada", "bob").await;
    let other = world.other.clone();
    // The backfill has read bob's timeline. Bob's next post is now applied before ada's log is.
    world.network.after(Calls("Query", "AUTHOR#bob"), async move || {
        other.post("bob", "during the backfill").await;
        other.catch_up(&["bob"]).await;
    });

    catch_up(&world.tested, "ada").await.unwrap();

    assert_eq!(world.other.home("ada").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_follow_that_is_committed_while_a_post_is_pushed_finds_the_post() {
    let world = ada_is_not_applied().await;
    let post = world.other.post("bob", "hello").await;
    let other = world.other.clone();
    // The followers of bob have been read. Ada follows bob now, and her log is applied before bob's is.
    world.network.after(Calls("Query", "FOLLOWERS#bob"), async move || {
        other.follow("ada", "bob").await;
        other.catch_up(&["ada"]).await;
    });

    catch_up(&world.tested, "bob").await.unwrap();

    assert_eq!(world.other.home("ada").await, [post]);
}

#[tokio::test(start_paused = true)]
async fn a_block_that_ends_a_follow_is_folded_in_both_logs() {
    let world = ada_is_not_applied().await;
    world.other.follow("ada", "bob").await;
    world.other.follow("bob", "ada").await;
    world.other.catch_up(&["ada", "bob"]).await;
    world.other.block("ada", "bob").await;

    catch_up(&world.tested, "ada").await.unwrap();
    let (follower, followee) = (user("bob"), user("ada"));
    let end = Task::EndFollow { follower: follower.clone(), followee: followee.clone() };
    assert!(world.take_tasks().contains(&end));
    world.tested.projector.blocked_follows.end(&follower, &followee).await.unwrap();
    catch_up(&world.tested, "bob").await.unwrap();

    let (ada, bob) = (world.other.viewer("ada").await, world.other.viewer("bob").await);
    assert!(!ada.follows(&user("bob")) && !bob.follows(&user("ada")));
    assert!(ada.hides(&user("bob")) && !bob.hides(&user("ada")));
}

/// Those of ada, bob and carol who are known to block bob.
async fn who_blocks_bob(world: &World) -> Vec<&'static str> {
    let Blockers::Listed(listed) = world.other.viewer("bob").await.blocked_by else { panic!("not listed") };
    ["ada", "bob", "carol"].into_iter().filter(|id| listed.contains(&user(id).hash())).collect()
}

async fn unblock(process: &Process, id: &str, blocked: &str) {
    process.done(id, &BlockUser { blocked: user(blocked), wanted: EdgeState::Ended }).await;
}

#[tokio::test(start_paused = true)]
async fn the_viewer_item_of_a_blocked_user_lists_who_blocks_them() {
    let world = ada_is_not_applied().await;
    world.other.block("ada", "bob").await;
    world.other.block("carol", "bob").await;
    let head = applied(&world, "bob").await;

    catch_up(&world.tested, "ada").await.unwrap();
    assert_eq!(who_blocks_bob(&world).await, ["ada"]);
    catch_up(&world.tested, "carol").await.unwrap();
    assert_eq!(who_blocks_bob(&world).await, ["ada", "carol"]);
    assert_eq!(applied(&world, "bob").await, head, "nothing of this is in the log of bob");

    unblock(&world.other, "ada", "bob").await;
    catch_up(&world.tested, "ada").await.unwrap();
    assert_eq!(who_blocks_bob(&world).await, ["carol"]);
}

#[tokio::test(start_paused = true)]
async fn a_block_lists_its_user_in_an_item_that_no_catch_up_has_written_yet() {
    let world = ada_is_not_applied().await;
    world.other.join(&["dan"]).await;
    world.other.block("ada", "dan").await;

    catch_up(&world.tested, "ada").await.unwrap();
    catch_up(&world.tested, "dan").await.unwrap();

    let dan = world.other.viewer("dan").await;
    assert_eq!(dan.applied, version(1));
    assert_eq!(dan.blocked_by, Blockers::Listed([user("ada").hash()].into()));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_read_a_block_before_it_ended_does_not_bring_it_back() {
    let world = ada_is_not_applied().await;
    world.other.block("ada", "bob").await;
    let other = world.other.clone();
    // The worker has read bob's item and the block. Now the block ends, and another worker applies that.
    world.network.before(Calls("UpdateItem", "USER#bob"), async move || {
        unblock(&other, "ada", "bob").await;
        other.catch_up(&["ada"]).await;
    });

    catch_up(&world.tested, "ada").await.unwrap();

    assert_eq!(who_blocks_bob(&world).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_log_and_an_applied_one_cost_no_write() {
    let world = ada_is_not_applied().await;

    assert!(matches!(catch_up(&world.tested, "nobody").await, Ok(Progress::UpToDate)));
    assert!(matches!(catch_up(&world.tested, "bob").await, Ok(Progress::UpToDate)));

    assert_eq!((world.network.writes(), world.network.count(WRITE_CARD)), (Vec::new(), 0));
    assert_eq!(applied(&world, "nobody").await, Version::ZERO.get());
}

#[tokio::test(start_paused = true)]
async fn a_mute_is_folded_without_any_effect_on_timelines() {
    let world = ada_is_not_applied().await;
    world.other.follow("ada", "bob").await;
    world.other.catch_up(&["ada"]).await;
    let before = world.items("timelines");
    world.put_mutes("ada", 3..=3);

    catch_up(&world.tested, "ada").await.unwrap();

    assert!(world.other.viewer("ada").await.hides(&user("muted-3")));
    assert_eq!(world.items("timelines"), before);
}
