use std::time::Duration;

use super::*;
use crate::{
    command::DeleteComment,
    samples::user,
    test_world::{Calls, Failure, World},
};

/// Ada and many others have joined.
async fn crowd(size: usize) -> (World, Vec<String>) {
    let world = World::new();
    let names: Vec<_> = (0..size).map(|number| format!("f{number:03}")).collect();
    world.other.join(&["ada"]).await;
    world.other.join(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    (world, names)
}

#[tokio::test(start_paused = true)]
async fn follows_of_a_crowded_user_are_shown_by_tasks_of_many() {
    let (world, names) = crowd(40).await;
    for name in &names {
        world.other.follow(name, "ada").await;
    }
    let projectors = world.tested.rebuilder.projectors.clone();
    let notices = &projectors.maintained().await.unwrap().remove(0).notices;
    let (users, ada) = (names.iter().map(|name| user(name)).collect::<Vec<_>>(), user("ada"));
    // The inbox stands in the same partition.
    let shown = || world.keys("timelines", "NOTICES#ada").len() - 1;

    // As functions do: each log has a projector of its own.
    let show = async |follower| {
        let of_log = projectors.maintained().await?.remove(0);
        of_log.notices.show_follow(follower, &ada).await
    };
    futures::future::try_join_all(users.iter().map(show)).await.unwrap();

    assert_eq!(shown(), 8);
    world.pass(Duration::from_secs(60));
    let tasks = world.take_tasks();
    let followers = |task: &Task| match task {
        Task::ShowFollows { followee, followers } if *followee == ada => followers.clone(),
        _ => Vec::new(),
    };
    assert_eq!(tasks.iter().filter(|task| matches!(task, Task::ShowFollows { .. })).count(), 1);
    assert_eq!(tasks.iter().flat_map(followers).collect::<Vec<_>>(), users[8..]);

    // The partition takes some of them. The others follow, and are not written again.
    world.network.fail(Calls("UpdateItem", "f030"), Failure::Throttled);
    notices.show_follows(&ada, &users[8..]).await.unwrap();
    world.network.calm();
    world.pass(Duration::from_secs(5));
    let left: Vec<_> = world.take_tasks().iter().flat_map(followers).collect();
    assert_eq!(left, users[24..]);
    notices.show_follows(&ada, &left).await.unwrap();
    assert_eq!(shown(), users.len());
}

#[tokio::test(start_paused = true)]
async fn comments_on_a_crowded_post_are_shown_by_tasks_of_many() {
    let (world, names) = crowd(20).await;
    let post = world.other.post("ada", "a").await;
    let mut comments = Vec::new();
    for name in &names {
        comments.push(world.other.comment(name, post, "b").await);
    }
    let projectors = world.tested.rebuilder.projectors.clone();
    let notices = &projectors.maintained().await.unwrap().remove(0).notices;
    // The inbox stands in the same partition.
    let shown = || world.keys("timelines", "NOTICES#ada").len() - 1;
    let show = async |comment| {
        let of_log = projectors.maintained().await?.remove(0);
        of_log.notices.show_comment(post, comment).await
    };
    futures::future::try_join_all(comments[..19].iter().map(|comment| show(*comment))).await.unwrap();

    assert_eq!(shown(), 4);
    world.pass(Duration::from_secs(60));
    let tasks = world.take_tasks();
    let of_task = |task: &Task| match task {
        Task::ShowComments { post: about, comments } if *about == post => comments.clone(),
        _ => Vec::new(),
    };
    assert_eq!(tasks.iter().filter(|task| matches!(task, Task::ShowComments { .. })).count(), 1);
    assert_eq!(tasks.iter().flat_map(of_task).collect::<Vec<_>>(), comments[4..19]);

    // A deletion does not wait, however many comments there are. Nor does what nobody is told of.
    let deleted = comments[19];
    for comment in &comments[..5] {
        show(*comment).await.unwrap();
    }
    world.other.done(&names[19], &DeleteComment { post, comment: deleted }).await;
    show(deleted).await.unwrap();
    let own = world.other.comment("ada", post, "c").await;
    show(own).await.unwrap();
    world.pass(Duration::from_secs(60));
    let tasks = world.take_tasks();
    assert!(!tasks.iter().flat_map(of_task).any(|comment| [deleted, own].contains(&comment)));
    assert_eq!(shown(), 5, "that of a comment that ended before anybody heard of it is among them");

    // The partition takes some of them. The others follow, and are not written again.
    world.network.fail(Calls("UpdateItem", "f014"), Failure::Throttled);
    notices.show_comments(post, &comments[4..19]).await.unwrap();
    world.network.calm();
    world.pass(Duration::from_secs(5));
    let left: Vec<_> = world.take_tasks().iter().flat_map(of_task).collect();
    assert_eq!(left, comments[12..19]);
    notices.show_comments(post, &left).await.unwrap();
    assert_eq!(shown(), comments.len());
}
