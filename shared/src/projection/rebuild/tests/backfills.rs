//! Backfills that are under way when readers switch to other tables.

use super::{LONG, finish, start};
use crate::{
    model::{ReadModel, RunStep},
    projection::Projector,
    query::ReadRequest,
    samples::user,
    store::Consistency,
    stream::work_queue::Task,
    test_world::World,
};

/// Bob's posts. A step of a walk copies two of them.
const POSTS: usize = 7;

/// The projector of the tables that are read.
async fn active(world: &World) -> Projector {
    world.tested.rebuilder.projectors.maintained().await.unwrap().remove(0)
}

/// Ada's backfills that are unfinished for readers.
async fn unfinished(world: &World) -> usize {
    let stored = active(world).await.catch_up.viewers.get(&user("ada"), Consistency::Strong).await.unwrap();
    stored.viewer.unfinished.backfills.len()
}

/// How many posts ada's page has.
async fn shown(world: &World) -> usize {
    let (ada, feeds) = (user("ada"), &world.other.feeds);
    let read = async || feeds.home(ReadRequest { viewer: &ada, min_version: None }, None, 100).await;
    feeds.read_models.reading(read).await.unwrap().page.entries.len()
}

/// Takes steps of all walks in the tables that are read, until none is left.
async fn finish_walks(world: &World) {
    for _ in 0..1000 {
        let tasks = world.take_tasks();
        if tasks.is_empty() && !world.pass_until_next_task() {
            return;
        }
        for task in tasks {
            if let Task::Walk(walk) = task {
                active(world).await.walks.advance(walk, RunStep::first()).await.unwrap();
            }
        }
    }
    panic!("the walks do not end");
}

#[tokio::test(start_paused = true)]
async fn a_backfill_that_is_under_way_at_a_switch_is_unfinished_until_its_home_is_filled() {
    for model in [ReadModel::Cards, ReadModel::Search, ReadModel::Viewers] {
        let world = World::with_steps_of(2);
        world.other.join(&["ada", "bob"]).await;
        for _ in 0..POSTS {
            world.other.post("bob", "hello").await;
        }
        world.other.catch_up(&["ada", "bob"]).await;
        world.other.follow("ada", "bob").await;
        world.other.catch_up(&["ada"]).await;
        // The walk that copies the other posts is slow.
        world.take_tasks();
        assert_eq!(world.other.home("ada").await.len(), 2);

        start(&world, &[model], false, 1).await;
        finish(&world).await;
        world.pass(LONG);

        assert_eq!((unfinished(&world).await, shown(&world).await), (1, POSTS), "{model:?}");
        finish_walks(&world).await;
        assert_eq!((unfinished(&world).await, shown(&world).await), (0, POSTS), "{model:?}");
        assert_eq!(world.other.home("ada").await.len(), POSTS);
    }
}
