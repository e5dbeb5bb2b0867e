//! Read-your-writes, field by field (INV-4): after each kind of command, a query for its version shows the same in
//! every member of every response as a query without a version after all projections have run. The counts that other
//! users change, too, are left out: `likes`, `comments`, `followers`, and `following` of others.

use serde_json::{Map, Value, json};

use crate::{
    command::{
        BlockUser, CommentOnPost, DeleteComment, FollowUser, MuteUser, PatchProfile, RemoveFollower, react_to_post,
    },
    http::view::{CommentView, CountedProfile, NotificationView, OtherProfile, Person, PostView},
    model::{
        CommentId, Counts, EdgeState, PostId, RunStep, TallyChange, TallyImage, TallyShard, TallySubject, Version,
    },
    projection::tally,
    query::{CommentsOf, FeedPost, HiddenComments, Ranking, ReadRequest, TrendingPosition, people::Side},
    samples::user,
    store::{cards::UserCard, comments::CommentOrder},
    stream::work_queue::Task,
    test_world::{Process, World},
};

const EVERYBODY: [&str; 5] = ["ada", "bob", "carol", "dan", "eve"];

/// What ada does.
#[derive(Debug, Clone, Copy)]
enum Action {
    Like,
    Unlike,
    LikeOwn,
    Post,
    Edit,
    DeletePost,
    Comment,
    DeleteComment,
    DeleteCommentOfAnother,
    Follow,
    Unfollow,
    RemoveFollower,
    Mute,
    Unmute,
    Block,
    Unblock,
    Rename,
    PatchProfile,
}

const ACTIONS: [Action; 18] = [
    Action::Like,
    Action::Unlike,
    Action::LikeOwn,
    Action::Post,
    Action::Edit,
    Action::DeletePost,
    Action::Comment,
    Action::DeleteComment,
    Action::DeleteCommentOfAnother,
    Action::Follow,
    Action::Unfollow,
    Action::RemoveFollower,
    Action::Mute,
    Action::Unmute,
    Action::Block,
    Action::Unblock,
    Action::Rename,
    Action::PatchProfile,
];

/// Ada and others have written posts with a tag, and comments. Ada likes one of the posts, follows bob and dan, mutes
/// dan and blocks eve. Carol follows ada.
struct Given {
    world: World,
    of_ada: PostId,
    of_bob: PostId,
    liked: PostId,
    by_ada: CommentId,
    by_carol: CommentId,
}

impl Given {
    async fn new() -> Self {
        let world = World::new();
        let other = &world.other;
        other.join(&EVERYBODY).await;
        let of_ada = other.post("ada", "of ada #one").await;
        let of_bob = other.post("bob", "of bob #one").await;
        let liked = other.post("bob", "of bob, too #two").await;
        for author in ["carol", "dan", "eve"] {
            other.post(author, &format!("of {author} #one")).await;
        }
        for followee in ["bob", "dan"] {
            other.follow("ada", followee).await;
        }
        other.follow("carol", "ada").await;
        other.follow("bob", "ada").await;
        other.done("ada", &MuteUser { muted: user("dan"), wanted: EdgeState::Active }).await;
        other.block("ada", "eve").await;
        react_to_post(&user("ada"), liked, EdgeState::Active, &other.commands, &other.clock).await.unwrap();
        other.projector.repair.settle_likes(liked, &[user("ada")]).await.unwrap();
        let by_ada = other.comment("ada", of_bob, "by ada").await;
        let by_carol = other.comment("carol", of_ada, "by carol").await;
        Self { world, of_ada, of_bob, liked, by_ada, by_carol }
    }

    /// Everything that was sent is projected.
    async fn project(&self) {
        let process = &self.world.other;
        process.catch_up(&EVERYBODY).await;
        loop {
            let tasks = self.world.take_tasks();
            if tasks.is_empty() {
                break;
            }
            for task in tasks {
                match task {
                    Task::EndFollow { follower, followee } => {
                        process.projector.blocked_follows.end(&follower, &followee).await.unwrap();
                    }
                    Task::Walk(walk) => process.projector.walks.advance(walk, RunStep::first()).await.unwrap(),
                    // An inbox was written a moment ago.
                    Task::Notify { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        process.catch_up(&EVERYBODY).await;
    }

    /// All posts trend.
    async fn heat(&self) {
        for (version, post) in [self.of_ada, self.of_bob, self.liked].into_iter().enumerate() {
            let subject = TallySubject::Post(post);
            let heat = 1000 * (i64::try_from(version).unwrap() + 1);
            let image = TallyImage { version: 1, counts: Counts { heat, ..Counts::default() } };
            let change = TallyChange { subject: subject.clone(), shard: TallyShard::default(), image };
            tally::show(&self.world.other.cards, &subject, &[change]).await.unwrap();
        }
    }

    /// The version that ada gets for her command.
    async fn act(&self, action: Action) -> Version {
        use EdgeState::{Active, Ended};
        let other = &self.world.other;
        let react = async |post, wanted| {
            let reacted = react_to_post(&user("ada"), post, wanted, &other.commands, &other.clock).await;
            reacted.unwrap().version
        };
        let (bob, carol) = (|| user("bob"), || user("carol"));
        match action {
            Action::Like => react(self.of_bob, Active).await,
            Action::Unlike => react(self.liked, Ended).await,
            Action::LikeOwn => react(self.of_ada, Active).await,
            Action::Post => {
                other.post("ada", "a new one #one #two").await;
                other.commands.head(&user("ada")).await.unwrap().version
            }
            Action::Edit => other.edit("ada", self.of_ada, "edited #two").await,
            Action::DeletePost => other.delete("ada", self.of_ada).await,
            Action::Comment => {
                let comment = CommentId::new(other.clock.now());
                let text = "another".to_owned().try_into().unwrap();
                other.done("ada", &CommentOnPost { post: self.of_bob, comment, text, key: None }).await
            }
            Action::DeleteComment => {
                other.done("ada", &DeleteComment { post: self.of_bob, comment: self.by_ada }).await
            }
            Action::DeleteCommentOfAnother => {
                other.done("ada", &DeleteComment { post: self.of_ada, comment: self.by_carol }).await
            }
            Action::Follow => other.done("ada", &FollowUser { followee: carol(), wanted: Active }).await,
            Action::Unfollow => other.done("ada", &FollowUser { followee: bob(), wanted: Ended }).await,
            Action::RemoveFollower => other.done("ada", &RemoveFollower { follower: carol() }).await,
            Action::Mute => other.done("ada", &MuteUser { muted: bob(), wanted: Active }).await,
            Action::Unmute => other.done("ada", &MuteUser { muted: user("dan"), wanted: Ended }).await,
            Action::Block => other.done("ada", &BlockUser { blocked: bob(), wanted: Active }).await,
            Action::Unblock => other.done("ada", &BlockUser { blocked: user("eve"), wanted: Ended }).await,
            Action::Rename => other.rename("ada", "ada_2").await,
            Action::PatchProfile => {
                let display_name = Some("Countess".to_owned().try_into().unwrap());
                other.done("ada", &PatchProfile { display_name, ..PatchProfile::default() }).await
            }
        }
    }

    /// What ada can look up by ids: posts, comments, profiles, and lists of people.
    async fn looked_up(&self, process: &Process, min_version: Option<Version>) -> Value {
        let ada = user("ada");
        let request = ReadRequest { viewer: &ada, min_version };
        let (conversations, people) = (process.conversations(), process.people());
        let mut found = Map::new();
        for (name, post) in [("of ada", self.of_ada), ("of bob", self.of_bob), ("liked", self.liked)] {
            let shown = conversations.post(request, post).await;
            found.insert(name.to_owned(), shown.map_or_else(refused, |post| json!(PostView::from(&post))));
            let of = CommentsOf { post, order: CommentOrder::OldestFirst, hidden: HiddenComments::LeaveOut };
            let comments = conversations.comments(request, of, None, 20).await.map_or_else(refused, |page| {
                let view = |entry: &crate::query::CommentWithAuthor| {
                    json!(CommentView::new(&entry.comment, &entry.author.profile))
                };
                page.entries.iter().map(view).collect()
            });
            found.insert(format!("comments on {name}"), comments);
        }
        for (post, comment) in [(self.of_bob, self.by_ada), (self.of_ada, self.by_carol)] {
            let shown = conversations
                .comment(request, post, comment)
                .await
                .map_or_else(refused, |entry| json!(CommentView::new(&entry.comment, &entry.author.profile)));
            found.insert(format!("comment {comment}"), shown);
        }
        for id in EVERYBODY {
            let profile = people.profile(request, &user(id)).await.unwrap();
            let mut shown = json!(OtherProfile::from(&profile));
            if id != "ada" {
                shown["following"].take();
            }
            found.insert(format!("profile of {id}"), shown);
        }
        let own = people.own_profile(&ada).await.unwrap();
        found.insert("me".to_owned(), json!(CountedProfile::new(&own, 0)));
        for side in [Side::Followers, Side::Following, Side::Muted, Side::Blocked] {
            let page = people.people(request, side, &ada, None, 20).await.unwrap();
            found.insert(format!("{side:?}"), page.entries.iter().map(|card| json!(Person::from(card))).collect());
        }
        let persons = |cards: &[UserCard]| cards.iter().map(|card| json!(Person::from(card))).collect();
        found.insert("users".to_owned(), persons(&people.users(request, &EVERYBODY.map(user)).await.unwrap()));
        let likers = process.feeds.likers(request, self.liked, None, 20).await;
        found.insert("likers".to_owned(), likers.map_or_else(refused, |page| persons(&page.entries)));
        let liked = process.feeds.liked(request, None, 20).await.unwrap().entries;
        found.insert("likes".to_owned(), liked.iter().map(|post| json!(PostView::from(post))).collect());
        uncounted(Value::Object(found))
    }

    /// All feeds and notifications, in the order in which they show their posts.
    async fn feeds(&self, process: &Process, min_version: Option<Version>) -> Value {
        let ada = user("ada");
        let request = ReadRequest { viewer: &ada, min_version };
        let feeds = &process.feeds;
        let mut found = Map::new();
        let mut add = |name: &str, posts: Vec<FeedPost>| {
            found.insert(name.to_owned(), posts.iter().map(|post| json!(PostView::from(post))).collect());
        };
        add("home", feeds.home(request, None, 20).await.unwrap().page.entries);
        for ranking in [Ranking::Ranked, Ranking::Personalized] {
            let page = feeds.ranked_home(request, ranking, None, 20).await.unwrap().page;
            add(&format!("{ranking:?}"), page.entries);
        }
        for id in EVERYBODY {
            add(id, feeds.author(request, &user(id), None, 20).await.unwrap().entries);
        }
        for tag in ["one", "two"] {
            add(tag, feeds.tag(request, &tag.parse().unwrap(), None, 20).await.unwrap().entries);
        }
        add("trending", feeds.trending(request, TrendingPosition::default(), 20).await.unwrap().entries);
        let notifications = process.notifications().list(request, None, 20).await.unwrap().page.entries;
        let notifications = notifications.iter().map(|shown| json!(NotificationView::from(shown))).collect();
        found.insert("notifications".to_owned(), notifications);
        uncounted(Value::Object(found))
    }
}

fn refused(error: crate::error::Error) -> Value {
    json!(error.to_string())
}

/// Without the counts that others change, too, and scores that depend on them.
fn uncounted(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            let is_count = |name: &str| ["likes", "comments", "followers"].contains(&name);
            members.retain(|name, value| !(is_count(name) && value.is_number()) && name != "explain");
            members.values_mut().for_each(|value| *value = uncounted(value.take()));
        }
        Value::Array(entries) => entries.iter_mut().for_each(|value| *value = uncounted(value.take())),
        _ => {}
    }
    value
}

fn differences(asked: &Value, projected: &Value) -> Vec<String> {
    let (Some(asked), Some(projected)) = (asked.as_object(), projected.as_object()) else { panic!("no objects") };
    let differs = |(name, value): (&String, &Value)| {
        (projected.get(name) != Some(value)).then(|| format!("{name}: {value}, later {:?}", projected.get(name)))
    };
    asked.iter().filter_map(differs).collect()
}

#[tokio::test(start_paused = true)]
async fn every_member_of_every_response_shows_the_callers_command_at_its_version() {
    for action in ACTIONS {
        let given = Given::new().await;
        given.project().await;
        given.heat().await;
        let tested = &given.world.tested;
        let before = (given.looked_up(tested, None).await, given.feeds(tested, None).await);

        let version = Some(given.act(action).await);
        let asked = (given.looked_up(tested, version).await, given.feeds(tested, version).await);
        given.project().await;
        let other = &given.world.other;
        let projected = (given.looked_up(other, None).await, given.feeds(other, None).await);

        assert_ne!(asked, before, "{action:?} shows nowhere");
        assert_eq!(differences(&asked.0, &projected.0), [""; 0], "{action:?}");
        assert_eq!(differences(&asked.1, &projected.1), [""; 0], "{action:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_looked_up_shows_the_callers_command_although_nothing_at_all_is_projected() {
    for action in ACTIONS {
        let given = Given::new().await;
        let tested = &given.world.tested;

        let version = Some(given.act(action).await);
        let asked = given.looked_up(tested, version).await;
        given.project().await;
        let projected = given.looked_up(&given.world.other, None).await;

        assert_eq!(differences(&asked, &projected), [""; 0], "{action:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_that_no_projection_has_reached_shows_that_the_caller_likes_it() {
    let given = Given::new().await;
    let ada = user("ada");
    let shown = async |min_version| {
        let (request, conversations) = (ReadRequest { viewer: &ada, min_version }, given.world.tested.conversations());
        let own = conversations.post(request, given.of_ada).await.unwrap();
        let others = conversations.post(request, given.of_bob).await.unwrap();
        [own.liked, others.liked]
    };
    assert_eq!(shown(None).await, [false, false]);
    given.act(Action::LikeOwn).await;
    let version = given.act(Action::Like).await;
    assert_eq!(shown(Some(version)).await, [true, true]);
    assert_eq!(shown(None).await, [true, true]);
}
