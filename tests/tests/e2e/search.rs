//! Searches for posts and users. What depends on order and chance is tested in `simulation`.

use anyhow::{Result, ensure};
use harness::{
    client::{Answer, Post, User},
    deployment::{Deployment, unique},
    wait::eventually,
};
use reqwest::{Method, RequestBuilder};

use crate::refused;

fn get<'a>(user: &User, what: &str, query: impl IntoIterator<Item = (&'a str, &'a str)>) -> RequestBuilder {
    user.request(Method::GET, &format!("/v1/search/{what}")).query(&query.into_iter().collect::<Vec<_>>())
}

fn ids(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.id.as_str()).collect()
}

/// Waits until the user finds exactly these posts, in this order.
async fn found(user: &User, query: &str, expected: &[&str]) -> Result<()> {
    eventually("the search finds what it should", async || {
        let posts = user.walk_search(query, "newest", 2).await?;
        ensure!(ids(&posts) == expected, "{query}: {:?}, not {expected:?}", ids(&posts));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn posts_are_found_by_words_phrases_tags_and_authors() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let own = unique();
    let first = ada.post(&format!("{own} Crème Brûlée and coffee"), None).await?.value.id;
    let second = bob.post(&format!("{own} coffee and crème #Dessert 🎉"), None).await?.value.id;
    let third = ada.post(&format!("{own} 東京都に行く"), None).await?.value.id;
    found(&bob, &own, &[&third, &second, &first]).await?;
    found(&bob, &format!("{own} COFFEE creme"), &[&second, &first]).await?;
    found(&bob, &format!("{own} \"creme brulee\""), &[&first]).await?;
    found(&bob, &format!("{own} -coffee"), &[&third]).await?;
    found(&bob, &format!("{own} #dessert"), &[&second]).await?;
    found(&bob, &format!("{own} 🎉"), &[&second]).await?;
    found(&bob, &format!("{own} 京都"), &[&third]).await?;
    let handle = ada.profile().await?.profile().handle;
    found(&bob, &format!("{own} from:@{handle}"), &[&third, &first]).await?;
    found(&bob, &format!("{own} -from:{handle}"), &[&second]).await?;
    found(&bob, &format!("{own} from:@nobody_{}", &unique()[..8]), &[]).await?;

    // Edits and deletions.
    ada.edit_post(&first, &format!("{own} tea")).await?;
    found(&bob, &format!("{own} coffee"), &[&second]).await?;
    found(&bob, &format!("{own} tea"), &[&first]).await?;
    ada.delete_post(&third).await?;
    found(&bob, &own, &[&second, &first]).await?;

    let best = bob.search(&own, "top", 1, None).await?;
    ensure!(best.posts.len() == 1 && best.next_cursor.is_some() && best.posts[0].explain.is_some(), "{best:?}");
    ensure!(bob.walk_search(&own, "top", 1).await?.len() == 2, "each once");
    Ok(())
}

#[tokio::test]
async fn nobody_finds_whom_a_block_hides_and_own_posts_are_found_at_once() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let own = unique();
    let post = ada.post(&format!("{own} hello"), None).await?;
    let exact = ada.at_least(post.version);
    ensure!(ids(&exact.walk_search(&format!("{own} hello"), "newest", 5).await?) == [post.value.id.as_str()]);
    found(&bob, &own, &[&post.value.id]).await?;
    let handle = ada.profile().await?.profile().handle;
    eventually("ada is found", async || {
        let people = bob.walk_search_users(&handle[..handle.len() - 1], 5).await?;
        ensure!(people.iter().any(|person| person.id == ada.id), "{people:?}");
        Ok(())
    })
    .await?;
    let blocked = bob.block(&ada.id).await?.version;
    let bob = bob.at_least(blocked);
    ensure!(bob.walk_search(&own, "newest", 5).await?.is_empty(), "a post of a blocked author");
    ensure!(bob.walk_search_users(&handle, 5).await?.iter().all(|person| person.id != ada.id), "a blocked user");
    Ok(())
}

#[tokio::test]
async fn a_cursor_belongs_to_its_query() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let own = unique();
    for number in 0..3 {
        ada.post(&format!("{own} {number}"), None).await?;
    }
    eventually("the posts are found", async || {
        ensure!(ada.walk_search(&own, "newest", 2).await?.len() == 3);
        Ok(())
    })
    .await?;
    let page = ada.search(&own, "newest", 2, None).await?;
    let cursor = page.next_cursor.as_deref().unwrap_or_default();
    let other = format!("{own} 1");
    for query in [[("q", other.as_str()), ("cursor", cursor)], [("q", own.as_str()), ("cursor", "x")]] {
        refused(get(&ada, "posts", query), 400, "invalid_cursor").await?;
    }
    refused(get(&ada, "posts", [("q", own.as_str()), ("cursor", cursor), ("order", "top")]), 400, "invalid_cursor")
        .await?;
    refused(get(&ada, "users", [("q", own.as_str()), ("cursor", cursor)]), 400, "invalid_cursor").await
}

#[tokio::test]
async fn queries_that_cannot_be_answered_are_refused() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    refused(ada.request(Method::GET, "/v1/search/posts"), 400, "query_missing").await?;
    let long = "word ".repeat(1400);
    for (query, code) in [
        ("", "query_missing"),
        (" \n", "query_missing"),
        ("!!! …", "query_missing"),
        (long.as_str(), "query_too_long"),
        (&"a ".repeat(17), "query_too_long"),
        ("-word", "query_only_negative"),
        ("-from:ada -#tag", "query_only_negative"),
        ("lang:en word", "unknown_operator"),
        ("\"word", "invalid_query"),
        ("from:@a", "invalid_query"),
        ("from:ada from:bob", "invalid_query"),
    ] {
        refused(get(&ada, "posts", [("q", query)]), 400, code).await?;
    }
    for (query, code) in [("", "query_missing"), ("@", "query_missing"), (long.as_str(), "query_too_long")] {
        refused(get(&ada, "users", [("q", query)]), 400, code).await?;
    }
    refused(get(&ada, "posts", [("q", "a"), ("order", "oldest")]), 400, "unknown_order").await?;
    refused(get(&ada, "posts", [("q", "a"), ("limit", "0")]), 400, "invalid_limit").await?;
    refused(get(&ada, "posts", [("q", "a"), ("explain", "1")]), 400, "invalid_explain").await?;
    // Nothing that a user may write is an error of the server.
    for query in
        ["\u{202e}a", "a\u{0}b", "%", "#", "##a", "from", "🏴\u{e0067}\u{e007f}", "a\u{301}\u{302}", "\"\"\"a\""]
    {
        let answer = Answer::to(get(&ada, "posts", [("q", query)])).await?;
        ensure!([200, 400].contains(&answer.status.as_u16()), "{query:?}: {} {}", answer.status, answer.body);
    }
    Ok(())
}
