//! Notifications as they are read. What they tell of is tested where it is written (`projection/notices/tests.rs`).

use std::time::Duration;

use serde_json::json;

use crate::{
    command::react_to_post,
    model::{Blockers, EdgeState, PostId, UserId, Viewer},
    query::{NotificationsPosition, ReadRequest},
    samples::user,
    store::Consistency,
    stream::work_queue::Task,
    test_world::World,
};

/// Ada's posts, each of which these users like. Ada's inbox knows all of that.
async fn liked_posts_of_ada(posts: usize, likers: &[&str]) -> (World, Vec<PostId>) {
    let world = World::new();
    world.other.join(&["ada"]).await;
    world.other.join(likers).await;
    let mut liked = Vec::new();
    for _ in 0..posts {
        let post = world.other.post("ada", "a post").await;
        liked.push(post);
        for liker in likers {
            let (commands, clock) = (&world.other.commands, &world.other.clock);
            react_to_post(&user(liker), post, EdgeState::Active, commands, clock).await.unwrap();
        }
        let users: Vec<UserId> = likers.iter().map(|id| user(id)).collect();
        world.other.catch_up(&["ada"]).await;
        world.other.repair(Task::SettleLikes { post, users }).await.unwrap();
        // An inbox is written once a second.
        world.pass(Duration::from_secs(2));
    }
    world.other.catch_up(likers).await;
    (world, liked)
}

#[tokio::test(start_paused = true)]
async fn a_walk_shows_no_group_twice_although_it_stands_deeper_in_other_tables() {
    let (world, posts) = liked_posts_of_ada(3, &["bob"]).await;
    let (ada, notifications) = (user("ada"), world.tested.notifications());
    let request = ReadRequest { viewer: &ada, min_version: None };
    let (mut walk, mut shown) = (None::<NotificationsPosition>, Vec::new());
    loop {
        let page = notifications.list(request, walk, 1).await.unwrap().page;
        shown.extend(page.entries.iter().filter_map(|it| it.post.as_ref()).map(|post| post.card.post));
        let Some(next) = page.next else { break };
        // A rebuild fills other tables. There, all groups stand a moment deeper, so this place is in front of more.
        let mut place = serde_json::to_value(next).unwrap();
        place["at"] = json!(place["at"].as_u64().unwrap() + 1000);
        walk = Some(serde_json::from_value(place).unwrap());
    }
    shown.sort_unstable();
    assert_eq!(shown, posts);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_unread_groups_asks_about_three_people_of_each() {
    let likers: Vec<_> = (0..20).map(|number| format!("liker_{number}")).collect();
    let likers: Vec<_> = likers.iter().map(String::as_str).collect();
    let (world, _) = liked_posts_of_ada(1, &likers).await;
    let ada = user("ada");
    let before = world.other.viewers.get(&ada, Consistency::Strong).await.unwrap();
    let viewer = Viewer { blocked_by: Blockers::Unlisted, ..before.viewer.clone() };
    world.other.viewers.put(&ada, &before, viewer).await.unwrap();

    let request = ReadRequest { viewer: &ada, min_version: None };
    assert_eq!(world.tested.notifications().unread(request).await.unwrap(), 1);
    let asked = |world: &World| -> usize {
        world.network.calls().iter().map(|call| call.body.matches("BLOCKS#ada").count()).sum()
    };
    assert_eq!(asked(&world), 3, "of those who liked last");

    for liker in likers.iter().rev().take(5) {
        world.other.block(liker, "ada").await;
    }
    assert_eq!(world.tested.notifications().unread(request).await.unwrap(), 1, "others are left");
    let listed = world.tested.notifications().list(request, None, 20).await.unwrap().page.entries;
    assert_eq!(listed[0].count, 15);
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_a_month_counts_in_no_group() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let (world, posts) = liked_posts_of_ada(1, &["bob"]).await;
    world.other.join(&["carol"]).await;
    world.other.catch_up(&["carol"]).await;
    world.pass(20 * DAY);
    let (commands, clock) = (&world.other.commands, &world.other.clock);
    react_to_post(&user("carol"), posts[0], EdgeState::Active, commands, clock).await.unwrap();
    world.other.repair(Task::SettleLikes { post: posts[0], users: vec![user("carol")] }).await.unwrap();
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: None };
    let counts = async || {
        let listed = world.tested.notifications().list(request, None, 20).await.unwrap().page.entries;
        listed.iter().map(|it| it.count).collect::<Vec<_>>()
    };
    assert_eq!(counts().await, [2]);
    world.pass(11 * DAY);
    assert_eq!(counts().await, [1], "bob's like is a month old");
}
