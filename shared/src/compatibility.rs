//! Tests that this release works with what an older one wrote, and beside a newer one on the same tables.
//!
//! `compatibility/recorded.json` holds all items and tasks of a small deployment. Commit 728dcce wrote them, which has
//! the stored data of release 0.2.0: four users with edges of every kind, a post that was edited, one that was deleted
//! and not projected, a comment, and a like. Carol's last event is not applied.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::{
    command::{EditPost, MuteUser, react_to_post},
    model::{EdgeState, PostId, Version},
    projection::quarantine::redo,
    samples::user,
    store::{Consistency, timelines::Timeline},
    stream::work_queue::Message,
    test_world::World,
};

/// The tables, by their names in [`World`].
const TABLES: [&str; 4] = ["commands", "timelines", "viewers", "cards"];
/// The attribute of a newer release.
const NEW: &str = "from_the_future";

fn recorded() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/compatibility/recorded.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A world with the recorded items, each of which `change` may change.
fn world(change: impl Fn(&str, &mut Map<String, Value>)) -> World {
    let (world, mut recorded) = (World::new(), recorded());
    for table in TABLES {
        let items = recorded["tables"][table].as_array_mut().unwrap();
        items.iter_mut().for_each(|item| change(table, item.as_object_mut().unwrap()));
        world.put(table, items);
    }
    world
}

/// Adds an attribute that this release does not know, also to the data of events.
fn add_attribute(_: &str, item: &mut Map<String, Value>) {
    item.insert(NEW.to_owned(), json!({"S": "new"}));
    if let Some(data) = item.get_mut("data").and_then(|data| data["M"].as_object_mut()) {
        data.insert(NEW.to_owned(), json!({"M": {"nested": {"N": "1"}}}));
    }
}

/// The items of the command table with this sort key that lack the newer release's attribute.
fn without_new(world: &World, sort_key: &str) -> Vec<Value> {
    let items = world.items("commands").into_iter();
    items.filter(|item| item["SK"]["S"].as_str().unwrap().starts_with(sort_key) && item.get(NEW).is_none()).collect()
}

/// The post of ada's that is not deleted: her first one.
async fn shown_post(world: &World) -> PostId {
    world.tested.rows(&Timeline::Author(user("ada"))).await.last().unwrap().post
}

/// Ada and bob go on as if nothing had happened: every kind of item is read and changed.
async fn go_on(world: &World) {
    let it = &world.tested;
    let post = shown_post(world).await;
    it.edit("ada", post, "another text #tag").await;
    it.rename("ada", "ada_now").await;
    it.follow("bob", "carol").await;
    it.unfollow("bob", "carol").await;
    it.comment("bob", post, "one more comment").await;
    for wanted in [EdgeState::Ended, EdgeState::Active] {
        react_to_post(&user("bob"), post, wanted, &it.commands, &it.clock).await.unwrap();
    }
    it.done("bob", &MuteUser { muted: user("dave"), wanted: EdgeState::Ended }).await;
    for id in ["ada", "bob", "carol", "dave"] {
        it.catch_up(&[id]).await;
        assert_eq!(it.viewer(id).await.applied, it.commands.head(&user(id)).await.unwrap().version, "{id}");
    }
    assert!(it.viewer("bob").await.follows(&user("ada")) && it.home("bob").await.contains(&post));
    let cards = it.cards.posts(&[post], Consistency::Strong).await.unwrap();
    let card = &cards[&post];
    assert_eq!(json!([card.text, card.author_profile.handle]), json!(["another text #tag", "ada_now"]));
    assert_eq!(world.take_quarantined(), Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn what_an_older_release_wrote_is_read_and_changed() {
    go_on(&world(|_, _| ())).await;
}

#[tokio::test(start_paused = true)]
async fn attributes_of_a_newer_release_are_passed_over_and_kept() {
    let world = world(add_attribute);
    let before = without_new(&world, "").len();
    assert_eq!(before, 0);
    go_on(&world).await;
    // New items are written by this release, and lack it.
    for kept in ["PROFILE", "POST", "FOLLOWS#ada", "USER#", "MUTES#", "LIKES#"] {
        let lacking = without_new(&world, kept);
        assert!(lacking.is_empty(), "{kept}: {lacking:?}");
    }
    for table in ["viewers", "cards"] {
        let lacking: Vec<_> = world.items(table).into_iter().filter(|item| item.get(NEW).is_none()).collect();
        assert!(lacking.is_empty(), "{table}: {lacking:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_keeps_nothing_of_a_newer_release() {
    let world = world(add_attribute);
    let post = shown_post(&world).await;
    world.tested.delete("ada", post).await;
    let items = world.items("commands");
    let item = items.iter().find(|item| item["PK"]["S"] == format!("POST#{post}") && item["SK"]["S"] == "POST");
    assert!(item.unwrap().get(NEW).is_none(), "it may hold a text");
}

#[tokio::test(start_paused = true)]
async fn a_layout_that_is_not_known_waits_for_a_release_that_knows_it() {
    let newer = |table: &str, item: &mut Map<String, Value>| {
        let of_post = item["PK"]["S"].as_str().unwrap().starts_with("POST#");
        if table == "commands" && of_post && item["SK"]["S"] == "POST" {
            item.insert("schema".to_owned(), json!({"N": "2"}));
        }
    };
    let world = world(newer);
    let it = &world.tested;
    let post = shown_post(&world).await;
    let edit = EditPost { post, text: "lost".to_owned().try_into().unwrap() };
    assert!(matches!(it.run("ada", &edit).await, Err(crate::error::Error::NewerRelease { .. })));
    let created = it.log("ada").await.len();
    let redone = redo(&it.projector.catch_up, &user("ada"), Version::new(created as u64).unwrap()).await;
    assert!(matches!(redone, Err(crate::error::Error::NewerRelease { .. })), "{redone:?}");
}

#[test]
fn every_recorded_task_is_known() {
    let recorded = recorded();
    let tasks = recorded["tasks"].as_array().unwrap();
    assert!(tasks.len() >= 3, "{tasks:?}");
    for task in tasks {
        Message::parse(&task.to_string()).unwrap();
        let mut newer = task.clone();
        newer.as_object_mut().unwrap().values_mut().next().unwrap()[NEW] = json!(1);
        assert_eq!(Message::parse(&newer.to_string()), Message::parse(&task.to_string()));
    }
}
