use std::time::Duration;

use super::{
    super::{Step, Walks, testing::finish},
    *,
};
use crate::{
    model::{RunStep, limits::FEED_AGE_MAX},
    samples::{NOW, user},
    store::timelines::Row,
    stream::work_queue::Task,
    test_world::{Calls, LIST_LIFETIME, World},
};

/// Three lifetimes of the list after the demotion began, every writer knows of it.
const KNOWN_AFTER: Duration = LIST_LIFETIME.saturating_mul(3);

/// The first step of the enumeration.
fn begin_walk() -> Walk {
    Walk::Demotion { author: user("ada"), begun_at: None, after: None }
}

/// Takes one step.
async fn step(world: &World, walk: Walk) -> Result<Vec<Walk>, Error> {
    let walks: &Walks = &world.tested.projector.walks;
    match walks.step(walk, walks.step_rows.get()).await? {
        Step::Next(next) => Ok(next),
        Step::Done => Ok(Vec::new()),
        Step::Later(..) => panic!("every writer knows of the demotion"),
    }
}

/// The open parts of demotions.
fn open_parts(world: &World) -> usize {
    world.keys("commands", "DEMOTION#").len()
}

/// Ada's posts, of the present and of the days before, newest first.
async fn put_posts(world: &World, days: &[u64]) -> Vec<PostId> {
    let mut posts = Vec::new();
    for day in days {
        let post = PostId::new(NOW.before(Duration::from_secs(day * 24 * 60 * 60)));
        let row = Row { post, author: user("ada") };
        world.other.timelines.put(&[Timeline::Author(user("ada"))], &row).await.unwrap();
        posts.push(post);
    }
    posts
}

/// Ada is a celebrity with this many followers and two posts. Her demotion began at the returned moment.
async fn ada_is_being_demoted(followers: usize) -> (World, Vec<PostId>, Timestamp) {
    let world = World::new();
    world.put_followers("ada", followers);
    let posts = put_posts(&world, &[0, 7]).await;
    world.other.commands.promote(&user("ada"), NOW).await.unwrap();
    let begun_at = begin(&world).await;
    (world, posts, begun_at)
}

async fn begin(world: &World) -> Timestamp {
    let celebrity = world.other.commands.begin_demotion(&user("ada"), world.other.clock.now()).await.unwrap();
    celebrity.demoted_at.unwrap()
}

async fn is_celebrity(world: &World) -> bool {
    world.other.commands.celebrity(&user("ada")).await.unwrap().is_some()
}

/// How many viewers have rows in their homes.
fn homes(world: &World) -> usize {
    let mut homes = world.keys("timelines", "HOME#");
    homes.dedup();
    homes.len()
}

#[tokio::test(start_paused = true)]
async fn no_home_is_filled_before_every_writer_knows_of_the_demotion() {
    let (world, _, begun_at) = ada_is_being_demoted(1).await;
    let begin_walk = || Walk::Demotion { author: user("ada"), begun_at: Some(begun_at), after: None };
    let walks: &Walks = &world.tested.projector.walks;
    for (passes, waits) in [
        (Duration::ZERO, KNOWN_AFTER.min(WAIT_MAX)),
        (KNOWN_AFTER - Duration::from_millis(1), Duration::from_millis(1)),
    ] {
        world.pass(passes);
        let next = walks.step(begin_walk(), walks.step_rows.get()).await.unwrap();
        assert_eq!(next, Step::Later(waits, begin_walk()));
    }
    assert_eq!(homes(&world), 0);
    assert!(is_celebrity(&world).await);
}

#[tokio::test(start_paused = true)]
async fn homes_are_filled_in_parts_and_the_last_part_ends_the_demotion() {
    let (world, posts, _) = ada_is_being_demoted(101).await;
    world.pass(KNOWN_AFTER);

    let first = step(&world, begin_walk()).await.unwrap();
    assert_eq!((first.len(), homes(&world), open_parts(&world)), (2, 0, 2), "the enumeration goes on");
    let last = step(&world, first[1].clone()).await.unwrap();
    assert_eq!((last.len(), homes(&world), open_parts(&world)), (1, 0, 2), "the enumeration is closed");

    assert_eq!(step(&world, last[0].clone()).await.unwrap(), []);
    assert_eq!((homes(&world), open_parts(&world)), (1, 1));
    assert!(is_celebrity(&world).await);

    assert_eq!(step(&world, first[0].clone()).await.unwrap(), []);
    assert_eq!((homes(&world), open_parts(&world)), (101, 0));
    for follower in ["f00000", "f00099", "f00100"] {
        assert_eq!(world.other.home(follower).await, posts);
    }
    assert!(!is_celebrity(&world).await);
}

/// The first step opened parts, and its worker was killed before it sent the walks. These followers go before the step
/// is repeated.
async fn the_first_step_is_repeated_without(world: &World, gone: impl Iterator<Item = usize>) {
    world.pass(KNOWN_AFTER);
    let lost = step(world, begin_walk()).await.unwrap();
    assert!(!lost.is_empty());
    for gone in gone {
        let key = serde_json::json!({"PK": {"S": "FOLLOWERS#ada"}, "SK": {"S": format!("USER#f{gone:05}")}});
        world.meddle("DeleteItem", &serde_json::json!({"TableName": "commands", "Key": key}));
    }
    finish(world, vec![begin_walk()]).await;
    assert!(!is_celebrity(world).await);
    assert_eq!(open_parts(world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_repeated_after_followers_have_gone_leaves_no_part_open() {
    let (world, _, _) = ada_is_being_demoted(250).await;
    the_first_step_is_repeated_without(&world, [0, 100].into_iter()).await;
    assert_eq!(homes(&world), 248);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_repeated_after_all_followers_have_gone_leaves_no_part_open() {
    for (followers, left) in [(1, 0), (100, 0), (250, 100)] {
        let (world, _, _) = ada_is_being_demoted(followers).await;
        the_first_step_is_repeated_without(&world, left..followers).await;
        assert_eq!(homes(&world), left);
    }
}

#[tokio::test(start_paused = true)]
async fn a_demotion_that_is_asked_for_again_begins_anew() {
    let (world, posts, _) = ada_is_being_demoted(250).await;
    world.pass(KNOWN_AFTER);
    let mut before = step(&world, begin_walk()).await.unwrap();
    before.extend(step(&world, before[1].clone()).await.unwrap());
    let begun_at = begin(&world).await;
    world.pass(KNOWN_AFTER);
    for walk in before {
        assert_eq!(step(&world, walk).await.unwrap(), [], "it belongs to the demotion that was given up");
    }
    assert_eq!(homes(&world), 0);

    finish(&world, vec![Walk::Demotion { author: user("ada"), begun_at: Some(begun_at), after: None }]).await;

    assert!(!is_celebrity(&world).await);
    assert_eq!(homes(&world), 250);
    assert_eq!(world.other.home("f00249").await, posts);
}

#[tokio::test(start_paused = true)]
async fn a_step_writes_a_bounded_number_of_rows_however_many_posts_there_are() {
    let world = World::with_steps_of(100);
    world.put_followers("ada", 450);
    let day = Duration::from_secs(24 * 60 * 60);
    let posts: Vec<_> = (0..23).map(|days| PostId::new(NOW.before(days * day))).collect();
    for post in &posts {
        let row = Row { post: *post, author: user("ada") };
        world.other.timelines.put(&[Timeline::Author(user("ada"))], &row).await.unwrap();
    }
    world.other.commands.promote(&user("ada"), NOW).await.unwrap();
    begin(&world).await;
    world.pass(KNOWN_AFTER);

    let mut open = vec![begin_walk()];
    let mut most = 0;
    while let Some(walk) = open.pop() {
        let rows = |world: &World| world.items("timelines").len();
        let before = rows(&world);
        open.extend(step(&world, walk).await.unwrap());
        most = most.max(rows(&world) - before);
        assert_eq!(is_celebrity(&world).await, !open.is_empty(), "readers pull until all is copied");
    }

    assert_eq!((homes(&world), most), (450, 100));
    for follower in ["f00000", "f00200", "f00449"] {
        assert_eq!(world.other.home(follower).await, posts);
    }
}

#[tokio::test(start_paused = true)]
async fn homes_get_the_posts_of_the_last_thirty_days() {
    let (world, mut posts, _) = ada_is_being_demoted(1).await;
    let days = FEED_AGE_MAX.as_secs() / (24 * 60 * 60);
    posts.extend(put_posts(&world, &[days - 1]).await);
    put_posts(&world, &[days + 1]).await;
    world.pass(KNOWN_AFTER);

    finish(&world, vec![begin_walk()]).await;

    assert_eq!(world.other.home("f00000").await, posts);
}

#[tokio::test(start_paused = true)]
async fn repeated_steps_change_nothing() {
    let (world, _, _) = ada_is_being_demoted(101).await;
    world.pass(KNOWN_AFTER);

    let first = step(&world, begin_walk()).await.unwrap();
    let begun = world.tables();
    assert_eq!(step(&world, begin_walk()).await.unwrap(), first);
    assert_eq!(world.tables(), begun);
    let last = step(&world, first[1].clone()).await.unwrap();

    step(&world, first[0].clone()).await.unwrap();
    let half = world.tables();
    step(&world, first[0].clone()).await.unwrap();
    assert_eq!(world.tables(), half);

    step(&world, last[0].clone()).await.unwrap();
    let done = world.tables();
    for walk in [first, last, vec![begin_walk()]].concat() {
        assert_eq!(step(&world, walk).await.unwrap(), []);
        assert_eq!(world.tables(), done, "the author is not being demoted any more");
    }
}

#[tokio::test(start_paused = true)]
async fn an_enumeration_that_is_repeated_after_its_parts_are_done_does_them_again() {
    let (world, _, _) = ada_is_being_demoted(201).await;
    world.pass(KNOWN_AFTER);
    let mut next = step(&world, begin_walk()).await.unwrap();
    let rest = next.pop().unwrap();
    assert!(matches!(rest, Walk::Demotion { .. }));
    finish(&world, next).await;
    assert!(is_celebrity(&world).await, "the enumeration is open");

    finish(&world, vec![begin_walk()]).await;
    assert!(!is_celebrity(&world).await);
    assert_eq!((homes(&world), open_parts(&world)), (201, 0));
    assert_eq!(step(&world, rest).await.unwrap(), []);
}

/// The steps that wait in the work queue.
fn waiting(world: &World) -> Vec<(Walk, RunStep)> {
    let step = |waiting: (Task, Option<RunStep>)| match waiting {
        (Task::Walk(walk), Some(run)) => (walk, run),
        other => panic!("{other:?}"),
    };
    world.take_steps().into_iter().map(step).collect()
}

/// Takes these steps of runs, and those that follow from them, until none is left.
async fn finish_runs(world: &World, mut open: Vec<(Walk, RunStep)>) {
    let mut steps = 0;
    while let Some((walk, run)) = open.pop() {
        world.tested.projector.walks.advance(walk, run).await.unwrap();
        open.extend(waiting(world));
        steps += 1;
        assert!(steps < 1000, "the walk does not end");
    }
}

fn follower_of_ada(id: &str) -> serde_json::Value {
    serde_json::json!({
        "PK": {"S": "FOLLOWERS#ada"}, "SK": {"S": format!("USER#{id}")},
        "active": {"BOOL": true}, "version": {"N": "1"},
    })
}

#[tokio::test(start_paused = true)]
async fn a_late_copy_of_a_step_that_the_marks_of_its_run_end_leaves_no_part_open() {
    // With one more follower, all parts of the copy begin elsewhere.
    for follower_has_come in [false, true] {
        let world = World::with_steps_of(2);
        world.put_followers("ada", 12);
        let posts = put_posts(&world, &[0, 1, 2, 3, 4, 5, 6]).await;
        world.other.commands.promote(&user("ada"), NOW).await.unwrap();
        begin(&world).await;
        world.pass(KNOWN_AFTER);
        let first = RunStep::first();
        world.tested.projector.walks.advance(begin_walk(), first).await.unwrap();
        let (held, rest): (Vec<_>, Vec<_>) =
            waiting(&world).into_iter().partition(|(walk, _)| matches!(walk, Walk::FillHomes { .. }));
        finish_runs(&world, rest).await;
        assert!(is_celebrity(&world).await && open_parts(&world) == 1, "only the first homes are not filled");

        // The worker was killed after it had sent the next steps, so the first one comes again.
        if follower_has_come {
            world.put("commands", &[follower_of_ada("eve")]);
        }
        world.tested.projector.walks.advance(begin_walk(), first).await.unwrap();
        let copies = waiting(&world);
        finish_runs(&world, copies).await;
        finish_runs(&world, held).await;

        assert_eq!((is_celebrity(&world).await, open_parts(&world)), (false, 0), "{follower_has_come}");
        for follower in ["f00000", "f00011"] {
            assert_eq!(world.other.home(follower).await, posts);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_celebrity_without_followers_can_be_demoted() {
    let (world, _, _) = ada_is_being_demoted(0).await;
    world.pass(KNOWN_AFTER);

    assert_eq!(step(&world, begin_walk()).await.unwrap(), []);

    assert!(!is_celebrity(&world).await);
}

#[tokio::test(start_paused = true)]
async fn a_celebrity_who_is_not_being_demoted_stays_one() {
    let world = World::new();
    world.put_followers("ada", 1);
    put_posts(&world, &[0]).await;
    world.other.commands.promote(&user("ada"), NOW).await.unwrap();
    world.pass(KNOWN_AFTER);
    let before = world.tables();

    assert_eq!(step(&world, begin_walk()).await.unwrap(), []);

    assert_eq!(world.tables(), before);
}

#[tokio::test(start_paused = true)]
async fn a_step_does_not_end_a_demotion_that_began_later() {
    let (world, _, first) = ada_is_being_demoted(1).await;
    world.pass(KNOWN_AFTER);
    let other = world.other.clone();
    let later = NOW.after(KNOWN_AFTER);
    world.network.before(Calls("DeleteItem", "\"CELEBRITIES\""), async move || {
        // Another worker ends the demotion. Then the author is promoted, and a new demotion begins.
        let ada = user("ada");
        other.commands.end_demotion(&ada, first).await.unwrap();
        other.commands.promote(&ada, later).await.unwrap();
        other.commands.begin_demotion(&ada, later).await.unwrap();
    });

    finish(&world, vec![begin_walk()]).await;

    let celebrity = world.other.commands.celebrity(&user("ada")).await.unwrap();
    assert_eq!(celebrity.and_then(|celebrity| celebrity.demoted_at), Some(later));
}

#[tokio::test(start_paused = true)]
async fn an_author_who_is_being_demoted_pushes_new_posts() {
    let (world, _, _) = ada_is_being_demoted(1).await;
    world.pass(KNOWN_AFTER);
    let row = Row { post: PostId::new(world.tested.clock.now()), author: user("ada") };

    world.tested.projector.walks.push_to_followers(&row).await.unwrap();

    assert_eq!(world.other.home("f00000").await, [row.post]);
}

#[tokio::test(start_paused = true)]
async fn the_author_of_a_new_follow_is_copied_unless_readers_pull() {
    for (promoted, rows) in [(false, 1), (true, 0)] {
        let world = World::new();
        world.other.join(&["ada", "bob"]).await;
        world.other.post("ada", "hello").await;
        world.other.catch_up(&["ada"]).await;
        if promoted {
            world.other.commands.promote(&user("ada"), world.other.clock.now()).await.unwrap();
            world.pass(KNOWN_AFTER);
        }
        world.other.follow("bob", "ada").await;

        world.tested.catch_up(&["bob"]).await;

        assert_eq!(world.other.home("bob").await.len(), rows);
    }
}
