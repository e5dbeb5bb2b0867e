use super::{
    super::{Completion, Step, Walks, testing::take_walks},
    *,
};
use std::time::Duration;

use crate::{
    command::DeleteAccount,
    model::{Counts, Tally, TallyImage, TallyShard, TallySubject},
    samples::{NOW, user},
    test_world::{Calls, Failure, LIST_LIFETIME, World},
};

/// A post by ada.
fn row() -> Row {
    Row { post: PostId::new(NOW), author: user("ada") }
}

fn walks(world: &World) -> &Walks {
    &world.tested.projector.walks
}

/// The viewers whose homes have the post.
fn homes(world: &World) -> Vec<UserId> {
    let keys = world.keys("timelines", "HOME#");
    keys.iter().map(|key| key.strip_prefix("HOME#").unwrap().parse().unwrap()).collect()
}

async fn is_celebrity(world: &World) -> bool {
    world.other.commands.celebrity(&user("ada")).await.unwrap().is_some()
}

/// Begins and continues an enumeration as `deliver` does, until no task is left. Returns the viewers of each
/// [`Walk::Push`], and how many steps there were.
async fn enumerate(world: &World, row: &Row) -> (Vec<Vec<UserId>>, usize) {
    let (mut pushed, mut steps, mut next) = (Vec::new(), 0, Some((None, 0)));
    while let Some((after, found)) = next.take() {
        let rows = walks(world).step_rows.get();
        let step = walks(world).audience_step(row.post, row.author.clone(), after, found, rows).await.unwrap();
        steps += 1;
        let Step::Next(walks) = step else { panic!("{step:?}") };
        for walk in walks {
            match walk {
                Walk::Push { post, author, viewers } => {
                    assert_eq!(Row { post, author }, *row);
                    pushed.push(viewers);
                }
                Walk::Audience { post, author, after, found } => {
                    assert_eq!(Row { post, author }, *row);
                    next = Some((after, found));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    pushed.sort_unstable();
    (pushed, steps)
}

#[tokio::test(start_paused = true)]
async fn an_audience_of_a_few_hundred_gets_the_post_at_once() {
    let world = World::new();
    let followers = world.put_followers("ada", 500);

    walks(&world).push_to_followers(&row()).await.unwrap();

    assert_eq!(homes(&world), followers);
    assert_eq!(world.take_tasks(), []);
}

#[tokio::test(start_paused = true)]
async fn a_large_audience_becomes_one_task() {
    let world = World::new();
    world.put_followers("ada", 501);
    let row = row();

    walks(&world).push_to_followers(&row).await.unwrap();

    assert_eq!(homes(&world), []);
    let walk = Walk::Audience { post: row.post, author: row.author, after: None, found: 0 };
    assert_eq!(take_walks(&world), [walk]);
}

#[tokio::test(start_paused = true)]
async fn users_who_no_longer_follow_are_left_out() {
    let world = World::new();
    world.other.join(&["ada", "bob", "carol"]).await;
    world.other.follow("bob", "ada").await;
    world.other.follow("carol", "ada").await;
    world.other.unfollow("bob", "ada").await;

    walks(&world).push_to_followers(&row()).await.unwrap();

    assert_eq!(homes(&world), [user("carol")]);
}

#[tokio::test(start_paused = true)]
async fn an_enumeration_makes_a_task_for_each_five_hundred_followers_and_goes_on_after_twenty() {
    let world = World::with_celebrities_from(10_001);
    world.other.join(&["ada"]).await;
    let followers = world.put_followers("ada", 10_001);

    let (pushed, steps) = enumerate(&world, &row()).await;

    assert_eq!(steps, 2);
    assert_eq!(pushed.iter().map(Vec::len).collect::<Vec<_>>(), [vec![500; 20], vec![1]].concat());
    assert_eq!(pushed.concat(), followers, "everybody once");
    assert_eq!(homes(&world), [], "tasks do the pushing");
    assert!(is_celebrity(&world).await, "the last step knows the number of followers");
}

#[tokio::test(start_paused = true)]
async fn no_task_is_made_for_nobody() {
    let world = World::new();
    world.put_followers("ada", 500);

    let (pushed, _) = enumerate(&world, &row()).await;

    assert_eq!(pushed.iter().map(Vec::len).collect::<Vec<_>>(), [500], "the page behind them is empty");
}

#[tokio::test(start_paused = true)]
async fn an_audience_that_is_too_small_makes_no_celebrity() {
    let world = World::with_celebrities_from(601);
    world.other.join(&["ada"]).await;
    world.put_followers("ada", 600);

    let (pushed, _) = enumerate(&world, &row()).await;

    assert_eq!(pushed.concat().len(), 600);
    assert!(!is_celebrity(&world).await);
}

#[tokio::test(start_paused = true)]
async fn an_author_is_promoted_by_the_worker_that_counts_enough_followers() {
    for (followers, promoted) in [(2, false), (3, true)] {
        let world = World::with_celebrities_from(3);
        world.other.join(&["ada"]).await;
        world.put_followers("ada", followers);

        walks(&world).push_to_followers(&row()).await.unwrap();

        assert_eq!(is_celebrity(&world).await, promoted);
        assert_eq!(homes(&world).len(), followers, "this post is still pushed");
    }
}

#[tokio::test(start_paused = true)]
async fn posts_of_a_new_celebrity_are_pushed_until_every_reader_pulls() {
    let world = World::with_celebrities_from(3);
    world.other.join(&["ada"]).await;
    world.put_followers("ada", 3);
    world.other.commands.promote(&user("ada"), world.other.clock.now()).await.unwrap();

    walks(&world).push_to_followers(&row()).await.unwrap();
    assert_eq!(homes(&world).len(), 3, "some readers do not know of the promotion yet");

    world.pass(3 * LIST_LIFETIME);
    walks(&world).push_to_followers(&row()).await.unwrap();
    assert_eq!(homes(&world).len(), 3, "the second post is pulled");
    assert_eq!(world.take_tasks(), []);
}

#[tokio::test(start_paused = true)]
async fn what_dynamodb_does_not_take_is_pushed_later_and_nothing_else_again() {
    let world = World::new();
    let followers = world.put_followers("ada", 60);
    world.other.join(&["ada"]).await;
    let row = Row { post: world.other.post("ada", "hello").await, author: user("ada") };
    world.network.fail(Calls("BatchWriteItem", "HOME#f00030"), Failure::Throttled);

    assert_eq!(walks(&world).push_to_followers(&row).await.unwrap(), Completion::Walking);
    assert_eq!(homes(&world), [&followers[..25], &followers[50..]].concat());
    assert!(world.pass_until_next_task());
    let left = Walk::Push { post: row.post, author: user("ada"), viewers: followers[25..50].to_vec() };
    assert_eq!(take_walks(&world), [left]);

    // The same for a push that is a task already.
    let push = async |viewers: &[UserId]| walks(&world).push_step(row.post, user("ada"), viewers.to_vec()).await;
    assert!(
        matches!(push(&followers).await.unwrap(), Step::Later(_, Walk::Push { viewers, .. }) if viewers.len() == 25)
    );
    assert!(push(&followers[25..50]).await.is_err(), "the queue waits longer and longer where nothing succeeds");
    world.network.calm();
    assert_eq!(push(&followers[25..50]).await.unwrap(), Step::Done);
    assert_eq!(homes(&world), followers, "one row each");
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_a_push_begins_no_further_calls() {
    let world = World::new();
    let followers = world.put_followers("ada", 300);
    world.other.join(&["ada"]).await;
    let post = world.other.post("ada", "hello").await;
    world.network.fail(Calls("BatchWriteItem", "HOME#f00030"), Failure::Throttled);

    let step = walks(&world).push_step(post, user("ada"), followers.clone()).await.unwrap();

    let left = [&followers[25..50], &followers[200..]].concat();
    assert!(matches!(step, Step::Later(_, Walk::Push { viewers, .. }) if viewers == left));
    assert_eq!(world.network.count(Calls("BatchWriteItem", "HOME#f00299")), 0);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_the_queue_did_not_take_make_the_step_fail() {
    let world = World::new();
    world.put_followers("ada", 501);
    world.network.fail(Calls("SendMessageBatch", ""), Failure::Internal);

    assert!(walks(&world).push_to_followers(&row()).await.is_err());
}

/// Ada's card says that she has so many followers.
async fn ada_is_counted(world: &World, followers: i64) {
    world.other.join(&["ada"]).await;
    world.other.catch_up(&["ada"]).await;
    let subject = TallySubject::User(user("ada"));
    let mut tally = Tally::default();
    let counts = Counts { followers, ..Counts::default() };
    tally.take(TallyShard::new(0), TallyImage { version: 1, counts });
    let before = world.other.cards.tally(&subject).await.unwrap();
    world.other.cards.put_tally(&subject, &before, &tally).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_counter_promotes_an_author_before_any_follower_is_enumerated() {
    let world = World::with_celebrities_from(10_000_000);
    world.other.join(&["ada"]).await;
    world.put_followers("ada", 501);
    ada_is_counted(&world, 10_000_000).await;

    let completion = walks(&world).push_to_followers(&row()).await.unwrap();

    assert!(is_celebrity(&world).await);
    assert_eq!((completion, homes(&world).len()), (Completion::Walking, 0));
    assert_eq!(world.network.count(Calls("Query", "FOLLOWERS#ada")), 1);
}

#[tokio::test(start_paused = true)]
async fn an_enumeration_and_its_pushes_end_once_every_reader_pulls() {
    let world = World::with_celebrities_from(700);
    world.other.join(&["ada"]).await;
    let followers = world.put_followers("ada", 10_600);
    ada_is_counted(&world, 700).await;
    let row = row();
    walks(&world).push_to_followers(&row).await.unwrap();
    let [walk] = &take_walks(&world)[..] else { panic!("one walk") };
    let Step::Next(next) = walks(&world).step(walk.clone(), 500).await.unwrap() else { panic!("more steps") };
    assert_eq!(next.len(), 21, "twenty pushes, and the rest of the enumeration");

    world.pass(3 * LIST_LIFETIME);
    for walk in next {
        assert_eq!(walks(&world).step(walk, 500).await.unwrap(), Step::Done);
    }

    assert_eq!(homes(&world).len(), 0, "readers pull the post");
    assert!(followers.len() > 10_000);
}

#[tokio::test(start_paused = true)]
async fn an_author_whose_account_was_erased_becomes_no_celebrity() {
    let world = World::with_celebrities_from(600);
    let row = row();

    walks(&world).audience_step(row.post, row.author, Some(user("f99999")), 600, 500).await.unwrap();

    assert!(!is_celebrity(&world).await, "the account is gone, and its followers were counted before");
}

#[tokio::test(start_paused = true)]
async fn a_push_that_was_put_off_writes_nothing_for_an_account_that_was_deleted_meanwhile() {
    let world = World::new();
    world.other.join(&["ada", "bob", "carol"]).await;
    for follower in ["bob", "carol"] {
        world.other.follow(follower, "ada").await;
    }
    let post = world.other.post("ada", "hello").await;
    world.other.done("carol", &DeleteAccount).await;
    // Longer than an erasure waits for whoever listed followers before it.
    world.pass(Duration::from_secs(61));

    let viewers = vec![user("bob"), user("carol")];
    let step = walks(&world).push_step(post, user("ada"), viewers).await.unwrap();

    assert!(matches!(step, Step::Done), "{step:?}");
    assert_eq!(homes(&world), [user("bob")]);
}
