use serde_json::json;

use super::Task;
use crate::{
    command::react_to_post,
    error::Error,
    model::{EdgeState, PostId, TallyShard, TallySubject, Version},
    samples::{user, version},
    store::timelines::{Row, Timeline},
    test_world::{Calls, Failure, Process, World},
};

#[tokio::test(start_paused = true)]
async fn effects_are_applied_again_step_by_step_to_the_end_of_the_log() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    world.put_mutes("ada", 2..=250);
    let mut after = Version::ZERO;
    for next in [50, 100, 150, 200, 250] {
        world.tested.projector.repair.reapply_step(&user("ada"), after).await.unwrap();
        after = version(next);
        assert_eq!(world.take_tasks(), [Task::Reapply { user: user("ada"), after }]);
    }
    world.tested.projector.repair.reapply_step(&user("ada"), after).await.unwrap();
    assert_eq!(world.take_tasks(), []);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_makes_no_sense_is_passed_over() {
    let world = World::new();
    world.other.join(&["ada", "bob"]).await;
    world.other.follow("ada", "bob").await;
    let post = world.other.post("ada", "hello").await;
    world.set_event_type("ada", version(2), "PostEdited");
    let mut after = Version::ZERO;
    for next in [2, 3] {
        world.tested.projector.repair.reapply_step(&user("ada"), after).await.unwrap();
        after = version(next);
        assert_eq!(world.take_tasks(), [Task::Reapply { user: user("ada"), after }]);
    }
    assert_eq!(world.other.home("ada").await, [post]);
}

#[tokio::test(start_paused = true)]
async fn a_counter_that_changes_meanwhile_is_not_set_back() {
    let world = World::new();
    world.other.join(&["ada", "bob"]).await;
    world.other.catch_up(&["ada"]).await;
    let subject = TallySubject::User(user("ada"));
    let (other, of_other) = (world.other.clone(), subject.clone());
    world.network.before(Calls("UpdateItem", "\"cards\""), async move || {
        other.follow("bob", "ada").await;
        other.projector.repair.settle_tally(&of_other, &[]).await.unwrap();
    });
    world.tested.projector.repair.settle_tally(&subject, &[]).await.unwrap();
    assert_eq!(world.other.cards.tally(&subject).await.unwrap().tally.counts().followers, 1);
}

#[tokio::test(start_paused = true)]
async fn only_the_named_shards_of_a_counter_are_read_and_set() {
    let world = World::new();
    world.other.join(&["ada", "bob"]).await;
    world.other.catch_up(&["ada"]).await;
    world.other.follow("bob", "ada").await;
    let image = |followers: &str| json!({"M": {"version": {"N": "1"}, "followers": {"N": followers}}});
    world.set("cards", "USER#ada", "tally", &json!({"M": {"7": image("3"), "8": image("5")}}));
    let subject = TallySubject::User(user("ada"));
    let settle = async |shards: &[u8]| {
        let shards: Vec<_> = shards.iter().copied().map(TallyShard::new).collect();
        world.tested.projector.repair.settle_tally(&subject, &shards).await.unwrap();
        world.other.cards.tally(&subject).await.unwrap().tally.counts().followers
    };
    assert_eq!(settle(&[0]).await, 1 + 3 + 5);
    assert_eq!(settle(&[0, 7]).await, 1 + 5, "nothing was ever written to shard 7");
    assert_eq!(world.network.count(Calls("BatchGetItem", "TALLY#USER#ada#8")), 0);
    let writes = world.network.count(Calls("UpdateItem", "\"cards\""));
    assert_eq!(settle(&[0, 7]).await, 6);
    assert_eq!(world.network.count(Calls("UpdateItem", "\"cards\"")), writes, "nothing changes");
    assert_eq!(settle(&[]).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_names_another_author_by_now_stays() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    let post = world.other.post("ada", "hello").await;
    world.other.catch_up(&["ada"]).await;
    let row = Row { post, author: user("bob") };
    world.tested.projector.repair.check_row("HOME#ada", &row).await.unwrap();
    assert_eq!(world.other.home("ada").await, [post]);
    let nonsense = world.tested.projector.repair.check_row("NOWHERE#ada", &row).await;
    assert!(nonsense.is_err());
    let item = json!({"PK": {"S": "HOME#ada"}, "SK": {"S": post.to_string()}, "author": {"S": "bob"}});
    world.put("timelines", &[item]);
    world.tested.projector.repair.check_row("HOME#ada", &row).await.unwrap();
    assert!(world.other.home("ada").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stray_row_is_deleted_although_the_write_meets_transactions() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    let row = Row { post: PostId::new(world.other.clock.now()), author: user("bob") };
    let home = Timeline::Home(user("ada"));
    world.other.timelines.put(std::slice::from_ref(&home), &row).await.unwrap();
    world.network.fail_next(Calls("DeleteItem", "HOME#ada"), 3, Failure::Conflict);

    world.tested.projector.repair.check_row("HOME#ada", &row).await.unwrap();

    assert_eq!(world.other.rows(&home).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_row_of_a_deleted_post_among_its_authors_stays_only_while_the_account_is_erased() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    let post = world.other.post("ada", "hello").await;
    world.other.delete("ada", post).await;
    let row = Row { post, author: user("ada") };
    let timeline = Timeline::Author(user("ada"));
    let rows_after_check = async || {
        world.other.timelines.put(std::slice::from_ref(&timeline), &row).await.unwrap();
        let found = world.tested.sweeper.auditor.rows(&[("AUTHOR#ada".to_owned(), row.clone())]).await.unwrap();
        world.tested.projector.repair.check_row("AUTHOR#ada", &row).await.unwrap();
        (found.len(), world.other.rows(&timeline).await.len())
    };
    assert_eq!(rows_after_check().await, (1, 0));
    world.other.done("ada", &crate::command::DeleteAccount).await;
    assert_eq!(rows_after_check().await, (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_counter_waits_for_its_card_unless_nothing_will_make_one() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    let settle = async |id| world.tested.projector.repair.settle_tally(&TallySubject::User(user(id)), &[]).await;
    assert!(matches!(settle("ada").await, Err(Error::Transient { .. })));
    assert!(settle("erased").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_counter_that_an_erasure_has_left_is_removed_unless_it_is_of_a_user() {
    let world = World::new();
    world.other.join(&["ada", "bob"]).await;
    let post = world.other.post("ada", "hello").await;
    let Process { commands, clock, .. } = &world.other;
    react_to_post(&user("bob"), post, EdgeState::Active, commands, clock).await.unwrap();
    world.other.follow("bob", "ada").await;
    for subject in [TallySubject::Post(post), TallySubject::User(user("ada"))] {
        let (partition, item) = match &subject {
            TallySubject::Post(post) => (format!("POST#{post}"), "POST"),
            TallySubject::User(_) => ("USER#ada".to_owned(), "PROFILE"),
        };
        let key = json!({"PK": {"S": partition}, "SK": {"S": item}});
        world.meddle("DeleteItem", &json!({"TableName": "commands", "Key": key}));
        world.tested.projector.repair.settle_tally(&subject, &[]).await.unwrap();
        let is_of_post = matches!(subject, TallySubject::Post(_));
        assert_eq!(world.other.commands.tally(&subject).await.unwrap().0.is_empty(), is_of_post);
    }
}
