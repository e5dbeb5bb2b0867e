//! Items that make no sense do not stop a rebuild. Each is passed over, and left to the work queue.

use serde_json::json;

use super::{a_small_world, finish, start, state};
use crate::{
    model::{READ_MODELS, ReadModel, TallySubject},
    samples::user,
    stream::{walk::Walk, work_queue::Task},
    test_world::World,
};

/// Rebuilds these models. Returns the tasks that are left.
async fn rebuild(world: &World, models: &[ReadModel], in_place: bool) -> Vec<Task> {
    start(world, models, in_place, 1).await;
    finish(world).await;
    world.take_tasks()
}

#[tokio::test(start_paused = true)]
async fn a_like_that_makes_no_sense_is_left_to_the_work_queue() {
    let world = a_small_world().await;
    let post = world.other.post("ada", "another post").await;
    world.put(
        "commands",
        &[json!({"PK": {"S": "USER#bob"}, "SK": {"S": format!("LIKES#{post}")}, "liked": {"S": "no"}})],
    );
    start(&world, &READ_MODELS, false, 1).await;
    finish(&world).await;
    assert!(world.take_tasks().contains(&Task::SettleLikes { post, users: vec![user("bob")] }));
}

#[tokio::test(start_paused = true)]
async fn a_counter_that_makes_no_sense_on_a_card_or_in_the_index_is_left_to_the_work_queue() {
    let on_card = |world: &World| world.set("cards", "USER#ada", "tally", &json!({"M": {"nonsense": {"M": {}}}}));
    let in_index = |world: &World| world.put("search", &[json!({"PK": {"S": "USER#ada"}, "SK": {"S": "ENTRY"}})]);
    for spoil in [&on_card as &dyn Fn(&World), &in_index] {
        let world = a_small_world().await;
        spoil(&world);

        let left = rebuild(&world, &[ReadModel::Cards], false).await;

        assert_eq!(state(&world).await.active.to_string(), "abb");
        let ada = TallySubject::User(user("ada"));
        let is_left = |task: &Task| matches!(task, Task::SettleTally { subject, .. } if *subject == ada);
        assert!(left.iter().any(is_left), "{left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn homes_into_which_posts_cannot_be_copied_are_left_to_the_work_queue_and_the_audit() {
    let world = a_small_world().await;
    let row = json!({"PK": {"S": "AUTHOR#ada"}, "SK": {"S": "nonsense"}, "author": {"S": "ada"}});
    world.put("timelines", &[row]);

    let left = rebuild(&world, &[ReadModel::Timelines], true).await;

    assert_eq!(state(&world).await.active.to_string(), "aba");
    let is_of_bob = |task: &Task| {
        matches!(task, Task::Walk(Walk::Backfill { viewer, author, .. })
        if (viewer, author) == (&user("bob"), &user("ada")))
    };
    assert!(left.iter().any(is_of_bob), "{left:?}");
    assert!(world.other.commands.audit_state().await.unwrap().sweep_requested_at.is_some());
}
