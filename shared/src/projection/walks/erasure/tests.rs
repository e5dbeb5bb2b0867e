use std::collections::VecDeque;

use serde_json::json;

use super::{super::testing::take_walks, *};
use crate::{
    command::{CommentOnPost, DeleteAccount, react_to_post, turn_notifications},
    error::Rejection,
    model::{Group, NotificationKind, RunStep, Standing},
    projection::{Projector, catch_up::Progress},
    samples::user,
    test_world::{Process, World},
};

const EVERYBODY: [&str; 3] = ["ada", "bob", "carol"];

/// Works until no task is left, and bob and carol know of it. Time passes while an erasure waits.
async fn settle(world: &World) {
    let mut open = VecDeque::from(world.take_tasks());
    for _ in 0..2000 {
        let Some(task) = open.pop_front() else {
            world.other.catch_up(&["bob", "carol"]).await;
            open.extend(world.take_tasks());
            if open.is_empty() && !world.pass_until_next_task() {
                return;
            }
            continue;
        };
        let Projector { walks, blocked_follows, .. } = &world.tested.projector;
        let walk = match task {
            Task::Walk(walk) => walk,
            Task::EndFollow { follower, followee } => {
                blocked_follows.end(&follower, &followee).await.unwrap();
                continue;
            }
            later @ (Task::Notify { .. } | Task::MergeTrending { .. } | Task::Reapply { .. }) => {
                world.tested.repair(later).await.unwrap();
                continue;
            }
            other => panic!("{other:?}"),
        };
        match walks.step(walk, walks.step_rows.get()).await.unwrap() {
            Step::Done => {}
            Step::Next(next) => open.extend(next.into_iter().map(Task::Walk)),
            Step::Later(delay, walk) => {
                world.pass(delay);
                open.push_back(walk.into());
            }
        }
    }
    panic!("the erasure does not end");
}

/// Ada and bob follow each other, and carol follows ada. Each has said something, and reacted to ada and bob. Bob has
/// mentioned ada, who is notified of everything, and has turned some of it off.
async fn a_network(step_rows: u64) -> (World, PostId, PostId) {
    let world = World::with(&[("WALK_STEP_ROWS", step_rows)]);
    world.other.join(&EVERYBODY).await;
    let of_bob = world.other.post("bob", "public, says @ada").await;
    world.other.rename("ada", "lovelace").await;
    // So many follow ada and bob at this moment that their followers stand in several partitions.
    for id in ["ada", "bob"] {
        world.other.meets_a_crowd(&TallySubject::User(user(id)));
    }
    for (follower, followee) in [("ada", "bob"), ("bob", "ada"), ("carol", "ada"), ("ada", "carol")] {
        world.other.follow(follower, followee).await;
    }
    let of_ada = world.other.post("ada", "whisper #secret").await;
    // And many comment on their posts.
    for post in [of_ada, of_bob] {
        world.other.meets_a_crowd(&TallySubject::Post(post));
    }
    for _ in 0..3 {
        world.other.comment("ada", of_bob, "murmur").await;
        world.other.comment("bob", of_ada, "mumble").await;
    }
    let Process { commands, clock, .. } = &world.other;
    for (liker, post) in [("ada", of_bob), ("carol", of_bob), ("bob", of_ada)] {
        react_to_post(&user(liker), post, EdgeState::Active, commands, clock).await.unwrap();
        world.other.repair(Task::SettleLikes { post, users: vec![user(liker)] }).await.unwrap();
    }
    turn_notifications(&user("ada"), NotificationKind::Comment, false, commands).await.unwrap();
    world.other.catch_up(&EVERYBODY).await;
    settle(&world).await;
    for own in ["NOTICES#ada", &format!("LIKERS#{of_bob}")] {
        assert!(!world.keys("timelines", own).is_empty(), "{own}");
    }
    (world, of_ada, of_bob)
}

/// Everything in any table that belongs to ada or has something of hers, beside what other users said of her.
fn left_of_ada(world: &World) -> Vec<String> {
    let own = |item: &serde_json::Value| {
        let (pk, sk) = (item["PK"]["S"].as_str().unwrap(), item["SK"]["S"].as_str().unwrap_or_default());
        let is_key = pk.ends_with("#ada")
            || sk.ends_with("#ada")
            || ["TALLY#USER#ada", "FOLLOWERS#ada#"].iter().any(|it| pk.starts_with(it));
        let said = ["whisper", "secret", "murmur", "lovelace"].iter().any(|said| item.to_string().contains(said));
        is_key || said || item["author"]["S"] == "ada" && !sk.starts_with("LIKES#")
    };
    let items: Vec<_> = world.tables().into_iter().flatten().filter(own).collect();
    let key = |item: &serde_json::Value| {
        let part = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", part("PK"), part("SK"), part("type"))
    };
    items.iter().map(key).collect()
}

/// Takes a step of an erasure that goes on at once.
async fn next(world: &World, walk: Walk) -> Walk {
    match world.tested.projector.walks.step(walk, 500).await.unwrap() {
        Step::Next(mut next) => next.pop().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// How many likes of a post are shown.
fn likes_shown(world: &World, post: PostId) -> usize {
    let is_one = |item: &serde_json::Value| {
        item["PK"]["S"].as_str().unwrap().starts_with(&format!("LIKERS#{post}")) && item.get("actor").is_some()
    };
    world.items("timelines").into_iter().filter(is_one).count()
}

async fn followers_of(world: &World, id: &str) -> i64 {
    let items = world.items("commands");
    let shards =
        items.iter().filter(|item| item["PK"]["S"].as_str().unwrap().starts_with(&format!("TALLY#USER#{id}#")));
    shards.map(|shard| shard["followers"]["N"].as_str().unwrap_or("0").parse::<i64>().unwrap()).sum()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_but_the_end_of_the_log_and_the_reserved_handles() {
    for step_rows in [1, 3, 500] {
        let (world, of_ada, of_bob) = a_network(step_rows).await;
        let version = world.other.done("ada", &DeleteAccount).await;
        world.other.catch_up(&["ada"]).await;
        settle(&world).await;

        let end = format!("USER#ada EVENT#{:012} AccountDeleted", version.get());
        assert_eq!(left_of_ada(&world), ["HANDLE#ada CLAIM ", "HANDLE#lovelace CLAIM ", &end], "{step_rows}");
        let edges = world.other.commands.followers(&user("ada"), None, 100).await.unwrap();
        assert!(edges.users.is_empty());
        assert_eq!((followers_of(&world, "bob").await, followers_of(&world, "carol").await), (0, 0));
        for follower in ["bob", "carol"] {
            let head = world.other.commands.head(&user(follower)).await.unwrap();
            assert_eq!(head.totals.following, 0, "{follower}");
            assert!(!world.other.viewer(follower).await.follows(&user("ada")));
            assert!(!world.other.home(follower).await.contains(&of_ada), "{follower}");
        }
        let likes = world.items("commands");
        let tally = world.other.commands.tally(&TallySubject::Post(of_bob)).await.unwrap().counts();
        assert_eq!((tally.likes, tally.comments), (1, 0), "carol's like is left");
        assert!(!likes.iter().any(|item| item.to_string().contains("mumble")), "bob's comment went with the post");
        assert_eq!(likes_shown(&world, of_bob), 1, "carol's like is shown");
        assert!(world.take_quarantined().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn rows_of_posts_that_were_deleted_one_by_one_before_are_removed_too() {
    let (world, of_ada, _) = a_network(3).await;
    world.other.delete("ada", of_ada).await;
    world.other.catch_up(&["ada"]).await;
    settle(&world).await;
    assert!(world.other.home("bob").await.contains(&of_ada), "the row stays until it expires");

    world.other.done("ada", &DeleteAccount).await;
    world.other.catch_up(&["ada"]).await;
    settle(&world).await;

    assert!(!world.other.home("bob").await.contains(&of_ada));
    assert_eq!(left_of_ada(&world).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_late_hint_and_a_repeated_walk_leave_nothing_behind() {
    let (world, ..) = a_network(3).await;
    world.other.done("ada", &DeleteAccount).await;
    world.other.catch_up(&["ada"]).await;
    let walks = take_walks(&world);
    settle(&world).await;
    for walk in walks {
        world.tested.projector.walks.advance(walk, RunStep::first()).await.unwrap();
    }
    for _ in 0..2 {
        let progress =
            world.tested.projector.catch_up.user(&user("ada"), None, crate::deadline::Deadline::none()).await.unwrap();
        assert!(matches!(progress, Progress::UpToDate), "{progress:?}");
    }
    settle(&world).await;
    assert_eq!(left_of_ada(&world).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_was_never_projected_is_erased_too() {
    let world = World::new();
    world.other.join(&EVERYBODY).await;
    world.other.post("ada", "whisper #secret").await;
    world.other.follow("bob", "ada").await;
    world.other.done("ada", &DeleteAccount).await;
    world.other.catch_up(&EVERYBODY).await;
    settle(&world).await;
    assert_eq!(left_of_ada(&world).len(), 2, "{:?}", left_of_ada(&world));
}

#[tokio::test(start_paused = true)]
async fn what_others_commit_while_an_account_is_deleted_ends_too() {
    let (world, of_ada, _) = a_network(500).await;
    let other = world.other.clone();
    // Each command has read that ada is there.
    world.network.before(crate::test_world::Calls("TransactWriteItems", ""), async move || {
        other.done("ada", &DeleteAccount).await;
    });
    let text = "mumble".to_owned().try_into().unwrap();
    let comment = CommentId::new(world.tested.clock.now());
    let late = world.tested.run("carol", &CommentOnPost { post: of_ada, comment, text, key: None }).await;
    assert!(late.is_ok(), "{late:?}");
    settle(&world).await;
    world.other.catch_up(&["ada"]).await;
    settle(&world).await;
    assert_eq!(left_of_ada(&world).len(), 3, "{:?}", left_of_ada(&world));
    assert!(!world.items("commands").iter().any(|item| item.to_string().contains("mumble")));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_shown_to_a_deleted_user_or_of_one_again() {
    let (world, of_ada, of_bob) = a_network(500).await;
    world.other.done("ada", &DeleteAccount).await;
    world.other.catch_up(&["ada"]).await;
    settle(&world).await;

    // The post still mentions ada, whoever has the handle now.
    world.other.edit("bob", of_bob, "public again, says @ada").await;
    world.other.catch_up(&["bob"]).await;
    for (liker, post) in [("ada", of_bob), ("bob", of_ada)] {
        world.tested.repair(Task::SettleLikes { post, users: vec![user(liker)] }).await.unwrap();
    }
    world.tested.repair(Task::Notify { user: user("ada"), group: Group::Like(of_bob) }).await.unwrap();
    settle(&world).await;
    assert_eq!(left_of_ada(&world).len(), 3, "{:?}", left_of_ada(&world));
}

#[tokio::test(start_paused = true)]
async fn a_like_that_came_meanwhile_makes_the_erasure_wait_again() {
    let (world, _, of_bob) = a_network(500).await;
    let another = world.other.post("bob", "another").await;
    let other = world.other.clone();
    // The like has read that ada is there.
    world.network.before(crate::test_world::Calls("TransactWriteItems", ""), async move || {
        other.done("ada", &DeleteAccount).await;
        other.catch_up(&["ada"]).await;
    });
    let Process { commands, clock, .. } = &world.tested;
    react_to_post(&user("ada"), another, EdgeState::Active, commands, clock).await.unwrap();
    let likes = |pass| Walk::Erase {
        user: user("ada"),
        begun_at: Timestamp::from_ms(0),
        at: ErasureAt::Likes { after: None, pass },
    };
    let like = async || commands.like(&user("ada"), another).await.unwrap().unwrap();
    for _ in 0..2 {
        assert_eq!(next(&world, likes(Pass::Last)).await, likes(Pass::First), "whichever attempt it is");
        assert!(like().await.liked);
    }
    // The attempt that ends the like is killed before it sends the next step.
    let mut walk = likes(Pass::First);
    next(&world, walk.clone()).await;
    assert!(!like().await.liked);
    world.pass(Duration::from_secs(30));
    while !matches!(walk, Walk::Erase { at: ErasureAt::Wait, .. }) {
        walk = next(&world, walk).await;
    }
    let Walk::Erase { begun_at, .. } = walk else { panic!("{walk:?}") };
    assert_eq!(begun_at, world.tested.clock.now(), "all of the wait follows");
    // Its end is shown before the row goes.
    let like = like().await;
    world.tested.projector.notices.show_like(&LikeChange::of(user("ada"), another, like)).await.unwrap();
    settle(&world).await;
    assert_eq!(left_of_ada(&world).len(), 3, "{:?}", left_of_ada(&world));
    assert_eq!(likes_shown(&world, of_bob), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_makes_no_sense_stays_until_it_is_repaired() {
    let (world, ..) = a_network(500).await;
    let is_comment = |item: &serde_json::Value| item["PK"]["S"] == "USER#ada" && item["type"]["S"] == "PostCommented";
    let whole = world.items("commands").into_iter().find(is_comment).unwrap();
    let mut spoiled = whole.clone();
    spoiled["data"] = json!({"S": "nonsense"});
    world.put("commands", std::slice::from_ref(&spoiled));
    world.other.done("ada", &DeleteAccount).await;
    world.other.catch_up(&["ada"]).await;
    let begun = take_walks(&world);

    let failed = world.tested.projector.walks.step(begun[0].clone(), 500).await;

    assert!(matches!(failed, Err(Error::Poison { .. })), "{failed:?}");
    assert!(world.items("commands").contains(&spoiled));
    world.put("commands", &[whole]);
    world.tested.projector.walks.send(begun).await.unwrap();
    settle(&world).await;
    assert_eq!(left_of_ada(&world).len(), 3, "{:?}", left_of_ada(&world));
}

#[tokio::test(start_paused = true)]
async fn a_like_that_makes_no_sense_goes_with_the_account() {
    for step_rows in [1, 500] {
        let (world, _, of_bob) = a_network(step_rows).await;
        let of_nothing = PostId::new(world.other.clock.now()).to_string();
        let like =
            |of: &str| json!({"PK": {"S": "USER#ada"}, "SK": {"S": format!("LIKES#{of}")}, "liked": {"S": "no"}});
        world.put("commands", &[like(&of_nothing), like("nonsense")]);
        world.other.done("ada", &DeleteAccount).await;
        world.other.catch_up(&["ada"]).await;

        settle(&world).await;

        assert_eq!(left_of_ada(&world).len(), 3, "{:?}", left_of_ada(&world));
        let counts = world.other.commands.tally(&TallySubject::Post(of_bob)).await.unwrap().counts();
        assert_eq!(counts.likes, 1, "carol's like is left");
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_of_somebody_else_that_makes_no_sense_does_not_stop_an_erasure() {
    let (world, _, of_bob) = a_network(500).await;
    world.put("commands", &[json!({"PK": {"S": format!("POST#{of_bob}")}, "SK": {"S": "POST"}})]);
    world.other.done("ada", &DeleteAccount).await;
    world.other.catch_up(&["ada"]).await;

    settle(&world).await;

    assert_eq!(left_of_ada(&world).len(), 3, "{:?}", left_of_ada(&world));
    let counts = world.other.commands.tally(&TallySubject::Post(of_bob)).await.unwrap().counts();
    assert_eq!((counts.likes, counts.comments), (1, 0), "carol's like is left");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_not_deleted_is_never_erased() {
    let (world, ..) = a_network(500).await;
    let before = world.tables();
    for at in [ErasureAt::Wait, ErasureAt::Events, ErasureAt::Items, ErasureAt::Edges, ErasureAt::ReadModels] {
        let walk = Walk::Erase { user: user("ada"), begun_at: Timestamp::from_ms(0), at };
        world.tested.projector.walks.advance(walk, RunStep::first()).await.unwrap();
    }
    assert_eq!(world.tables(), before);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_user_cannot_act_again() {
    let (world, _, of_bob) = a_network(500).await;
    let version = world.other.done("ada", &DeleteAccount).await;
    world.other.catch_up(&["ada"]).await;
    settle(&world).await;

    assert_eq!(world.other.done("ada", &DeleteAccount).await, version, "the second deletion changes nothing");
    let renamed = crate::command::UpdateProfile { profile: crate::samples::shown("ada"), is_reserved: false };
    let refused = world.tested.run("ada", &renamed).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected(Rejection::AccountDeleted)), "{refused}");
    let Process { commands, clock, .. } = &world.tested;
    let refused = react_to_post(&user("ada"), of_bob, EdgeState::Active, commands, clock).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected(Rejection::AccountDeleted)), "{refused}");
    assert_eq!(commands.head(&user("ada")).await.unwrap().standing, Standing::Deleted);
    let taken = world.tested.run("bob", &renamed).await.unwrap_err();
    assert!(matches!(taken, Error::Rejected(Rejection::HandleTaken { .. })), "the handle is reserved: {taken}");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_an_erased_account_leaves_is_not_unread_again() {
    let world = World::with(&[("ERASURE_DELAY_SECONDS", 60)]);
    world.other.join(&EVERYBODY).await;
    world.other.catch_up(&EVERYBODY).await;
    for id in ["ada", "carol"] {
        world.other.follow(id, "bob").await;
        world.other.catch_up(&[id]).await;
    }
    settle(&world).await;
    let grown = async || {
        let stored = world.other.timelines.inbox(&user("bob"), Consistency::Strong).await.unwrap();
        stored.inbox.groups(world.other.clock.now()).map(|grouped| (grouped.group, grouped.at)).collect::<Vec<_>>()
    };
    let before = grown().await;
    assert_eq!(before.len(), 1);

    world.other.done("ada", &DeleteAccount).await;
    world.other.catch_up(&["ada"]).await;
    settle(&world).await;
    world.other.repair(Task::Reapply { user: user("carol"), after: Version::ZERO }).await.unwrap();
    settle(&world).await;

    assert_eq!(grown().await, before);
    let notices = world.keys("timelines", "NOTICES#bob");
    assert!(notices.iter().all(|key| !format!("{key:?}").contains("ada")), "{notices:?}");
}

#[tokio::test(start_paused = true)]
async fn numbers_whose_last_fact_went_with_another_account_are_removed_too() {
    let world = World::new();
    world.other.join(&["ada", "bob", "carol", "dan"]).await;
    world.other.catch_up(&["ada", "bob", "carol", "dan"]).await;
    world.pass(Duration::from_secs(24 * 60 * 60));
    // This is all that dan is credited with on this day.
    world.other.follow("ada", "dan").await;
    world.other.catch_up(&["ada"]).await;
    settle(&world).await;
    for id in ["ada", "dan"] {
        world.other.done(id, &DeleteAccount).await;
        world.other.catch_up(&[id]).await;
        settle(&world).await;
    }
    let left: Vec<_> = world.items("timelines").into_iter().filter(|item| item["SK"]["S"] == "USER#dan").collect();
    assert!(left.is_empty(), "{left:?}");
}
