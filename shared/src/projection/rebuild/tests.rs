use std::time::Duration;

use super::{super::tally, *};
use crate::{
    command::{DeleteAccount, react_to_post, see_notifications},
    model::{EdgeState, Group, NotificationKind, Phase, PostId, RunStep, TableOf, TallySubject},
    projection::Projector,
    query::{Notification, ReadRequest, TrendingPosition},
    samples::user,
    store::{search::Unsettled, segments::RebuildItem},
    test_world::{Calls, Failure, World},
};

mod backfills;
mod senseless;

/// More than any phase waits before its work begins.
const LONG: Duration = Duration::from_secs(10 * 60);
/// The write of a segment's state.
const WRITE_SEGMENT: Calls = Calls("UpdateItem", "SEGMENT#");
/// The write of the rebuild's phase.
const WRITE_STATE: Calls = Calls("UpdateItem", "\"STATE\"");

/// Starts a rebuild of these models.
async fn start(world: &World, models: &[ReadModel], in_place: bool, segments: u32) {
    let before = world.other.commands.read_models(Consistency::Strong).await.unwrap();
    let now = world.other.clock.now();
    let rebuild = Rebuild {
        started_at: now,
        models: models.to_vec(),
        target: target(before.active, models, in_place),
        phase: Phase::Clear,
        phase_at: now,
        switched_at: None,
        replaced: None,
        cancelled: false,
        segments,
        units_per_second: 1_000_000,
        done: Work::default(),
    };
    let after = ReadModelsState { rebuild: Some(rebuild), ..before.clone() };
    world.other.commands.put_read_models(&before, after).await.unwrap();
}

async fn state(world: &World) -> ReadModelsState {
    world.other.commands.read_models(Consistency::Strong).await.unwrap()
}

/// Takes the next step of each open segment of the present phase. False if no rebuild is under way.
async fn step_all(world: &World) -> bool {
    let Some(rebuild) = state(world).await.rebuild else { return false };
    world.pass(LONG);
    for segment in 0..rebuild.segments {
        let stored = world.other.commands.segment(rebuild.started_at, rebuild.phase, segment).await.unwrap();
        let step = RebuildStep { started_at: rebuild.started_at, phase: rebuild.phase, segment, steps: stored.steps };
        world.tested.rebuilder.step(step, Deadline::none()).await.unwrap();
    }
    true
}

/// Takes steps until the rebuild has ended.
async fn finish(world: &World) {
    let mut rounds = 0;
    while step_all(world).await {
        rounds += 1;
        assert!(rounds < 100, "the rebuild does not end");
    }
}

/// Three people who follow, post, edit, delete and block, with a counted like. All of it is projected.
async fn a_small_world() -> World {
    let world = World::with(&[("SEARCH_DAYS", 30)]);
    let other = &world.other;
    other.join(&["ada", "bob", "carol"]).await;
    other.follow("bob", "ada").await;
    other.follow("carol", "ada").await;
    other.unfollow("carol", "ada").await;
    other.post("ada", "hello #world").await;
    let edited = other.post("ada", "first #old").await;
    other.edit("ada", edited, "second #new").await;
    let deleted = other.post("ada", "gone #gone").await;
    other.delete("ada", deleted).await;
    other.block("carol", "bob").await;
    other.rename("ada", "ada_l").await;
    other.catch_up(&["ada", "bob", "carol"]).await;
    world.put(
        "commands",
        &[serde_json::json!({
            "PK": {"S": format!("TALLY#POST#{edited}#0")}, "SK": {"S": "TALLY"}, "version": {"N": "1"},
            "likes": {"N": "1"}, "heat": {"N": "1000"},
        })],
    );
    let page = other.commands.rebuild_items(Part { segment: 0, of: 1 }, None, 500).await.unwrap();
    assert_eq!(page.next, None);
    for (_, item) in page.items {
        if let RebuildItem::Tally(change) = item.unwrap() {
            tally::show(&other.cards, &change.subject, std::slice::from_ref(&change)).await.unwrap();
            let unsettled = Unsettled { subject: change.subject.clone(), row: None };
            other.repair(Task::Index(unsettled)).await.unwrap();
        }
    }
    world
}

/// The items of a table without the numbers of writes, and without whether notices stood once: a rebuild assumes so.
/// Inboxes and the trending list say when they were written, so they are left out.
fn content(world: &World, table: &str) -> Vec<serde_json::Value> {
    let mut items = world.items(table);
    let is_list = |item: &serde_json::Value| item["PK"]["S"].as_str().is_some_and(|pk| pk.starts_with("TRENDING"));
    items.retain(|item| item["SK"]["S"] != "INBOX" && !is_list(item));
    for item in &mut items {
        let item = item.as_object_mut().unwrap();
        item.remove("revision");
        item.remove("tally_revision");
        item.remove("stood");
    }
    items.sort_by_cached_key(ToString::to_string);
    items
}

#[tokio::test(start_paused = true)]
async fn rebuilt_tables_equal_the_projected_ones_and_the_old_ones_are_emptied() {
    let world = a_small_world().await;
    let tables = ["timelines", "viewers", "cards", "search"];
    let projected = tables.map(|table| content(&world, table));

    start(&world, &READ_MODELS, false, 3).await;
    finish(&world).await;

    assert_eq!(state(&world).await.active.to_string(), "bbbb");
    for (table, projected) in tables.into_iter().zip(projected) {
        let mut rebuilt = content(&world, &format!("{table}-b"));
        let mut projected = projected;
        // Cards of deleted posts keep the author part that they have, and homes the rows of posts that were deleted.
        let deleted = |item: &serde_json::Value| item["deleted"]["BOOL"] == true;
        for items in [&mut rebuilt, &mut projected] {
            items.retain(|item| !deleted(item));
        }
        let is_home = |item: &serde_json::Value| item["PK"]["S"].as_str().unwrap().starts_with("HOME#");
        if table == "timelines" {
            let homes =
                |items: &[serde_json::Value]| items.iter().filter(|item| is_home(item)).cloned().collect::<Vec<_>>();
            for row in homes(&rebuilt) {
                assert!(projected.contains(&row), "{row} is rebuilt, but was not projected");
            }
            assert_eq!(homes(&rebuilt).len(), 4, "two posts in the homes of ada and bob");
            for items in [&mut rebuilt, &mut projected] {
                items.retain(|item| !is_home(item));
            }
        }
        assert_eq!(rebuilt, projected, "{table}");
        assert_eq!(world.items(table), Vec::<serde_json::Value>::new(), "{table} is emptied");
    }
}

#[tokio::test(start_paused = true)]
async fn readers_use_the_tables_that_are_active_when_they_begin() {
    let world = a_small_world().await;
    start(&world, &READ_MODELS, false, 1).await;
    finish(&world).await;
    let (bob, feeds) = (user("bob"), &world.other.feeds);
    let read = async || feeds.home(ReadRequest { viewer: &bob, min_version: None }, None, 10).await;
    // A page of the tables that this process knew of would be empty.
    assert_eq!(read().await.unwrap().page.entries.len(), 0);
    assert_eq!(feeds.read_models.reading(read).await.unwrap().page.entries.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_switch_was_known_is_not_used_after_it() {
    let world = a_small_world().await;
    world.other.cards.merge_trending(world.other.clock.now()).await.unwrap();
    let (bob, feeds) = (user("bob"), &world.other.feeds);
    let read = async || {
        let request = ReadRequest { viewer: &bob, min_version: None };
        feeds.trending(request, TrendingPosition::default(), 10).await
    };
    assert_eq!(feeds.read_models.reading(read).await.unwrap().entries.len(), 1);
    start(&world, &READ_MODELS, false, 1).await;
    finish(&world).await;
    // This process reads the old tables first, which are empty by now.
    assert_eq!(feeds.read_models.reading(read).await.unwrap().entries.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_model_is_rebuilt_and_the_others_stay() {
    let world = a_small_world().await;
    start(&world, &[ReadModel::Cards], false, 2).await;
    finish(&world).await;
    assert_eq!(state(&world).await.active.to_string(), "abb");
    assert!(!world.items("timelines").is_empty() && world.items("timelines-b").is_empty());
    assert!(world.items("cards").is_empty() && !world.items("cards-b").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_late_takes_no_step() {
    let world = a_small_world().await;
    start(&world, &READ_MODELS, false, 2).await;
    step_all(&world).await;
    let rebuild = state(&world).await.rebuild.unwrap();
    assert_eq!(rebuild.phase, Phase::Fill);
    let late = RebuildStep { started_at: rebuild.started_at, phase: Phase::Clear, segment: 0, steps: 0 };
    let written = world.network.count(WRITE_SEGMENT);
    world.tested.rebuilder.step(late, Deadline::none()).await.unwrap();
    assert_eq!(world.network.count(WRITE_SEGMENT), written);
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_end_was_lost_is_taken_again() {
    let world = a_small_world().await;
    start(&world, &READ_MODELS, false, 1).await;
    step_all(&world).await;
    world.pass(LONG);
    let rebuild = state(&world).await.rebuild.unwrap();
    let step = RebuildStep { started_at: rebuild.started_at, phase: rebuild.phase, segment: 0, steps: 0 };
    world.network.fail(WRITE_SEGMENT, Failure::Invalid);
    world.tested.rebuilder.step(step, Deadline::none()).await.unwrap_err();
    world.network.calm();
    world.tested.rebuilder.step(step, Deadline::none()).await.unwrap();
    assert_eq!(state(&world).await.rebuild.unwrap().phase, Phase::Settle);
}

#[tokio::test(start_paused = true)]
async fn a_phase_whose_beginning_was_lost_is_begun_by_its_first_step() {
    let world = a_small_world().await;
    start(&world, &READ_MODELS, false, 2).await;
    world.pass(LONG);
    world.take_tasks();
    let rebuild = state(&world).await.rebuild.unwrap();
    let clear = |segment| RebuildStep { started_at: rebuild.started_at, phase: Phase::Clear, segment, steps: 0 };
    world.tested.rebuilder.step(clear(0), Deadline::none()).await.unwrap();
    world.network.fail(WRITE_STATE, Failure::Invalid);
    world.tested.rebuilder.step(clear(1), Deadline::none()).await.unwrap_err();
    world.network.calm();
    assert_eq!(world.take_tasks(), [], "the first steps come once the phase is written");

    world.pass(FIRST_STEP_AFTER);
    let first = |segment| RebuildStep { phase: Phase::Fill, ..clear(segment) };
    let firsts = [0, 1].map(|segment| Task::Rebuild(first(segment)));
    assert_eq!(world.take_tasks(), firsts);
    assert_eq!(state(&world).await.rebuild.unwrap().phase, Phase::Clear, "nobody has begun the next phase");
    world.tested.rebuilder.step(first(1), Deadline::none()).await.unwrap();
    assert_eq!(state(&world).await.rebuild.unwrap().phase, Phase::Fill);
    world.pass(FIRST_STEP_AFTER);
    assert_eq!(world.take_tasks(), firsts, "each of them, as some may be lost");
}

/// The projector of the target, as functions that know of the rebuild have it.
async fn projector_of_the_target(world: &World) -> Projector {
    let state = state(world).await;
    let of = Maintained { set: state.rebuild.as_ref().unwrap().target, homes: HomeRows::Later };
    world.tested.rebuilder.projectors.projector(of, &state)
}

#[tokio::test(start_paused = true)]
async fn nothing_of_an_account_that_is_deleted_meanwhile_is_filled_in() {
    let world = a_small_world().await;
    start(&world, &READ_MODELS, false, 1).await;
    step_all(&world).await;
    world.other.done("ada", &DeleteAccount).await;
    let catch_up = projector_of_the_target(&world).await.catch_up;
    catch_up.user(&user("ada"), None, Deadline::none()).await.unwrap();
    assert_eq!((world.items("timelines-b"), world.items("viewers-b")), (Vec::new(), Vec::new()));
    let cards = world.items("cards-b");
    assert!(cards.len() == 1 && cards[0].get("profile").is_none(), "only the profile's absence: {cards:?}");
}

#[tokio::test(start_paused = true)]
async fn counters_wait_for_the_cards_that_a_rebuild_makes() {
    let world = a_small_world().await;
    let subject = TallySubject::User(user("ada"));
    start(&world, &[ReadModel::Cards], false, 1).await;
    step_all(&world).await;
    let settle = async || projector_of_the_target(&world).await.repair.settle_tally(&subject, &[]).await;
    settle().await.unwrap();
    assert_eq!(world.items("cards-b"), Vec::<serde_json::Value>::new());
    step_all(&world).await;
    world.empty("cards-b");
    settle().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn an_item_of_a_lost_table_is_restored_in_place() {
    let world = a_small_world().await;
    let before = content(&world, "cards");
    world.empty("cards");
    start(&world, &[ReadModel::Cards], true, 1).await;
    finish(&world).await;
    assert_eq!(state(&world).await.active.to_string(), "aba");
    let deleted = |item: &serde_json::Value| item["deleted"]["BOOL"] == true;
    let shown = |items: Vec<serde_json::Value>| items.into_iter().filter(|it| !deleted(it)).collect::<Vec<_>>();
    assert_eq!(shown(content(&world, "cards")), shown(before));
}

#[test]
fn viewers_are_filled_beside_unless_they_are_lost() {
    let of = |models: &[ReadModel], in_place| target(ModelSet::default(), models, in_place).to_string();
    assert_eq!(of(&READ_MODELS, false), "bbbb");
    assert_eq!(of(&[ReadModel::Search], false), "abab");
    assert_eq!(of(&[ReadModel::Timelines], false), "bba");
    assert_eq!(of(&[ReadModel::Viewers], false), "aba");
    assert_eq!(of(&[ReadModel::Timelines], true), "aba");
    assert_eq!(of(&READ_MODELS, true), "aaa");
    let after = ModelSet::default().with(ReadModel::Cards, TableOf::B);
    assert_eq!(target(after, &[ReadModel::Cards], false).to_string(), "aba");
}

/// Somebody likes a post, or ends that. Nobody is told.
async fn like(world: &World, id: &str, post: PostId, wanted: EdgeState) {
    world.pass(Duration::from_millis(1));
    react_to_post(&user(id), post, wanted, &world.other.commands, &world.other.clock).await.unwrap();
}

/// Brings inboxes up to date by the tasks that wait, in the tables that are read.
async fn settle_inboxes(world: &World) {
    for _ in 0..100 {
        let tasks = world.take_tasks();
        let is_done = tasks.is_empty() && !world.pass_until_next_task();
        for task in tasks {
            if let Task::Notify { user, group } = task {
                let projectors = world.tested.rebuilder.projectors.maintained().await.unwrap();
                projectors[0].notices.settle(&user, group).await.unwrap();
                world.pass(Duration::from_secs(1));
            }
        }
        if is_done {
            return;
        }
    }
    panic!("there are always more tasks");
}

/// What ada is shown: kinds, numbers and people, and whether each is unread.
async fn notifications_of_ada(world: &World) -> Vec<(NotificationKind, usize, Vec<String>, bool)> {
    let (ada, notifications) = (user("ada"), world.other.notifications());
    let read = async || notifications.list(ReadRequest { viewer: &ada, min_version: None }, None, 20).await;
    let page = world.other.feeds.read_models.reading(read).await.unwrap();
    let people = |it: &Notification| it.people.iter().map(|card| card.user.to_string()).collect::<Vec<_>>();
    let mut shown: Vec<_> = page.page.entries.iter().map(|it| (it.kind, it.count, people(it), it.unread)).collect();
    // Those of the same moment may stand in any order.
    shown.sort_by_key(|(kind, ..)| kind.name());
    shown
}

#[tokio::test(start_paused = true)]
async fn notices_are_filled_in_and_what_was_seen_stays_seen() {
    let world = World::new();
    let other = &world.other;
    other.join(&["ada", "bob", "carol"]).await;
    let post = other.post("ada", "a post").await;
    other.catch_up(&["ada", "bob", "carol"]).await;
    for (id, wanted) in [("bob", EdgeState::Active), ("carol", EdgeState::Active), ("carol", EdgeState::Ended)] {
        like(&world, id, post, wanted).await;
        other.repair(Task::SettleLikes { post, users: vec![user(id)] }).await.unwrap();
    }
    other.comment("carol", post, "a comment").await;
    other.follow("bob", "ada").await;
    other.post("bob", "for @ada").await;
    other.catch_up(&["ada", "bob", "carol"]).await;
    settle_inboxes(&world).await;
    world.pass(Duration::from_secs(1));
    see_notifications(&user("ada"), other.clock.now(), &other.commands, &other.clock).await.unwrap();
    let before = notifications_of_ada(&world).await;
    assert_eq!(before.iter().map(|it| (it.1, it.3)).collect::<Vec<_>>(), [(1, false); 4]);
    let rows = content(&world, "timelines");

    start(&world, &[ReadModel::Timelines], false, 2).await;
    finish(&world).await;
    settle_inboxes(&world).await;

    assert_eq!(notifications_of_ada(&world).await, before);
    assert_eq!(content(&world, "timelines-b"), rows);
    assert!(world.items("timelines").is_empty());
    like(&world, "carol", post, EdgeState::Active).await;
    let projectors = world.tested.rebuilder.projectors.maintained().await.unwrap();
    projectors[0].repair.settle_likes(post, &[user("carol")]).await.unwrap();
    let likes = notifications_of_ada(&world).await.into_iter().find(|it| it.0 == NotificationKind::Like);
    assert_eq!(likes.map(|it| (it.1, it.3)), Some((2, false)), "what begins again was seen before");
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_tables_are_filled_counts_from_its_own_moment_there() {
    let world = a_small_world().await;
    let post = world.other.post("ada", "another post").await;
    world.other.catch_up(&["ada"]).await;
    start(&world, &READ_MODELS, false, 1).await;
    step_all(&world).await;
    like(&world, "bob", post, EdgeState::Active).await;
    let liked_at = world.other.clock.now();
    world.pass(Duration::from_secs(60));
    let Projector { notices, repair, .. } = projector_of_the_target(&world).await;
    repair.settle_likes(post, &[user("bob")]).await.unwrap();
    let stored = notices.timelines.inbox(&user("ada"), Consistency::Strong).await.unwrap();
    let now = world.other.clock.now();
    let groups: Vec<_> = stored.inbox.groups(now).map(|grouped| (grouped.group, grouped.at)).collect();
    assert_eq!(groups, [(Group::Like(post), liked_at)]);
}

#[tokio::test(start_paused = true)]
async fn what_the_tables_that_are_read_are_behind_with_is_not_lost_at_the_switch() {
    for models in [&[ReadModel::Viewers][..], &[ReadModel::Cards]] {
        let world = a_small_world().await;
        // No event of the bus tells of it.
        let post = world.other.post("ada", "late").await;
        start(&world, models, false, 1).await;
        finish(&world).await;
        for home in ["ada", "bob"] {
            assert!(world.other.home(home).await.contains(&post), "{home} {models:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_in_place_that_is_cancelled_leaves_the_counters_it_did_not_show_to_the_audit() {
    for (models, in_place, is_asked) in [
        (&READ_MODELS[..], true, true),
        (&[ReadModel::Cards], true, true),
        (&[ReadModel::Viewers], true, false),
        (&READ_MODELS, false, false),
    ] {
        let world = a_small_world().await;
        start(&world, models, in_place, 1).await;
        assert!(step_all(&world).await);
        let before = state(&world).await;
        let after = before.clone().cancelled(world.other.clock.now()).unwrap();
        world.other.commands.put_read_models(&before, after).await.unwrap();
        finish(&world).await;
        let audit = world.other.commands.audit_state().await.unwrap();
        assert_eq!(audit.sweep_requested_at.is_some(), is_asked, "{models:?} {in_place}");
    }
}

/// Deletes the account, and erases it with what the tested process knows of the tables.
async fn erase(world: &World, id: &str) {
    world.other.done(id, &DeleteAccount).await;
    let projectors = &world.tested.rebuilder.projectors;
    let active = projectors.maintained().await.unwrap().remove(0);
    active.catch_up.user(&user(id), None, Deadline::none()).await.unwrap();
    for _ in 0..1000 {
        let steps = world.take_steps();
        if steps.is_empty() && !world.pass_until_next_task() {
            return;
        }
        for (task, run) in steps {
            let Task::Walk(walk) = &task else { continue };
            for projector in projectors.of_task(None, &task).await.unwrap() {
                projector.walks.advance(walk.clone(), run.unwrap_or_else(RunStep::first)).await.unwrap();
            }
        }
    }
    panic!("the erasure does not end");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_erased_while_old_tables_are_emptied_brings_no_numbers_back() {
    let world = a_small_world().await;
    start(&world, &READ_MODELS, false, 1).await;
    while state(&world).await.rebuild.unwrap().phase != Phase::Retire {
        step_all(&world).await;
    }
    world.pass(LONG);
    // The emptying has come past the numbers, and not past the facts: other segments have these.
    for item in world.items("timelines") {
        if item["PK"]["S"].as_str().unwrap().starts_with("DAYS#") {
            let key = serde_json::json!({"PK": item["PK"], "SK": item["SK"]});
            world.meddle("DeleteItem", &serde_json::json!({"TableName": "timelines", "Key": key}));
        }
    }
    assert!(!world.keys("timelines", "FACTS#ada#").is_empty(), "bob's follow is a fact of ada's");

    erase(&world, "bob").await;

    assert_eq!(world.keys("timelines", "DAYS#"), Vec::<String>::new());
    finish(&world).await;
    assert!(world.items("timelines").is_empty());
}

#[tokio::test(start_paused = true)]
async fn filled_tables_tell_what_celebrities_announced_lately() {
    let world = World::with_celebrities_from(1);
    world.other.join(&["ada", "star"]).await;
    world.other.follow("ada", "star").await;
    for text in ["long ago", "lately"] {
        world.pass(crate::model::limits::ANNOUNCEMENT_KEPT);
        world.other.post("star", text).await;
        world.other.catch_up(&["ada", "star"]).await;
    }
    start(&world, &[ReadModel::Timelines], false, 1).await;
    finish(&world).await;
    assert_eq!(world.keys("timelines-b", "ANNOUNCED").len(), 1);
}
