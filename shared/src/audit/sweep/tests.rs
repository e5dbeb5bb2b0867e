use std::time::Duration;

use serde_json::json;

use super::{GRACE, ROUND_MIN, Run, Sweeper};
use crate::{
    deadline::Deadline,
    model::PostId,
    samples::user,
    store::{
        audit_state::{Position, Table},
        timelines::{Row, Timeline},
    },
    stream::work_queue::Task,
    test_world::{Calls, Failure, World},
};

/// The time between two runs.
const NEXT_RUN: Duration = Duration::from_secs(5 * 60);

/// Twenty users with profiles, whose logs nobody has applied.
async fn nothing_is_applied() -> World {
    let world = World::new();
    for number in 0..20 {
        world.other.join(&[&format!("user_{number}")]).await;
    }
    world.pass(GRACE * 2);
    world
}

fn caught_up(tasks: &[Task]) -> usize {
    tasks.iter().filter(|task| matches!(task, Task::CatchUp { .. })).count()
}

/// A sweep with this budget.
fn with_budget(world: &World, units_per_hour: u64) -> Sweeper {
    Sweeper { units_per_hour, ..world.tested.sweeper.clone() }
}

#[tokio::test(start_paused = true)]
async fn a_round_goes_through_all_tables_once_a_day() {
    let world = nothing_is_applied().await;
    let run = world.tested.sweeper.run(Deadline::none()).await.unwrap();
    assert!(run.checked >= 20 && run.units > 0, "{run:?}");
    assert_eq!(caught_up(&world.take_tasks()), 20);
    let state = world.other.commands.audit_state().await.unwrap();
    assert_eq!((state.round, state.position, state.found["log_behind"]), (1, None, 20));

    world.pass(Duration::from_secs(60));
    assert_eq!(world.tested.sweeper.run(Deadline::none()).await.unwrap(), Run::default(), "the next round is not due");
    world.pass(ROUND_MIN);
    world.tested.sweeper.run(Deadline::none()).await.unwrap();
    assert_eq!(caught_up(&world.take_tasks()), 20);
}

#[tokio::test(start_paused = true)]
async fn runs_within_the_budget_go_on_where_the_last_one_ended() {
    let world = nothing_is_applied().await;
    let sweeper = with_budget(&world, 24);
    let (mut runs, mut units) = (0, 0);
    loop {
        let run = sweeper.run(Deadline::none()).await.unwrap();
        (runs, units) = (runs + 1, units + run.units);
        if world.other.commands.audit_state().await.unwrap().position.is_none() {
            break;
        }
        assert!(runs < 1000);
        world.pass(Duration::from_secs(5 * 60));
    }
    assert_eq!(caught_up(&world.take_tasks()), 20, "each is found once");
    // The first run is granted an hour, and the others five minutes each. The last page may cost more.
    assert!(runs > 1 && units <= 24 + runs * 2 + 50, "{runs} runs, {units} units");
}

#[tokio::test(start_paused = true)]
async fn a_requested_sweep_waits_for_what_is_on_its_way_and_then_looks_at_all() {
    let world = nothing_is_applied().await;
    world.tested.sweeper.run(Deadline::none()).await.unwrap();
    world.take_tasks();
    let requested_at = world.other.clock.now();
    world.other.commands.request_sweep(requested_at).await.unwrap();

    assert_eq!(world.tested.sweeper.run(Deadline::none()).await.unwrap(), Run::default());
    assert!(world.other.commands.audit_state().await.unwrap().sweep_requested_at.is_some());
    world.pass(GRACE);
    world.tested.sweeper.run(Deadline::none()).await.unwrap();
    assert_eq!(caught_up(&world.take_tasks()), 20);
    assert_eq!(world.other.commands.audit_state().await.unwrap().sweep_requested_at, None);
}

#[tokio::test(start_paused = true)]
async fn a_later_request_is_not_forgotten() {
    let world = nothing_is_applied().await;
    world.other.commands.request_sweep(world.other.clock.now()).await.unwrap();
    world.pass(GRACE);
    let other = world.other.clone();
    world.network.after(Calls("Scan", "\"cards\""), async move || {
        let later = other.clock.now().after(Duration::from_secs(1));
        other.commands.request_sweep(later).await.unwrap();
    });
    world.tested.sweeper.run(Deadline::none()).await.unwrap();
    assert!(world.other.commands.audit_state().await.unwrap().sweep_requested_at.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_right_at_the_second_look_is_no_finding() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    world.pass(GRACE * 2);
    let other = world.other.clone();
    world.network.before(Calls("GetItem", "\"viewers\""), async move || other.catch_up(&["ada"]).await);
    // The first look comes before the projection, the second one after it.
    world.network.skip(1);
    let run = world.tested.sweeper.run(Deadline::none()).await.unwrap();
    assert_eq!((run.found, caught_up(&world.take_tasks())), (0, 0));
    assert_eq!(world.other.viewer("ada").await.applied, world.other.commands.head(&user("ada")).await.unwrap().version);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_is_done_again() {
    let world = nothing_is_applied().await;
    world.network.fail(Calls("SendMessageBatch", "catch_up"), Failure::Internal);
    assert!(world.tested.sweeper.run(Deadline::none()).await.is_err());
    world.network.calm();
    world.pass(NEXT_RUN);
    world.tested.sweeper.run(Deadline::none()).await.unwrap();
    assert_eq!(caught_up(&world.take_tasks()), 20);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_loses_nothing_of_those_in_front_of_it() {
    let world = nothing_is_applied().await;
    world.network.fail(Calls("Scan", "\"viewers\""), Failure::Internal);

    assert!(world.tested.sweeper.run(Deadline::none()).await.is_err());

    let state = world.other.commands.audit_state().await.unwrap();
    assert_eq!(state.position, Some(Position { table: Table::Viewers, after: None }));
    assert_eq!((state.found["log_behind"], caught_up(&world.take_tasks())), (20, 20));
    world.network.calm();
    world.pass(NEXT_RUN);
    world.tested.sweeper.run(Deadline::none()).await.unwrap();
    assert_eq!(caught_up(&world.take_tasks()), 0, "nothing is looked at twice");
    assert_eq!(world.other.commands.audit_state().await.unwrap().position, None, "the round has ended");
}

#[tokio::test(start_paused = true)]
async fn an_item_that_makes_no_sense_does_not_end_the_round() {
    let world = nothing_is_applied().await;
    let viewer = json!({"PK": {"S": "USER#user_3"}, "applied": {"S": "nonsense"}});
    world.put("viewers", &[viewer]);
    world.put("commands", &[json!({"PK": {"S": "USER#user_4"}, "SK": {"S": "PROFILE"}})]);
    world.tested.sweeper.run(Deadline::none()).await.unwrap();
    assert_eq!(caught_up(&world.take_tasks()), 18);
    assert_eq!(world.other.commands.audit_state().await.unwrap().position, None);
}

/// What becomes of a post and of a profile hides nothing else of their pages, and does not end the round.
async fn nothing_is_hidden_by(change: impl Fn(&World, &str, &str)) {
    let world = World::with(&[("SEARCH_DAYS", 30)]);
    world.other.join(&["ada", "bob"]).await;
    let changed = world.other.post("ada", "a post #tag").await;
    world.other.catch_up(&["ada", "bob"]).await;
    let never_was = PostId::new(world.other.clock.now());
    let home = Timeline::Home(user("ada"));
    world
        .other
        .timelines
        .put(std::slice::from_ref(&home), &Row { post: never_was, author: user("bob") })
        .await
        .unwrap();
    change(&world, &format!("POST#{changed}"), "POST");
    change(&world, "USER#bob", "PROFILE");
    world.pass(GRACE * 2);

    world.tested.sweeper.run(Deadline::none()).await.unwrap();

    let stray = Task::CheckRow { timeline: home.key(), post: never_was, author: user("bob") };
    assert!(world.take_tasks().contains(&stray));
    assert_eq!(world.other.commands.audit_state().await.unwrap().position, None, "the round has ended");
}

#[tokio::test(start_paused = true)]
async fn a_post_or_profile_that_makes_no_sense_hides_nothing_of_its_page() {
    let spoil = |world: &World, pk: &str, sk: &str| {
        world.put("commands", &[json!({"PK": {"S": pk}, "SK": {"S": sk}})]);
    };
    nothing_is_hidden_by(spoil).await;
}

#[tokio::test(start_paused = true)]
async fn a_post_or_profile_that_only_a_newer_release_can_read_hides_nothing_of_its_page() {
    let rewrite = |world: &World, pk: &str, sk: &str| {
        let update = json!({
            "TableName": "commands", "Key": {"PK": {"S": pk}, "SK": {"S": sk}},
            "UpdateExpression": "SET #schema = :newer", "ExpressionAttributeNames": {"#schema": "schema"},
            "ExpressionAttributeValues": {":newer": {"N": "2"}},
        });
        world.meddle("UpdateItem", &update);
    };
    nothing_is_hidden_by(rewrite).await;
}
