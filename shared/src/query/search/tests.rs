use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::TestRunner};

use super::*;
use crate::{
    command::{EditPost, ModeratePost, ModerateUser, Moderation, MuteUser},
    model::{
        EdgeState, PostId, Version,
        search::{NameQuery, PostQuery},
    },
    query::{FeedPost, ReadRequest},
    samples::user,
    test_world::World,
};

fn world() -> World {
    World::with(&[("SEARCH_DAYS", 30)])
}

fn parse(query: &str) -> PostQuery {
    PostQuery::parse(query).unwrap()
}

fn request<'a>(viewer: &'a crate::model::UserId) -> ReadRequest<'a> {
    ReadRequest { viewer, min_version: None }
}

fn ids(posts: &[FeedPost]) -> Vec<PostId> {
    posts.iter().map(|post| post.card.post).collect()
}

/// All posts that the viewer finds, page by page.
async fn walk(search: &Search, viewer: &str, query: &str, limit: usize) -> Vec<PostId> {
    let (viewer, query) = (user(viewer), parse(query));
    let (mut found, mut before) = (Vec::new(), None);
    for _ in 0..1000 {
        let page = search.newest(request(&viewer), &query, before, limit).await.unwrap();
        assert!(page.entries.len() <= limit);
        found.extend(ids(&page.entries));
        let Some(next) = page.next else { return found };
        assert!(before.is_none_or(|before| next < before), "a page goes on");
        before = Some(next);
    }
    panic!("a walk does not end");
}

async fn found(world: &World, viewer: &str, query: &str) -> Vec<PostId> {
    walk(&world.other.search(), viewer, query, 20).await
}

/// Texts of few different words, so that queries find many combinations.
fn any_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => Just("a"), 2 => Just("the"), 3 => Just("Rust"), 2 => Just("crème"), 1 => Just("CREME"), 1 => Just("#rust"),
        2 => Just("東京都"), 1 => Just("京都"), 1 => Just("🎉"), 1 => Just("don’t"), 1 => Just("x-y"), 1 => Just("rare"),
    ];
    proptest::collection::vec(word, 1..8).prop_map(|words| words.join(" "))
}

fn any_query() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => any_text().prop_map(|text| text.split(' ').next().unwrap_or("a").to_owned()),
        1 => any_text().prop_map(|text| format!("\"{text}\"")),
        1 => any_text().prop_map(|text| format!("-{}", text.split(' ').next().unwrap_or("a"))),
        1 => Just("from:@ada".to_owned()),
        1 => Just("-from:bob".to_owned()),
    ];
    proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join(" "))
}

#[tokio::test(start_paused = true)]
async fn searches_find_what_a_look_at_every_text_finds() {
    let world = world();
    let it = &world.other;
    it.join(&["ada", "bob"]).await;
    let mut runner = TestRunner::deterministic();
    let mut generate = |strategy: &BoxedStrategy<String>| strategy.new_tree(&mut runner).unwrap().current();
    let (texts, queries) = (any_text().boxed(), any_query().boxed());
    let mut truth = BTreeMap::new();
    for number in 0..400 {
        let author = if number % 3 == 0 { "ada" } else { "bob" };
        let text = generate(&texts);
        truth.insert(it.post(author, &text).await, (author, text));
    }
    for (post, (author, text)) in truth.iter_mut().step_by(7) {
        *text = generate(&texts);
        it.done(author, &EditPost { post: *post, text: text.clone().try_into().unwrap() }).await;
    }
    it.catch_up(&["ada", "bob"]).await;
    let search = it.search();
    for round in 0..150 {
        let spelling = generate(&queries);
        let Ok(query) = PostQuery::parse(&spelling) else { continue };
        let matches = |(author, text): &(&str, String)| {
            let tags = crate::model::Text::try_from(text.clone()).unwrap().tags();
            let is_of = |handle: &crate::model::Handle| handle.as_str() == *author;
            query.matches(text, &tags) && query.from.iter().all(is_of) && !query.not_from.iter().any(is_of)
        };
        let expected: Vec<_> = truth.iter().rev().filter(|(_, post)| matches(post)).map(|(post, _)| *post).collect();
        assert_eq!(walk(&search, "bob", &spelling, [3, 20, 100][round % 3]).await, expected, "{spelling}");
    }
}

#[tokio::test(start_paused = true)]
async fn hidden_posts_are_not_found() {
    let world = world();
    let it = &world.other;
    let all = ["ada", "bob", "muted", "blocked", "blocker", "suspended"];
    it.join(&all).await;
    let mut posts = Vec::new();
    for author in all {
        posts.push(it.post(author, "hello").await);
    }
    let (gone, down) = (it.post("bob", "hello gone").await, it.post("bob", "hello down").await);
    it.delete("bob", gone).await;
    it.done("bob", &ModeratePost { post: down, wanted: Moderation::Withdrawn }).await;
    it.done("ada", &MuteUser { muted: user("muted"), wanted: EdgeState::Active }).await;
    it.block("ada", "blocked").await;
    it.block("blocker", "ada").await;
    it.done("suspended", &ModerateUser { wanted: Moderation::Withdrawn }).await;
    it.catch_up(&all).await;
    assert_eq!(found(&world, "ada", "hello").await, [posts[1], posts[0]]);
    assert_eq!(found(&world, "bob", "hello down").await, [down], "the author sees it");
    assert_eq!(found(&world, "ada", "from:muted").await, [posts[2]], "who is named is looked up");
    assert_eq!(found(&world, "ada", "from:blocked").await, []);
    assert_eq!(found(&world, "ada", "hello from:nobody").await, []);
    assert_eq!(found(&world, "suspended", "hello from:suspended").await, [posts[5]]);
}

#[tokio::test(start_paused = true)]
async fn own_writes_are_found_before_they_are_indexed() {
    let world = world();
    let it = &world.other;
    it.join(&["ada"]).await;
    let edited = it.post("ada", "hello old").await;
    it.catch_up(&["ada"]).await;
    let new = it.post("ada", "hello new").await;
    let version = it.edit("ada", edited, "hello again").await;
    let viewer = user("ada");
    let find = async |query: &str, min_version: Option<Version>| {
        let request = ReadRequest { viewer: &viewer, min_version };
        ids(&it.search().newest(request, &parse(query), None, 20).await.unwrap().entries)
    };
    assert_eq!(find("hello", Some(version)).await, [new, edited]);
    assert_eq!(find("again", Some(version)).await, [edited]);
    assert_eq!(find("old", Some(version)).await, []);
    assert_eq!((find("new", None).await, find("old", None).await), (vec![], vec![edited]));
}

#[tokio::test(start_paused = true)]
async fn old_posts_are_not_found() {
    let world = world();
    let it = &world.other;
    it.join(&["ada"]).await;
    let old = it.post("ada", "hello").await;
    world.pass(Duration::from_secs(29 * 24 * 60 * 60));
    let new = it.post("ada", "hello").await;
    it.catch_up(&["ada"]).await;
    assert_eq!(found(&world, "ada", "hello").await, [new, old]);
    world.pass(Duration::from_secs(2 * 24 * 60 * 60));
    assert_eq!(found(&world, "ada", "hello").await, [new]);
    assert_eq!(found(&world, "ada", "from:ada").await, [new]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_has_looked_at_enough_is_short_and_goes_on() {
    let world = world();
    let it = &world.other;
    it.join(&["ada"]).await;
    let first = it.post("ada", "one two").await;
    for _ in 0..400 {
        it.post("ada", "two one").await;
    }
    it.catch_up(&["ada"]).await;
    let (viewer, search) = (user("ada"), it.search());
    let page = search.newest(request(&viewer), &parse("\"one two\""), None, 20).await.unwrap();
    assert!(page.entries.is_empty() && page.next.is_some());
    assert_eq!(found(&world, "ada", "\"one two\"").await, [first]);

    let query = parse("\"one two\"");
    let page = search.top(request(&viewer), &query, None, 20).await.unwrap();
    assert!(page.entries.is_empty() && page.next.is_some());
    let page = search.top(request(&viewer), &query, page.next, 20).await.unwrap();
    assert_eq!(page.entries.iter().map(|post| post.card.post).collect::<Vec<_>>(), [first]);
    assert_eq!(page.next, None);
}

#[tokio::test(start_paused = true)]
async fn the_best_of_the_newest_come_first_and_each_once() {
    let world = world();
    let it = &world.other;
    it.join(&["ada", "bob"]).await;
    let mut all = Vec::new();
    for number in 0..70 {
        all.push(it.post(if number % 2 == 0 { "ada" } else { "bob" }, "hello").await);
        world.pass(Duration::from_secs(60));
    }
    it.catch_up(&["ada", "bob"]).await;
    let (viewer, search, query) = (user("ada"), it.search(), parse("hello"));
    let (mut found, mut position) = (Vec::new(), None);
    for _ in 0..10 {
        let page = search.top(request(&viewer), &query, position, 25).await.unwrap();
        found.extend(page.entries);
        position = page.next;
        if position.is_none() {
            break;
        }
    }
    let scores: Vec<_> = found.iter().map(|post| post.explanation.unwrap().score).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.len() == 60);
    let mut shown = ids(&found);
    shown.sort_unstable();
    assert_eq!(shown, all[10..]);
}

#[tokio::test(start_paused = true)]
async fn users_are_found_by_their_names_unless_there_is_a_block() {
    let world = world();
    let it = &world.other;
    let all = ["adam", "adamant", "bob", "blocked", "blocker", "muted"];
    it.join(&all).await;
    it.done("bob", &MuteUser { muted: user("muted"), wanted: EdgeState::Active }).await;
    it.block("bob", "blocked").await;
    it.block("blocker", "bob").await;
    it.catch_up(&all).await;
    let (viewer, search) = (user("bob"), it.search());
    let find = async |query: &str, limit: usize| {
        let query = NameQuery::parse(query).unwrap();
        let (mut found, mut position) = (Vec::new(), None);
        for _ in 0..20 {
            let page = search.users(request(&viewer), &query, position, limit).await.unwrap();
            found.extend(page.entries.into_iter().map(|card| card.user.to_string()));
            position = page.next;
            if position.is_none() {
                break;
            }
        }
        found
    };
    assert_eq!(find("ADA", 1).await, ["adam", "adamant"]);
    assert_eq!(find("adaman", 5).await, ["adamant"]);
    assert_eq!(find("name ada", 5).await, ["adam", "adamant"], "all are called A Name");
    assert_eq!(find("block", 5).await, Vec::<String>::new());
    assert_eq!(find("@mut", 5).await, ["muted"]);
    let version = it.rename("bob", "roberta").await;
    let request = ReadRequest { viewer: &viewer, min_version: Some(version) };
    let query = NameQuery::parse("n").unwrap();
    let page = search.users(request, &query, None, 1).await.unwrap();
    assert_eq!((page.entries[0].profile.handle.as_str(), page.entries.len()), ("roberta", 1));
    let page = search.users(request, &query, page.next, 9).await.unwrap();
    let others: Vec<_> = page.entries.iter().map(|card| card.user.as_str()).collect();
    assert_eq!((others, page.next), (vec!["adam", "adamant", "muted"], None));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_without_search_says_so() {
    let world = World::new();
    world.other.join(&["ada"]).await;
    let viewer = user("ada");
    let answer = world.other.search().newest(request(&viewer), &parse("hello"), None, 20).await;
    assert!(matches!(answer, Err(Error::Rejected(Rejection::SearchOff))));
}

#[tokio::test(start_paused = true)]
async fn lists_of_frequent_words_are_left_out() {
    let world = world();
    let it = &world.other;
    it.join(&["ada"]).await;
    for number in 0..300 {
        it.post("ada", if number % 100 == 0 { "the common rare" } else { "the common" }).await;
    }
    it.catch_up(&["ada"]).await;
    let (viewer, search) = (user("ada"), world.tested.search());
    let reads = async |query: &str| {
        let before = world.network.calls().len();
        let page = search.newest(request(&viewer), &parse(query), None, 20).await.unwrap();
        let calls = &world.network.calls()[before..];
        let queries = calls.iter().filter(|call| call.operation == "Query" && call.body.contains("WORD#"));
        (page.entries.len(), queries.count())
    };
    assert_eq!(reads("the common rare").await, (3, 2), "one read of each word that is not frequent");
    assert_eq!(reads("rare").await, (3, 1));
    assert_eq!(reads("the").await.0, 20, "eight shards");
}
