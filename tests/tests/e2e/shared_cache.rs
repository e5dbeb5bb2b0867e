//! The shared cache with real processes and a real server. On a machine without a server, the test of costs says that
//! it is skipped; `.ci/run` installs one.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use harness::{
    client::{Answer, User},
    costs::Cost,
    deployment::Deployment,
    process::kill_now,
    stack::{Options, Stack, has_cache_server},
    wait::{DEADLINE, eventually, persist},
};
use reqwest::Method;

use crate::home_becomes;

/// Read units of a page at most, from the second reader of the same posts on.
const UNITS_MAX: f64 = 3.0;
/// Readers who ask at once, so that each meets a process of its own.
const READERS: usize = 8;

/// A stack with this cache.
async fn own_stack(test: &str, cache: bool, url: Option<&str>) -> Result<Option<(Stack, Deployment)>> {
    if !Deployment::starts_stacks(test) {
        return Ok(None);
    }
    let parameters = [("CelebrityFollowers", "100"), ("CelebrityListSeconds", "1"), ("ShowCosts", "true")];
    let parameters = parameters.into_iter().chain(url.map(|url| ("CacheUrl", url)));
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let options = Options { parameters, cache, check_access: true, ..Options::default() };
    let stack = tokio::task::spawn_blocking(|| Stack::start(options)).await??;
    let deployment = Deployment::at(stack.url())?;
    Ok(Some((stack, deployment)))
}

/// Readers who follow the same authors, and the posts of these, newest first. Everything is applied.
async fn readers_of_the_same_posts(deployment: &Deployment) -> Result<(Vec<User>, User, Vec<String>)> {
    let readers = try_join_all((0..READERS).map(|_| deployment.member("reader"))).await?;
    let authors = try_join_all((0..4).map(|_| deployment.member("author"))).await?;
    let mut posts = Vec::new();
    for author in &authors {
        try_join_all(readers.iter().map(|reader| persist(DEADLINE, |_| {}, || reader.follow(&author.id)))).await?;
        for number in 0..6 {
            posts.push(author.post(&format!("post {number}, {}", "word ".repeat(16)), None).await?.value.id);
        }
    }
    posts.sort_by(|a, b| b.cmp(a));
    let ids: Vec<_> = posts.iter().map(String::as_str).collect();
    for reader in &readers {
        home_becomes(reader, &ids).await?;
    }
    Ok((readers, authors.into_iter().next().context("no author")?, posts))
}

async fn page(reader: &User) -> Result<Cost> {
    let answer = Answer::to(reader.request(Method::GET, "/v1/feeds/home")).await?;
    ensure!(answer.status.is_success(), "{}: {} {}", answer.request, answer.status, answer.body);
    Cost::of(&answer)?.context("no cost")
}

async fn processes(deployment: &Deployment) -> Result<BTreeSet<u32>> {
    let status = deployment.dev().status().await?;
    Ok(status.processes.iter().filter(|process| process.function == "GetFeed").map(|process| process.pid).collect())
}

#[tokio::test]
async fn pages_of_cold_processes_cost_at_most_three_units_from_the_second_reader_on() -> Result<()> {
    if !has_cache_server() {
        eprintln!("skipped: there is neither valkey-server nor redis-server");
        return Ok(());
    }
    let Some((_stack, deployment)) = own_stack("cold processes", true, None).await? else { return Ok(()) };
    let (readers, author, posts) = readers_of_the_same_posts(&deployment).await?;
    let first = page(&readers[0]).await?;
    // A page does not wait for the cache for longer than 20 ms, and a busy machine may leave a process no time for it.
    for reader in &readers {
        eventually("a cold process serves a cheap page", async || {
            let old = processes(&deployment).await?;
            old.iter().try_for_each(|pid| kill_now(*pid))?;
            eventually("the processes are gone", async || {
                ensure!(processes(&deployment).await?.is_disjoint(&old), "some are still there");
                Ok(())
            })
            .await?;
            let cost = page(reader).await?;
            ensure!(cost.read_units <= UNITS_MAX, "{cost:?}, after a first page of {first:?}");
            Ok(())
        })
        .await?;
    }
    eventually("all pages are cheap, of several processes at once", async || {
        let costs = try_join_all(readers.iter().map(page)).await?;
        let dear = costs.iter().find(|cost| cost.read_units > UNITS_MAX);
        ensure!(dear.is_none(), "{dear:?}, after a first page of {first:?}");
        ensure!(processes(&deployment).await?.len() > READERS / 2, "too few processes answered");
        Ok(())
    })
    .await?;

    // What changes is shown everywhere, also where it comes from the cache.
    let edited = author.edit_post(posts.last().context("no posts")?, "edited").await?.value;
    author.delete_post(&posts[posts.len() - 2]).await?;
    let expected: Vec<_> = posts.iter().map(String::as_str).filter(|id| *id != posts[posts.len() - 2]).collect();
    for reader in &readers {
        let shown = home_becomes(reader, &expected).await?;
        eventually("the new text", async || {
            let page = reader.home(100, None).await?.posts;
            ensure!(page.iter().any(|post| post.id == edited.id && post.text == "edited"), "not yet: {shown:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn without_an_answer_of_the_cache_pages_are_the_same() -> Result<()> {
    // Nobody listens there, and connections are refused at once.
    let nowhere = Some("redis://127.0.0.1:1");
    let Some((_stack, deployment)) = own_stack("a cache that is down", false, nowhere).await? else { return Ok(()) };
    let (readers, author, posts) = readers_of_the_same_posts(&deployment).await?;
    author.delete_post(posts.last().context("no posts")?).await?;
    let expected: Vec<_> = posts.iter().take(posts.len() - 1).map(String::as_str).collect();
    for reader in &readers {
        home_becomes(reader, &expected).await?;
    }
    let failures = deployment.dev().metric("SharedCacheFailures").await?;
    assert!(failures > 0.0, "the cache is not asked at all");
    Ok(())
}
