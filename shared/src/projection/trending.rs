//! Keeps the trending list ([decision 0082](../../../docs/decisions/0082-the-trending-list-is-merged-once.md)). Whoever
//! has changed a counter that may change the list asks for a merge, which the work queue delivers a moment later. So a
//! change is in the list within some three seconds, however often the index changes, and nothing is done while it does
//! not.

use std::time::Duration;

use crate::{
    error::Error,
    model::{CLOCK_DIFFERENCE_MAX, Timestamp},
    store::{MERGE_COVERS, cards::Cards},
    stream::work_queue::{Task, WorkQueue},
};

/// When a merge begins after it was asked for. It then covers all changes until [`MERGE_COVERS`] after the request, by
/// the clock of whoever merges, too.
const MERGE_AFTER: Duration = MERGE_COVERS.saturating_add(CLOCK_DIFFERENCE_MAX);
/// The time between two merges at least. One reads some 100 units.
const MERGE_EVERY: Duration = Duration::from_secs(1);

/// Asks for a merge that covers a change made before this moment, unless this process has just asked for one.
///
/// # Errors
/// As [`WorkQueue::send`].
pub(crate) async fn merge_soon(cards: &Cards, queue: &WorkQueue, now: Timestamp) -> Result<(), Error> {
    if !cards.merge_is_asked(now) {
        queue.send_after(MERGE_AFTER, vec![Task::MergeTrending { asked_at: now }]).await?;
        cards.note_merge(now);
    }
    Ok(())
}

/// Merges the list, unless a merge that began late enough has covered what was asked for at this moment. Many may ask,
/// so whoever comes within a second after another merge began comes again: a second later, or after a quarter of the
/// time since it was asked for. So tasks do not pile up while no merge succeeds.
///
/// # Errors
/// As the store's and the queue's.
pub(crate) async fn merge(cards: &Cards, queue: &WorkQueue, asked_at: Timestamp, now: Timestamp) -> Result<(), Error> {
    let merged_at = cards.trending_merged_at().await?;
    if merged_at.is_some_and(|merged_at| merged_at >= asked_at.after(MERGE_AFTER)) {
        return Ok(());
    }
    match cards.begin_merge(now, now.before(MERGE_EVERY)).await? {
        true => cards.merge_trending(now).await,
        false => {
            let wait = MERGE_EVERY.max(now.since(asked_at) / 4);
            queue.send_after(wait, vec![Task::MergeTrending { asked_at }]).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{ModerateUser, Moderation, react_to_post},
        deadline::Deadline,
        model::{EdgeState, PostId, TallySubject, limits::TRENDING_AGE_MAX},
        projection::catch_up::Progress,
        query::{ReadRequest, TrendingPosition},
        samples::user,
        store::Consistency,
        test_world::{Calls, Failure, World},
    };

    const READ_INDEX: Calls = Calls("Query", "hottest");
    const WRITE_CARD: Calls = Calls("UpdateItem", "\"cards\"");

    /// Ada has so many posts with cards, which are in no index yet.
    async fn posts(count: usize) -> (World, Vec<PostId>) {
        let world = World::new();
        world.other.join(&["ada", "bob", "cem"]).await;
        let mut posts = Vec::new();
        for number in 0..count {
            posts.push(world.other.post("ada", &format!("post {number}")).await);
        }
        world.other.catch_up(&["ada", "bob", "cem"]).await;
        world.take_tasks();
        (world, posts)
    }

    async fn react(world: &World, id: &str, post: PostId, wanted: EdgeState) {
        let it = &world.other;
        react_to_post(&user(id), post, wanted, &it.commands, &it.clock).await.unwrap();
        world.tested.projector.repair.settle_tally(&TallySubject::Post(post), &[]).await.unwrap();
    }

    /// How many posts are in the index.
    fn places(world: &World) -> usize {
        world.items("cards").iter().filter(|card| card.get("bucket").is_some()).count()
    }

    /// Merges that are asked for, once they are due.
    fn due(world: &World) -> Vec<Task> {
        world.pass(MERGE_AFTER);
        world.take_tasks().into_iter().filter(|task| matches!(task, Task::MergeTrending { .. })).collect()
    }

    /// Does the merges that are asked for.
    async fn merge_due(world: &World) {
        for task in due(world) {
            world.tested.repair(task).await.unwrap();
        }
    }

    async fn shown(world: &World) -> Vec<PostId> {
        let request = ReadRequest { viewer: &user("cem"), min_version: None };
        let page = world.cold().feeds.trending(request, TrendingPosition::default(), 20).await.unwrap();
        page.entries.iter().map(|it| it.card.post).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn likes_of_a_second_are_one_merge_and_readers_read_one_item() {
        let (world, posts) = posts(3).await;
        for post in [posts[1], posts[2]] {
            react(&world, "bob", post, EdgeState::Active).await;
        }
        react(&world, "cem", posts[2], EdgeState::Active).await;
        let tasks = due(&world);
        assert_eq!(tasks.len(), 1, "{tasks:?}");
        world.tested.repair(tasks[0].clone()).await.unwrap();
        let before = world.network.count(READ_INDEX);
        assert_eq!(shown(&world).await, [posts[2], posts[1]]);
        assert_eq!(world.network.count(READ_INDEX), before, "the index is not read");

        react(&world, "cem", posts[2], EdgeState::Ended).await;
        react(&world, "bob", posts[2], EdgeState::Ended).await;
        merge_due(&world).await;
        assert_eq!(shown(&world).await, [posts[1]], "a post without likes goes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_a_later_merge_has_covered_reads_nothing() {
        let (world, posts) = posts(1).await;
        react(&world, "bob", posts[0], EdgeState::Active).await;
        let [task] = &due(&world)[..] else { panic!("one task") };
        world.tested.repair(task.clone()).await.unwrap();
        let once = world.network.count(READ_INDEX);
        world.pass(MERGE_EVERY);
        world.tested.repair(task.clone()).await.unwrap();
        assert_eq!(world.network.count(READ_INDEX), once);
    }

    #[tokio::test(start_paused = true)]
    async fn a_merge_waits_until_the_last_one_is_a_second_old() {
        let (world, posts) = posts(1).await;
        react(&world, "bob", posts[0], EdgeState::Active).await;
        let now = world.tested.clock.now();
        world.tested.repair(Task::MergeTrending { asked_at: now.before(MERGE_AFTER) }).await.unwrap();
        let once = world.network.count(READ_INDEX);
        world.tested.repair(Task::MergeTrending { asked_at: now }).await.unwrap();
        assert_eq!(world.network.count(READ_INDEX), once, "it is put off");
        merge_due(&world).await;
        assert_eq!(world.network.count(READ_INDEX), 2 * once);
    }

    #[tokio::test(start_paused = true)]
    async fn the_audit_has_the_list_merged_in_place_of_a_message_that_was_lost() {
        let (world, posts) = posts(2).await;
        react(&world, "bob", posts[0], EdgeState::Active).await;
        assert!(!due(&world).is_empty(), "and lost");
        assert_eq!(shown(&world).await, []);
        world.tested.sweeper.run(Deadline::none()).await.unwrap();
        merge_due(&world).await;
        assert_eq!(shown(&world).await, [posts[0]]);

        react(&world, "bob", posts[1], EdgeState::Active).await;
        assert!(!due(&world).is_empty(), "and lost");
        world.tested.sweeper.run(Deadline::none()).await.unwrap();
        merge_due(&world).await;
        assert_eq!(shown(&world).await, [posts[1], posts[0]]);
    }

    #[tokio::test(start_paused = true)]
    async fn posts_that_have_become_too_old_are_not_shown() {
        let (world, posts) = posts(1).await;
        react(&world, "bob", posts[0], EdgeState::Active).await;
        merge_due(&world).await;
        assert_eq!(shown(&world).await, posts);
        world.pass(TRENDING_AGE_MAX);
        assert_eq!(shown(&world).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn posts_of_a_suspended_author_take_no_places_and_have_theirs_back_afterwards() {
        let (world, posts) = posts(3).await;
        for post in &posts[..2] {
            react(&world, "bob", *post, EdgeState::Active).await;
        }
        let moderate = async |wanted| {
            world.other.done("ada", &ModerateUser { wanted }).await;
            world.tested.catch_up(&["ada"]).await;
            merge_due(&world).await;
        };
        merge_due(&world).await;
        assert_eq!(places(&world), 2);

        moderate(Moderation::Withdrawn).await;
        assert_eq!((places(&world), shown(&world).await), (0, vec![]));
        // Bob's like is late: the post did not trend before.
        react(&world, "bob", posts[2], EdgeState::Active).await;
        merge_due(&world).await;
        assert_eq!(places(&world), 0);

        moderate(Moderation::Restored).await;
        assert_eq!((places(&world), shown(&world).await), (3, vec![posts[2], posts[1], posts[0]]));
        let of_posts = Calls("UpdateItem", "\"POST#");
        let written = world.network.count(of_posts);
        world.other.rename("ada", "ada_2").await;
        world.tested.catch_up(&["ada"]).await;
        assert_eq!(world.network.count(of_posts) - written, 3, "each post's card once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_merge_that_a_restored_author_needs_is_asked_for_until_the_task_was_sent() {
        let (world, posts) = posts(2).await;
        react(&world, "bob", posts[0], EdgeState::Active).await;
        for wanted in [Moderation::Withdrawn, Moderation::Restored] {
            world.other.done("ada", &ModerateUser { wanted }).await;
            world.pass(MERGE_COVERS * 2);
            world.network.fail(Calls("SendMessageBatch", "merge_trending"), Failure::Internal);
            let catch_up = &world.tested.projector.catch_up;
            let progress = catch_up.user(&user("ada"), None, Deadline::none()).await.unwrap();
            assert!(matches!(progress, Progress::Stuck { .. }), "{wanted:?}: {progress:?}");
            world.network.calm();
            world.tested.catch_up(&["ada"]).await;
            merge_due(&world).await;
        }
        assert_eq!(shown(&world).await, [posts[0]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_like_meets_the_suspension_of_the_author_or_its_end() {
        for (before, wanted, then) in
            [(None, Moderation::Withdrawn, 0), (Some(Moderation::Withdrawn), Moderation::Restored, 1)]
        {
            let (world, posts) = posts(1).await;
            if let Some(wanted) = before {
                world.other.done("ada", &ModerateUser { wanted }).await;
                world.other.catch_up(&["ada"]).await;
            }
            let other = world.other.clone();
            world.network.before(WRITE_CARD, async move || {
                other.done("ada", &ModerateUser { wanted }).await;
                other.catch_up(&["ada"]).await;
            });
            react(&world, "bob", posts[0], EdgeState::Active).await;
            let cards = world.other.cards.posts(&posts, Consistency::Strong).await.unwrap();
            assert_eq!((places(&world), cards[&posts[0]].likes), (then, 1), "{wanted:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_post_below_all_contenders_moves_no_entry_and_asks_for_nothing() {
        let (world, posts) = posts(2).await;
        react(&world, "bob", posts[0], EdgeState::Active).await;
        merge_due(&world).await;
        let score = world.items("cards").iter().find_map(|card| card.get("score").cloned()).unwrap();
        let more: i64 = score["N"].as_str().unwrap().parse::<i64>().unwrap() + 1_000_000_000;
        world.set("cards", "TRENDING", "least", &serde_json::json!({"N": more.to_string()}));
        let cold = world.cold();
        let it = &world.other;
        react_to_post(&user("bob"), posts[1], EdgeState::Active, &it.commands, &it.clock).await.unwrap();
        cold.projector.repair.settle_tally(&TallySubject::Post(posts[1]), &[]).await.unwrap();
        assert_eq!(due(&world), []);
        assert_eq!(places(&world), 1);
    }
}
