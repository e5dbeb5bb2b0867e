//! A query for a version shows the viewer's own commands up to this version, wherever projections are (INV-4).

use crate::{
    command::MuteUser,
    error::{Error, Rejection},
    model::{EdgeState, PostId, Version},
    query::{HomePage, HomePosition, Page, ReadRequest, people::Side},
    samples::{shown, user, version},
    test_world::{Calls, Failure, Process, World},
};

/// The read of ada's viewer item.
const READ_VIEWER: Calls = Calls("GetItem", "\"viewers\"");
/// The read of the rows of ada's home.
const READ_HOME: Calls = Calls("Query", "HOME#ada");
/// The read of a log.
const READ_LOG: Calls = Calls("Query", "EVENT#");

/// Ada follows bob, who has written one post. Carol has written one post, too. All logs are applied.
async fn all_is_applied() -> World {
    let world = World::new();
    world.other.join(&["ada", "bob", "carol"]).await;
    world.other.post("bob", "by bob #tag").await;
    world.other.post("carol", "by carol").await;
    world.other.follow("ada", "bob").await;
    world.other.catch_up(&["ada", "bob", "carol"]).await;
    world
}

async fn home_page(process: &Process, min_version: Option<Version>) -> Result<HomePage<HomePosition>, Error> {
    let ada = user("ada");
    process.feeds.home(ReadRequest { viewer: &ada, min_version }, None, 10).await
}

/// The texts in ada's home, newest first.
async fn home(world: &World, min_version: impl Into<Option<Version>>) -> Vec<String> {
    texts(home_page(&world.tested, min_version.into()).await.unwrap().page)
}

fn texts<Position>(page: Page<crate::query::FeedPost, Position>) -> Vec<String> {
    page.entries.into_iter().map(|post| post.card.text.unwrap().as_str().to_owned()).collect()
}

/// The texts in the feed of ada's posts and in that of `#tag`.
async fn other_feeds(world: &World, min_version: Version) -> [Vec<String>; 2] {
    let (ada, tag) = (user("ada"), "tag".parse().unwrap());
    let request = ReadRequest { viewer: &ada, min_version: Some(min_version) };
    let feeds = &world.tested.feeds;
    [feeds.author(request, &ada, None, 10).await.unwrap(), feeds.tag(request, &tag, None, 10).await.unwrap()].map(texts)
}

#[tokio::test(start_paused = true)]
async fn a_post_that_no_projection_has_reached_is_on_every_page_that_asks_for_it() {
    let world = all_is_applied().await;
    world.other.post("ada", "mine #tag").await;

    assert_eq!(home(&world, version(3)).await, ["mine #tag", "by bob #tag"]);
    assert_eq!(other_feeds(&world, version(3)).await, [vec!["mine #tag"], vec!["mine #tag", "by bob #tag"]]);
    assert_eq!(home(&world, None).await, ["by bob #tag"], "a page that asks for nothing has what is projected");
}

#[tokio::test(start_paused = true)]
async fn a_page_tells_which_version_it_shows_and_whether_anything_was_laid_over() {
    let world = all_is_applied().await;
    world.other.post("ada", "mine").await;

    let shows = async |min_version| {
        let page = home_page(&world.tested, min_version).await.unwrap();
        (page.version, page.overlaid)
    };

    assert_eq!(shows(Some(version(3))).await, (version(3), true));
    assert_eq!(shows(Some(version(2))).await, (version(2), false));
    assert_eq!(shows(None).await, (version(2), false));
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_no_projection_has_reached_shows_its_text_and_its_tags() {
    let world = all_is_applied().await;
    let post = world.other.post("ada", "first #tag").await;
    world.other.catch_up(&["ada"]).await;
    let edited = world.other.edit("ada", post, "second").await;

    assert_eq!(home(&world, edited).await, ["second", "by bob #tag"]);
    assert_eq!(other_feeds(&world, edited).await, [vec!["second"], vec!["by bob #tag"]]);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_no_projection_has_reached_hides_the_post() {
    let world = all_is_applied().await;
    let post = world.other.post("ada", "mine #tag").await;
    world.other.catch_up(&["ada"]).await;
    let deleted = world.other.delete("ada", post).await;

    assert_eq!(home(&world, deleted).await, ["by bob #tag"]);
    assert_eq!(other_feeds(&world, deleted).await, [vec![], vec!["by bob #tag"]]);
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: Some(deleted) };
    let found = world.tested.conversations().post(request, post).await;
    assert!(matches!(found, Err(Error::Rejected(Rejection::PostNotFound))), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_follow_that_no_projection_has_reached_shows_the_posts_of_the_followed_author() {
    let world = all_is_applied().await;
    let followed = world.other.follow("ada", "carol").await;

    assert_eq!(home(&world, followed).await, ["by carol", "by bob #tag"]);
}

#[tokio::test(start_paused = true)]
async fn an_unfollow_a_mute_or_a_block_that_no_projection_has_reached_hides_the_author() {
    let world = all_is_applied().await;
    let unfollowed = world.other.unfollow("ada", "bob").await;
    assert!(home(&world, unfollowed).await.is_empty());

    let world = all_is_applied().await;
    let muted = world.other.done("ada", &MuteUser { muted: user("bob"), wanted: EdgeState::Active }).await;
    assert!(home(&world, muted).await.is_empty());

    let world = all_is_applied().await;
    let blocked = world.other.block("ada", "bob").await;
    assert!(home(&world, blocked).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_no_projection_has_reached_is_on_the_viewers_posts_and_in_lists() {
    let world = all_is_applied().await;
    world.other.post("ada", "mine").await;
    world.other.catch_up(&["ada"]).await;
    let renamed = world.other.rename("ada", "ada_2").await;

    let page = home_page(&world.tested, Some(renamed)).await.unwrap().page;
    let handles: Vec<_> = page.entries.iter().map(|post| post.card.author_profile.clone()).collect();
    assert_eq!(handles, [shown("ada_2"), shown("bob")]);
    let (ada, bob) = (user("ada"), user("bob"));
    let request = ReadRequest { viewer: &ada, min_version: Some(renamed) };
    let followers = world.tested.people().people(request, Side::Followers, &bob, None, 10).await.unwrap();
    assert_eq!(followers.entries[0].profile, shown("ada_2"));
}

#[tokio::test(start_paused = true)]
async fn totals_that_no_projection_has_reached_are_on_the_viewers_profile() {
    let world = all_is_applied().await;
    let followed = world.other.follow("ada", "carol").await;
    let ada = user("ada");
    let following = async |min_version| {
        let profile = world.tested.people().profile(ReadRequest { viewer: &ada, min_version }, &ada).await;
        profile.unwrap().card.following
    };

    assert_eq!(following(Some(followed)).await, 2);
    assert_eq!(following(None).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_asks_for_a_version_shows_people_whom_no_projection_has_reached() {
    let world = all_is_applied().await;
    world.other.join(&["dan"]).await;
    let followed = world.other.follow("ada", "dan").await;
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: Some(followed) };

    let page = world.tested.people().people(request, Side::Following, &ada, None, 10).await.unwrap();

    assert_eq!(page.entries.into_iter().map(|card| card.user).collect::<Vec<_>>(), [user("bob"), user("dan")]);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_the_log_does_not_have_is_rejected() {
    let world = all_is_applied().await;

    let result = home_page(&world.tested, Some(version(3))).await;

    assert!(matches!(result, Err(Error::Rejected(Rejection::VersionUnknown))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_projection_that_is_too_far_behind_makes_the_query_unavailable() {
    let world = World::new();
    world.put_mutes("ada", 1..=1001);

    let page = home_page(&world.tested, Some(version(1000))).await.unwrap();
    assert_eq!(page.version, version(1000));
    let result = home_page(&world.tested, Some(version(1001))).await;
    assert!(matches!(result, Err(Error::Transient { .. })), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn the_log_is_read_only_if_the_viewer_item_does_not_cover_the_version() {
    let world = all_is_applied().await;
    world.other.post("ada", "mine").await;

    home(&world, None).await;
    home(&world, version(2)).await;
    assert_eq!(world.network.count(READ_LOG), 0);

    home(&world, version(3)).await;
    assert_eq!(world.network.count(READ_LOG), 1);
    assert_eq!(world.network.count(Calls("Query", "EVENT#000000000003")), 1, "from the first event that is missing");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_makes_the_query_fail() {
    let world = all_is_applied().await;
    world.other.post("ada", "mine").await;
    world.network.fail(READ_LOG, Failure::Internal);

    let result = home_page(&world.tested, Some(version(3))).await;

    assert!(matches!(result, Err(Error::Transient { .. })), "{result:?}");
}

/// Ada has written a post and has followed carol. No projection has reached either.
async fn two_events_are_not_applied() -> World {
    let world = all_is_applied().await;
    world.other.post("ada", "mine").await;
    world.other.follow("ada", "carol").await;
    world
}

const SHOWN: [&str; 3] = ["mine", "by carol", "by bob #tag"];

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_if_the_projection_passes_before_the_viewer_item_is_read() {
    let world = two_events_are_not_applied().await;
    let other = world.other.clone();
    // All reads that do not wait for the viewer item get ahead of the projection.
    world.network.before(READ_VIEWER, async move || other.catch_up(&["ada"]).await);

    assert_eq!(home(&world, version(4)).await, SHOWN);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_or_shown_twice_if_the_projection_passes_after_the_viewer_item_was_read() {
    for after in [READ_VIEWER, READ_LOG, READ_HOME] {
        let world = two_events_are_not_applied().await;
        let other = world.other.clone();
        world.network.after(after, async move || other.catch_up(&["ada"]).await);

        assert_eq!(home(&world, version(4)).await, SHOWN, "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_asks_for_a_version_shows_each_post_once() {
    let world = two_events_are_not_applied().await;
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: Some(version(4)) };
    let (mut walk, mut seen) = (None, Vec::<PostId>::new());

    loop {
        let HomePage { page, .. } = world.tested.feeds.home(request, walk, 1).await.unwrap();
        seen.extend(page.entries.iter().map(|post| post.card.post));
        // The projection passes between two pages.
        world.other.catch_up(&["ada"]).await;
        walk = page.next;
        if walk.is_none() {
            break;
        }
    }

    let whole = home_page(&world.tested, Some(version(4))).await.unwrap().page;
    assert_eq!(seen, whole.entries.iter().map(|post| post.card.post).collect::<Vec<_>>());
    assert_eq!(seen.len(), SHOWN.len());
}

#[tokio::test(start_paused = true)]
async fn an_unprojected_post_without_the_tag_does_not_make_an_unknown_tag_known() {
    let world = all_is_applied().await;
    let written = world.other.post("ada", "about something else #other").await;
    let version = world.other.commands.head(&user("ada")).await.unwrap().version;
    let ada = user("ada");
    let request = ReadRequest { viewer: &ada, min_version: Some(version) };
    let tag = async |tag: &str| world.tested.feeds.tag(request, &tag.parse().unwrap(), None, 10).await;

    let unknown = tag("unknown").await;
    assert!(matches!(unknown, Err(Error::Rejected(Rejection::TagNotFound))), "{unknown:?}");
    let found: Vec<_> = tag("other").await.unwrap().entries.iter().map(|post| post.card.post).collect();
    assert_eq!(found, [written]);
}

#[tokio::test(start_paused = true)]
async fn ones_own_profile_counts_posts_and_follows_at_once() {
    let world = all_is_applied().await;
    let first = world.other.post("ada", "one").await;
    world.other.post("ada", "two").await;
    world.other.delete("ada", first).await;
    world.other.unfollow("ada", "bob").await;
    world.other.follow("ada", "carol").await;

    let own = world.tested.people().own_profile(&user("ada")).await.unwrap();

    assert_eq!(own.profile.public, shown("ada"));
    assert_eq!((own.totals.posts, own.totals.following, own.followers), (1, 1, 0));
    let nobody = world.tested.people().own_profile(&user("ghost")).await;
    assert!(matches!(nobody, Err(Error::Rejected(Rejection::ProfileNotFound))), "{nobody:?}");
}
