use std::time::Duration;

use super::*;
use crate::{
    command::{
        CommentOnPost, DeleteAccount, DeleteComment, FollowUser, ModeratePost, ModerateUser, Moderation, react_to_post,
        see_notifications, turn_notifications,
    },
    error::Rejection,
    model::{CommentId, EdgeState, NotificationKind, TallySubject, Timestamp},
    query::{Notification, ReadRequest},
    samples::user,
    test_world::{Calls, Failure, World},
};

/// How often tasks of inboxes may lead to others.
const ROUNDS_MAX: usize = 10;
/// The write of an inbox.
const WRITE_INBOX: Calls = Calls("UpdateItem", "INBOX");

/// Ada has written a post; the others have joined.
async fn post_of_ada(others: &[&str]) -> (World, PostId) {
    let world = World::new();
    world.other.join(&["ada"]).await;
    world.other.join(others).await;
    let post = world.other.post("ada", "a post").await;
    world.other.catch_up(&["ada"]).await;
    world.other.catch_up(others).await;
    (world, post)
}

/// A user likes a post or ends that, and the process under test hears of it.
async fn like(world: &World, id: &str, post: PostId, wanted: EdgeState) {
    world.pass(Duration::from_millis(1));
    react_to_post(&user(id), post, wanted, &world.other.commands, &world.other.clock).await.unwrap();
    world.tested.repair(Task::SettleLikes { post, users: vec![user(id)] }).await.unwrap();
}

/// What the user is shown, and how many notifications are unread.
async fn shown(world: &World, id: &str) -> (Vec<Notification>, usize) {
    let viewer = user(id);
    let request = ReadRequest { viewer: &viewer, min_version: None };
    let page = world.other.notifications().list(request, None, 20).await.unwrap();
    assert_eq!(world.other.notifications().unread(request).await.unwrap(), page.unread);
    (page.page.entries, page.unread)
}

/// In short: the kind, the number, the people, and whether it is unread.
fn short(notifications: &[Notification]) -> Vec<(&'static str, usize, Vec<&str>, bool)> {
    let people = |it: &Notification| it.people.iter().map(|card| card.user.to_string()).collect::<Vec<_>>();
    notifications
        .iter()
        .map(|it| (it.kind.name(), it.count, people(it), it.unread))
        .map(|(kind, count, people, unread)| (kind, count, people.into_iter().map(|id| &*id.leak()).collect(), unread))
        .collect()
}

async fn see(world: &World, id: &str, up_to: Timestamp) {
    see_notifications(&user(id), up_to, &world.other.commands, &world.other.clock).await.unwrap();
}

/// Works on all tasks of inboxes.
async fn settle_inboxes(world: &World) {
    for _ in 0..ROUNDS_MAX {
        if !world.pass_until_next_task() {
            return;
        }
        world.pass(INTERVAL);
        for task in world.take_tasks().into_iter().filter(|it| matches!(it, Task::Notify { .. })) {
            world.tested.repair(task).await.unwrap();
        }
    }
    panic!("there are always more tasks");
}

#[tokio::test(start_paused = true)]
async fn likes_of_a_post_are_one_notification_that_is_unread_again_when_it_grows() {
    let (world, post) = post_of_ada(&["bob", "eve"]).await;
    like(&world, "bob", post, EdgeState::Active).await;
    let (first, unread) = shown(&world, "ada").await;
    assert_eq!((short(&first), unread), (vec![("like", 1, vec!["bob"], true)], 1));
    assert_eq!(first[0].post.as_ref().unwrap().card.post, post);
    see(&world, "ada", first[0].at).await;
    assert_eq!(shown(&world, "ada").await.1, 0);
    world.pass(Duration::from_secs(2));
    like(&world, "eve", post, EdgeState::Active).await;
    let (second, unread) = shown(&world, "ada").await;
    assert_eq!((short(&second), unread), (vec![("like", 2, vec!["eve", "bob"], true)], 1));
    see(&world, "ada", second[0].at).await;
    see(&world, "ada", first[0].at).await;
    assert_eq!(shown(&world, "ada").await.1, 0, "the mark of another device does not move backwards");
    let ahead = world.other.clock.now().after(Duration::from_secs(61));
    let refused = see_notifications(&user("ada"), ahead, &world.other.commands, &world.other.clock).await;
    assert!(matches!(refused, Err(Error::Rejected(Rejection::UpToInFuture))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_like_that_ended_before_it_was_shown_is_nothing_new_when_the_group_is_looked_at_again() {
    let (world, post) = post_of_ada(&["bob", "eve"]).await;
    like(&world, "bob", post, EdgeState::Active).await;
    see(&world, "ada", shown(&world, "ada").await.0[0].at).await;
    world.pass(Duration::from_secs(60));
    for state in [EdgeState::Active, EdgeState::Ended] {
        react_to_post(&user("eve"), post, state, &world.other.commands, &world.other.clock).await.unwrap();
        world.pass(Duration::from_secs(1));
    }
    for again in ["eve", "bob"] {
        world.tested.repair(Task::SettleLikes { post, users: vec![user(again)] }).await.unwrap();
        settle_inboxes(&world).await;
    }
    assert_eq!(shown(&world, "ada").await.1, 0);
    like(&world, "eve", post, EdgeState::Active).await;
    let (all, unread) = shown(&world, "ada").await;
    assert_eq!((short(&all), unread), (vec![("like", 2, vec!["eve", "bob"], true)], 1), "now it stands");
}

#[tokio::test(start_paused = true)]
async fn liking_unliking_and_liking_again_is_one_notification() {
    let (world, post) = post_of_ada(&["bob"]).await;
    like(&world, "bob", post, EdgeState::Active).await;
    let at = shown(&world, "ada").await.0[0].at;
    see(&world, "ada", at).await;
    world.pass(Duration::from_secs(5));
    like(&world, "bob", post, EdgeState::Ended).await;
    assert_eq!(shown(&world, "ada").await, (Vec::new(), 0));
    like(&world, "bob", post, EdgeState::Active).await;
    let (again, unread) = shown(&world, "ada").await;
    assert_eq!((short(&again), again[0].at, unread), (vec![("like", 1, vec!["bob"], false)], at, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_notified_of_what_they_do_themselves() {
    let (world, post) = post_of_ada(&["bob"]).await;
    like(&world, "ada", post, EdgeState::Active).await;
    world.other.comment("ada", post, "by @ada herself").await;
    world.other.post("ada", "I am @ada").await;
    world.other.catch_up(&["ada"]).await;
    assert_eq!(shown(&world, "ada").await, (Vec::new(), 0));
    assert_eq!(world.network.count(WRITE_INBOX), 0);
}

#[tokio::test(start_paused = true)]
async fn a_viral_post_costs_the_inbox_one_write_a_second() {
    let names: Vec<String> = (0..60).map(|n| format!("fan{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (world, post) = post_of_ada(&names).await;
    let before = world.other.clock.now();
    for name in &names {
        world.pass(Duration::from_millis(99));
        like(&world, name, post, EdgeState::Active).await;
    }
    let took = world.other.clock.now().since(before);
    assert!(took >= Duration::from_secs(6), "{took:?}");
    let writes = world.network.count(WRITE_INBOX);
    assert!((2..=7).contains(&writes), "{writes}");
    settle_inboxes(&world).await;
    let (shown, unread) = shown(&world, "ada").await;
    assert_eq!((shown.len(), shown[0].count, shown[0].people.len(), unread), (1, 60, 8, 1));
    assert_eq!(shown[0].people[0].user, user("fan59"));
    assert!(world.network.count(WRITE_INBOX) <= writes + 2, "tasks that came too late write nothing");
    assert_eq!(world.take_tasks(), []);
}

#[tokio::test(start_paused = true)]
async fn two_workers_at_once_lose_no_notice() {
    let (world, post) = post_of_ada(&["bob", "eve"]).await;
    for id in ["bob", "eve"] {
        react_to_post(&user(id), post, EdgeState::Active, &world.other.commands, &world.other.clock).await.unwrap();
    }
    let other = world.other.clone();
    world.network.before(WRITE_INBOX, async move || {
        other.repair(Task::SettleLikes { post, users: vec![user("eve")] }).await.unwrap();
    });
    world.tested.repair(Task::SettleLikes { post, users: vec![user("bob")] }).await.unwrap();
    settle_inboxes(&world).await;
    assert_eq!(shown(&world, "ada").await.0[0].count, 2);
}

#[tokio::test(start_paused = true)]
async fn comments_mentions_and_follows_are_notifications_and_end_with_what_they_are_about() {
    let (world, post) = post_of_ada(&["bob", "eve"]).await;
    let text = |text: &str| text.to_owned().try_into().unwrap();
    let command = |name: &str| CommentOnPost {
        post,
        comment: CommentId::new(world.other.clock.now()),
        text: text(&format!("to @ada and @eve by {name}")),
        key: None,
    };
    let comments = [command("bob"), command("bob")];
    for comment in &comments {
        world.other.done("bob", comment).await;
    }
    world.other.done("bob", &FollowUser { followee: user("ada"), wanted: EdgeState::Active }).await;
    let mention = world.other.post("bob", "Hi @Eve, @eve and @nobody").await;
    world.other.catch_up(&["bob"]).await;
    settle_inboxes(&world).await;

    let (of_ada, unread) = shown(&world, "ada").await;
    let mut kinds = short(&of_ada);
    kinds.sort_unstable();
    assert_eq!(kinds, [("comment", 2, vec!["bob"], true), ("follow", 1, vec!["bob"], true)]);
    assert_eq!(unread, 2, "the author of the post is not notified of the mention, too");
    let (of_eve, _) = shown(&world, "eve").await;
    let subjects: Vec<_> = of_eve.iter().map(|it| (it.kind, it.post.as_ref().unwrap().card.post, it.count)).collect();
    assert!(subjects.contains(&(NotificationKind::Mention, post, 2)), "{subjects:?}");
    assert!(subjects.contains(&(NotificationKind::Mention, mention, 1)), "{subjects:?}");

    world.other.done("bob", &DeleteComment { post, comment: comments[0].comment }).await;
    world.other.unfollow("bob", "ada").await;
    world.other.delete("bob", mention).await;
    world.other.catch_up(&["bob"]).await;
    assert_eq!(short(&shown(&world, "ada").await.0), [("comment", 1, vec!["bob"], true)]);
    assert_eq!(short(&shown(&world, "eve").await.0), [("mention", 1, vec!["bob"], true)]);
}

#[tokio::test(start_paused = true)]
async fn what_the_viewer_hides_is_neither_listed_nor_counted() {
    let (world, post) = post_of_ada(&["bob", "eve", "dan"]).await;
    for id in ["bob", "eve", "dan"] {
        like(&world, id, post, EdgeState::Active).await;
    }
    settle_inboxes(&world).await;
    let mute = crate::command::MuteUser { muted: user("bob"), wanted: EdgeState::Active };
    world.other.done("ada", &mute).await;
    world.other.block("dan", "ada").await;
    world.other.catch_up(&["ada", "dan"]).await;
    let (left, unread) = shown(&world, "ada").await;
    assert_eq!((short(&left), unread), (vec![("like", 1, vec!["eve"], true)], 1));
    world.other.block("ada", "eve").await;
    world.other.catch_up(&["ada"]).await;
    assert_eq!(shown(&world, "ada").await, (Vec::new(), 0));
}

#[tokio::test(start_paused = true)]
async fn what_suspended_users_and_deleted_accounts_did_is_neither_listed_nor_counted() {
    let names = ["bob", "eve", "dan", "fay", "gus"];
    let (world, post) = post_of_ada(&names).await;
    for id in names {
        like(&world, id, post, EdgeState::Active).await;
    }
    settle_inboxes(&world).await;
    let moderate = async |id: &str, wanted| {
        world.other.done(id, &ModerateUser { wanted }).await;
        world.other.catch_up(&[id]).await;
    };
    for id in ["eve", "dan", "fay"] {
        moderate(id, Moderation::Withdrawn).await;
    }
    world.other.done("gus", &DeleteAccount).await;
    world.other.catch_up(&["gus"]).await;
    let (left, unread) = shown(&world, "ada").await;
    assert_eq!((short(&left), unread), (vec![("like", 1, vec!["bob"], true)], 1));
    moderate("bob", Moderation::Withdrawn).await;
    assert_eq!(shown(&world, "ada").await, (Vec::new(), 0));
    moderate("eve", Moderation::Restored).await;
    assert_eq!(short(&shown(&world, "ada").await.0), [("like", 1, vec!["eve"], true)]);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_was_taken_down_is_no_subject_for_others_than_its_author() {
    let (world, post) = post_of_ada(&["bob", "eve"]).await;
    world.other.comment("eve", post, "Look, @bob").await;
    world.other.catch_up(&["eve"]).await;
    let kinds = async |id: &str| shown(&world, id).await.0.into_iter().map(|it| it.kind).collect::<Vec<_>>();
    let both = ([NotificationKind::Mention].into(), vec![NotificationKind::Comment]);
    assert_eq!((kinds("bob").await, kinds("ada").await), both);
    for (wanted, of_bob) in [(Moderation::Withdrawn, vec![]), (Moderation::Restored, both.0)] {
        world.other.done("ada", &ModeratePost { post, wanted }).await;
        world.other.catch_up(&["ada"]).await;
        assert_eq!((kinds("bob").await, kinds("ada").await), (of_bob, both.1.clone()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_who_may_not_act_says_nothing_about_notifications() {
    let (world, _) = post_of_ada(&[]).await;
    let see = async || {
        let now = world.other.clock.now();
        match see_notifications(&user("ada"), now, &world.other.commands, &world.other.clock).await {
            Err(Error::Rejected(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let turn =
        async || match turn_notifications(&user("ada"), NotificationKind::Like, false, &world.other.commands).await {
            Err(Error::Rejected(why)) => why,
            other => panic!("{other:?}"),
        };
    world.other.done("ada", &ModerateUser { wanted: Moderation::Withdrawn }).await;
    assert_eq!([see().await, turn().await], [Rejection::AccountSuspended, Rejection::AccountSuspended]);
    world.other.done("ada", &DeleteAccount).await;
    assert_eq!([see().await, turn().await], [Rejection::AccountDeleted, Rejection::AccountDeleted]);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_off_is_hidden_until_it_is_on_again() {
    let (world, post) = post_of_ada(&["bob"]).await;
    like(&world, "bob", post, EdgeState::Active).await;
    let turn = async |on| {
        let ada = user("ada");
        turn_notifications(&ada, NotificationKind::Like, on, &world.other.commands).await.unwrap();
        shown(&world, "ada").await.1
    };
    assert_eq!([turn(false).await, turn(false).await, turn(true).await, turn(true).await], [0, 0, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn pages_show_every_group_once_and_old_groups_are_gone() {
    let (world, _) = post_of_ada(&["bob"]).await;
    let mut posts = Vec::new();
    for number in 0..5 {
        let post = world.other.post("ada", &format!("number {number}")).await;
        world.other.catch_up(&["ada"]).await;
        world.pass(Duration::from_secs(2));
        like(&world, "bob", post, EdgeState::Active).await;
        posts.insert(0, post);
    }
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: None };
    for limit in [1, 2, 5] {
        let (mut walked, mut after) = (Vec::new(), None);
        loop {
            let page = world.other.notifications().list(request, after, limit).await.unwrap();
            assert_eq!(page.unread, 5);
            walked.extend(page.page.entries.iter().map(|it| it.post.as_ref().unwrap().card.post));
            after = page.page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(walked, posts, "{limit} at a time");
    }
    world.pass(NOTIFICATIONS_KEPT + INTERVAL);
    assert_eq!(shown(&world, "ada").await, (Vec::new(), 0));
}

/// A post of ada's, and who likes it.
async fn post_that_twenty_like() -> (World, PostId, Vec<UserId>) {
    let names: Vec<String> = (0..20).map(|n| format!("fan{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (world, post) = post_of_ada(&names).await;
    for name in &names {
        react_to_post(&user(name), post, EdgeState::Active, &world.other.commands, &world.other.clock).await.unwrap();
    }
    let users: Vec<_> = names.iter().map(|name| user(name)).collect();
    (world, post, users)
}

#[tokio::test(start_paused = true)]
async fn likes_that_the_partition_refuses_are_left_to_another_task() {
    let (world, post, users) = post_that_twenty_like().await;
    world.take_tasks();
    world.network.fail(Calls("UpdateItem", "LIKERS#"), Failure::Throttled);
    world.network.skip(8);
    world.tested.projector.repair.settle_likes(post, &users).await.unwrap();
    world.pass(Duration::from_secs(10));
    let tasks: Vec<_> = world.take_tasks();
    assert_eq!(tasks, [Task::SettleLikes { post, users: users[8..].to_vec() }]);
    world.tested.projector.repair.settle_likes(post, &users[8..]).await.unwrap_err();
    world.network.calm();
    for task in tasks {
        world.tested.repair(task).await.unwrap();
    }
    settle_inboxes(&world).await;
    assert_eq!(shown(&world, "ada").await.0[0].count, 20);
}

#[tokio::test(start_paused = true)]
async fn a_like_that_makes_no_sense_takes_no_others_along() {
    let (world, post, users) = post_that_twenty_like().await;
    world.take_tasks();
    let (like, profile) = (format!("LIKES#{post}"), "PROFILE".to_owned());
    for (user, sort_key) in [(&users[3], like), (&users[4], profile)] {
        let senseless = serde_json::json!({"PK": {"S": format!("USER#{user}")}, "SK": {"S": sort_key}});
        world.put("commands", &[senseless]);
    }
    world.tested.projector.repair.settle_likes(post, &users).await.unwrap();
    let mut refused = Vec::new();
    for task in world.take_tasks() {
        if world.tested.repair(task.clone()).await.is_err() {
            refused.push(task);
        }
    }
    assert_eq!(refused, [Task::SettleLikes { post, users: vec![users[3].clone()] }], "nobody reads the profile here");
    settle_inboxes(&world).await;
    assert_eq!(shown(&world, "ada").await.0[0].count, 19);
}

#[tokio::test(start_paused = true)]
async fn likes_of_a_task_are_read_together() {
    let (world, post, users) = post_that_twenty_like().await;

    world.tested.projector.repair.settle_likes(post, &users).await.unwrap();

    // All at once to count them, and eight at a time to show them.
    let reads = |operation| world.network.count(Calls(operation, "LIKES#"));
    assert_eq!([reads("BatchGetItem"), reads("GetItem"), reads("Query")], [1 + 3, 0, 0]);
    assert_eq!(world.network.count(Calls("UpdateItem", "LIKERS#")), 20);
}

#[tokio::test(start_paused = true)]
async fn likes_of_a_crowded_post_are_shown_in_several_partitions_and_stay_there() {
    let names: Vec<String> = (0..60).map(|n| format!("fan{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (world, post) = post_of_ada(&names).await;
    let likers = async || -> Vec<String> {
        let request = ReadRequest { viewer: &user("ada"), min_version: None };
        let page = world.cold().feeds.likers(request, post, None, 100).await.unwrap();
        page.entries.into_iter().map(|card| card.user.to_string()).collect()
    };
    let react = async |names: &[&str], wanted| {
        for name in names {
            world.other.meets_a_crowd(&TallySubject::Post(post));
            world.pass(Duration::from_millis(1));
            react_to_post(&user(name), post, wanted, &world.other.commands, &world.other.clock).await.unwrap();
        }
        let users: Vec<_> = names.iter().map(|name| user(name)).collect();
        world.tested.projector.repair.settle_likes(post, &users).await.unwrap();
    };
    react(&names, EdgeState::Active).await;
    let newest_first: Vec<_> = names.iter().rev().copied().collect();
    assert_eq!(likers().await, newest_first);
    let elsewhere = world.keys("timelines", &format!("LIKERS#{post}#"));
    assert!(elsewhere.len() > 40, "{} of 60", elsewhere.len());

    react(&names[..20], EdgeState::Ended).await;
    assert_eq!(likers().await, newest_first[..40]);
    react(&names[..20], EdgeState::Active).await;
    assert_eq!(likers().await, newest_first);
    assert_eq!(world.keys("timelines", &format!("LIKERS#{post}#")), elsewhere, "each stays where it is");
    settle_inboxes(&world).await;
    assert_eq!(shown(&world, "ada").await.0[0].count, 60);
}
