use serde_json::Value;

use super::*;
use crate::{
    command::{DeleteAccount, ModeratePost, Moderation},
    model::{TallyChange, TallyImage, TallyShard, search::rank},
    projection::tally,
    samples::user,
    store::search::Unsettled,
    test_world::{Calls, Failure, World},
};

/// The transaction that writes rows of the index.
const WRITE_ROWS: Calls = Calls("TransactWriteItems", "\"search\"");

fn world() -> World {
    World::with(&[("SEARCH_DAYS", 30)])
}

/// The lists in which this subject stands, without their prefixes.
fn lists(world: &World, place: &str) -> Vec<String> {
    let items = world.items("search").into_iter().filter(|item| item["SK"]["S"] != "ENTRY");
    let of_place = items.filter(|item| item["SK"]["S"].as_str().unwrap().ends_with(place));
    let mut lists: Vec<_> = of_place.map(|item| item["PK"]["S"].as_str().unwrap().to_owned()).collect();
    lists.sort();
    lists
}

fn is_empty_of(world: &World, text: &str) -> bool {
    !world.items("search").iter().map(Value::to_string).any(|item| item.contains(text))
}

#[tokio::test(start_paused = true)]
async fn a_post_is_found_by_the_words_of_its_newest_text() {
    let world = world();
    world.other.join(&["ada"]).await;
    let post = world.other.post("ada", "Hello new #World").await;
    world.tested.catch_up(&["ada"]).await;
    assert_eq!(lists(&world, &post.to_string()).len(), 4, "three words and a tag");
    world.other.edit("ada", post, "hello again").await;
    world.tested.catch_up(&["ada"]).await;
    assert_eq!(lists(&world, &post.to_string()), ["WORD#0#again", "WORD#0#hello"]);
    world.other.delete("ada", post).await;
    world.tested.catch_up(&["ada"]).await;
    assert!(is_empty_of(&world, "again"));
}

#[tokio::test(start_paused = true)]
async fn an_edit_writes_what_it_changes() {
    let world = world();
    world.other.join(&["ada"]).await;
    let post = world.other.post("ada", "one two three").await;
    world.other.catch_up(&["ada"]).await;
    world.other.edit("ada", post, "one two four").await;
    world.tested.catch_up(&["ada"]).await;
    let calls = world.network.calls();
    let writes: Vec<_> = calls.iter().filter(|call| call.body.contains("WORD#0#")).map(|call| &call.body).collect();
    assert_eq!(writes.len(), 1);
    assert!(!writes[0].contains("{\"S\":\"WORD#0#two\"},\"SK\"") && writes[0].contains("WORD#0#four"), "{}", writes[0]);
}

#[tokio::test(start_paused = true)]
async fn a_text_of_many_words_takes_several_transactions_and_survives_a_kill_between_them() {
    let world = world();
    world.other.join(&["ada"]).await;
    let text: String = (0..290u32).filter_map(|n| char::from_u32(0x4e00 + n)).collect();
    let post = world.other.post("ada", &text).await;
    world.network.fail_next(Calls("TransactWriteItems", "乡乢"), 100, Failure::Invalid);
    world.tested.catch_up(&["ada"]).await;
    assert!(lists(&world, &post.to_string()).len() < 289);
    world.other.edit("ada", post, "short").await;
    world.other.catch_up(&["ada"]).await;
    assert_eq!(lists(&world, &post.to_string()), ["WORD#0#short"]);
    world.other.edit("ada", post, &text).await;
    world.other.catch_up(&["ada"]).await;
    assert_eq!(lists(&world, &post.to_string()).len(), 289);
}

#[tokio::test(start_paused = true)]
async fn who_is_late_brings_no_word_back() {
    let world = world();
    world.other.join(&["ada"]).await;
    let post = world.other.post("ada", "secret").await;
    let other = world.other.clone();
    world.network.before(WRITE_ROWS, async move || {
        other.delete("ada", post).await;
        other.catch_up(&["ada"]).await;
    });
    world.tested.projector.indexer.settle(Unsettled::post(post)).await.unwrap();
    assert!(is_empty_of(&world, "secret"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_indexed_at_once_is_left_to_a_task() {
    let world = world();
    world.other.join(&["ada"]).await;
    world.other.catch_up(&["ada"]).await;
    let post = world.other.post("ada", "hello").await;
    world.network.fail_next(WRITE_ROWS, 9, Failure::Throttled);
    world.tested.catch_up(&["ada"]).await;
    assert!(lists(&world, &post.to_string()).is_empty());
    world.pass(LEFT_AFTER);
    let tasks = world.take_tasks();
    assert_eq!(tasks, [Task::Index(Unsettled::post(post))]);
    for task in tasks {
        world.other.repair(task).await.unwrap();
    }
    assert_eq!(lists(&world, &post.to_string()), ["WORD#0#hello"]);
}

#[tokio::test(start_paused = true)]
async fn without_search_days_nothing_is_written_or_read() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    let post = world.other.post("ada", "hello").await;
    world.tested.catch_up(&["ada"]).await;
    world.tested.projector.indexer.check_place(&TallySubject::User(user("ada"))).await.unwrap();
    assert!(world.items("search").is_empty());
    assert!(!world.network.calls().iter().any(|call| call.body.contains("\"search\"")));
    let on = self::world();
    on.other.join(&["ada"]).await;
    let kept = on.other.post("ada", "hello").await;
    on.other.catch_up(&["ada"]).await;
    let off = Indexer { kept: None, ..on.other.projector.indexer.clone() };
    off.settle(Unsettled::post(kept)).await.unwrap();
    assert!(lists(&on, &kept.to_string()).is_empty(), "the audit removes what is left");
    assert_ne!(kept, post);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_was_taken_down_keeps_its_rows_for_its_author() {
    let world = world();
    world.other.join(&["ada"]).await;
    let post = world.other.post("ada", "hello").await;
    world.other.done("ada", &ModeratePost { post, wanted: Moderation::Withdrawn }).await;
    world.tested.catch_up(&["ada"]).await;
    assert_eq!(lists(&world, &post.to_string()), ["WORD#0#hello"]);
}

/// Shows on ada's card that so many users follow her, and works on what follows.
async fn count_followers(world: &World, version: u64, followers: i64) {
    let subject = TallySubject::User(user("ada"));
    let image = TallyImage { version, counts: crate::model::Counts { followers, ..Default::default() } };
    let change = TallyChange { subject: subject.clone(), shard: TallyShard::default(), image };
    tally::show(&world.tested.cards, &subject, &[change]).await.unwrap();
    world.tested.projector.indexer.check_place(&subject).await.unwrap();
    for task in world.take_tasks() {
        world.other.repair(task).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_is_found_by_beginnings_and_moves_up_with_followers() {
    let world = world();
    world.other.join(&["ada"]).await;
    world.tested.catch_up(&["ada"]).await;
    let place = |followers| format!("{:03}#ada", crate::model::limits::FOLLOWER_RANKS - rank(followers));
    assert_eq!(
        lists(&world, &place(0)),
        ["NAME#a", "NAME#ad", "NAME#ada", "NAME#n", "NAME#na", "NAME#nam", "NAME#name"]
    );
    count_followers(&world, 1, 5).await;
    assert_eq!((lists(&world, &place(0)).len(), lists(&world, &place(5)).len()), (0, 7));
    world.other.rename("ada", "lovelace").await;
    world.tested.catch_up(&["ada"]).await;
    assert!(lists(&world, &place(5)).contains(&"NAME#lovel".to_owned()) && is_empty_of(&world, "NAME#ad\""));
}

#[tokio::test(start_paused = true)]
async fn followers_who_are_counted_meanwhile_are_not_forgotten() {
    let world = world();
    world.other.join(&["ada"]).await;
    world.other.catch_up(&["ada"]).await;
    world.other.rename("ada", "ada_l").await;
    let other = world.other.clone();
    world.network.before(WRITE_ROWS, async move || {
        let subject = TallySubject::User(user("ada"));
        let image = TallyImage { version: 1, counts: crate::model::Counts { followers: 9, ..Default::default() } };
        let change = TallyChange { subject: subject.clone(), shard: TallyShard::default(), image };
        tally::show(&other.cards, &subject, &[change]).await.unwrap();
    });
    world.tested.projector.indexer.show_user(&user("ada")).await.unwrap();
    let stored = world.other.projector.indexer.index.entry(&TallySubject::User(user("ada")), Consistency::Strong).await;
    assert_eq!(stored.unwrap().name_place(), Some(NamePlace::new(user("ada"), 9)));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_an_erased_account() {
    let world = world();
    world.other.join(&["ada"]).await;
    world.other.post("ada", "hello").await;
    world.other.catch_up(&["ada"]).await;
    world.other.done("ada", &DeleteAccount {}).await;
    world.other.catch_up(&["ada"]).await;
    for _ in 0..100 {
        world.pass_until_next_task();
        for task in world.take_tasks() {
            world.other.repair(task).await.unwrap();
        }
    }
    assert_eq!(world.items("search"), Vec::<Value>::new());
}
