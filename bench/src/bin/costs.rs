//! Prints what every route costs in DynamoDB calls and capacity units, as a Markdown table for `docs/costs.md`. The
//! table has the highest cost of several requests. The stack must run with `ShowCosts`; a stack that this program
//! starts does. It says which figures differ from those of `admin/units.json`, with which `admin plan` calculates.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use bench::target::{self, Target};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use harness::{
    client::{Answer, ProfileInput, User, post_path, user_path},
    costs::Cost,
    deployment::{unique, unique_handle},
    wait::ALL_AGREE_AFTER,
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// The figures of the plan.
const PLANNED: &str = include_str!("../../../admin/units.json");
/// A request with this prefix is measured right after the request before it, with what that one cached.
const CACHED: &str = "the same";
/// How long to wait until the stack is idle.
const SETTLE: Duration = Duration::from_secs(900);
/// How many authors the reader follows.
const AUTHORS: usize = 60;
/// How many posts each author has.
const POSTS: usize = 6;
/// How many requests of each kind are measured.
const TIMES: usize = 3;

#[derive(Debug, Parser)]
#[command(about, long_about = None)]
struct Arguments {
    #[command(flatten)]
    target: target::Arguments,
}

/// The measurements in the order of the table.
#[derive(Debug, Default)]
struct Table(Vec<(String, Cost)>);

impl Table {
    /// Sends a request, which must succeed, and adds its cost to the table.
    async fn measure(&mut self, name: &str, request: RequestBuilder) -> Result<Answer> {
        let answer = Answer::to(request).await?;
        ensure!(answer.status.is_success(), "{}: {} {}", answer.request, answer.status, answer.body);
        let cost = Cost::of(&answer)?.context("no Tidings-Cost: deploy with ShowCosts=true")?;
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, worst)) => *worst = worst.max(cost),
            None => self.0.push((name.to_owned(), cost)),
        }
        Ok(answer)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { target } = Arguments::parse();
    let target = Target::start(target.with_parameter("ShowCosts", "true"))?;
    let people: Vec<User> = target.register(AUTHORS + 1).await?.into_iter().map(|(user, _)| user).collect();
    let (reader, authors) = people.split_first().context("nobody")?;
    let tag = unique();
    let write = async |author: &User| {
        reader.follow(&author.id).await?;
        let mut posts = Vec::new();
        for number in 0..POSTS {
            let text = format!("post {number}, as long as posts are: {} #{tag}", "word ".repeat(16));
            posts.push(author.post(&text, None).await?.value.id);
        }
        reader.like(&posts[0]).await?;
        reader.comment(&posts[1], "a comment", None).await?;
        anyhow::Ok(posts)
    };
    // The reader's commands change one log, so not too many at once.
    let posts: Vec<_> = stream::iter(authors).map(write).buffered(8).try_collect().await?;
    let posts = posts.concat();
    target.deployment.dev().settle(SETTLE).await?;

    let mut table = Table::default();
    for number in 0..TIMES {
        commands(&mut table, reader, &authors[number], &posts[number]).await?;
    }
    target.deployment.dev().settle(SETTLE).await?;
    for number in 0..TIMES {
        pages(&mut table, reader, &authors[AUTHORS - 1 - number], &posts[POSTS * 20 + number], &tag).await?;
        let several = &posts[POSTS * 30 + 20 * number..][..20];
        frequent(&mut table, reader, &authors[AUTHORS - 1 - number], several).await?;
    }
    println!("| route | round trips | calls | read units | write units |\n|---|--:|--:|--:|--:|");
    let planned = planned()?;
    for (name, Cost { round_trips, calls, read_units, write_units }) in table.0 {
        let row = format!("| {name} | {round_trips} | {calls} | {read_units} | {write_units} |");
        println!("{row}");
        match planned.get(&name) {
            Some(planned) if *planned == row => {}
            Some(planned) => eprintln!("admin/units.json has {planned}"),
            None => eprintln!("admin/units.json has no {name}"),
        }
    }
    Ok(())
}

/// The rows of the table that the plan calculates with, by route.
fn planned() -> Result<BTreeMap<String, String>> {
    let file: Value = serde_json::from_str(PLANNED)?;
    let row = |it: &Value| {
        let name = it["route"].as_str().context("a route without a name")?.to_owned();
        let cells = ["round_trips", "calls", "read_units", "write_units"].map(|cell| it[cell].to_string());
        Ok((name.clone(), format!("| {name} | {} |", cells.join(" | "))))
    };
    file["routes"].as_array().context("no routes")?.iter().map(row).collect()
}

async fn commands(table: &mut Table, user: &User, author: &User, post: &str) -> Result<()> {
    let text = json!({ "text": format!("a text, as long as posts are: {} #one #two", "word ".repeat(16)) });
    let profile = ProfileInput { handle: unique_handle(), display_name: "Ada".to_owned(), avatar_url: None };
    table.measure("`PUT /v1/me`", user.request(Method::PUT, "/v1/me").json(&profile)).await?;
    let patch = json!({ "display_name": format!("Ada {}", unique()) });
    table.measure("`PATCH /v1/me`", user.request(Method::PATCH, "/v1/me").json(&patch)).await?;
    let request = user.request(Method::POST, "/v1/posts").json(&text).header("idempotency-key", unique());
    let answer = table.measure("`POST /v1/posts` with a key", request).await?;
    let own = answer.json::<harness::client::Post>()?.id;
    let edited = json!({ "text": "something else #three" });
    table.measure("`PATCH /v1/posts/{post}`", user.request(Method::PATCH, &post_path(&own, "")).json(&edited)).await?;
    table.measure("`DELETE /v1/posts/{post}`", user.request(Method::DELETE, &post_path(&own, ""))).await?;
    for method in [Method::DELETE, Method::PUT] {
        let path = user_path(&author.id, "/follow");
        table.measure("`PUT`, `DELETE /v1/users/{user}/follow`", user.request(method, &path)).await?;
    }
    for method in [Method::PUT, Method::DELETE] {
        table.measure("`PUT`, `DELETE …/like`", author.request(method, &post_path(post, "/like"))).await?;
    }
    let path = post_path(post, "/comments");
    let request = user.request(Method::POST, &path).json(&text).header("idempotency-key", unique());
    let comment = table.measure("`POST …/comments` with a key", request).await?.json::<harness::client::Comment>()?.id;
    let of_comment = user.request(Method::GET, &format!("{path}/{comment}"));
    table.measure("`GET …/comments/{comment}`", of_comment).await?;
    table.measure("`DELETE …/comments/{comment}`", user.request(Method::DELETE, &format!("{path}/{comment}"))).await?;
    Ok(())
}

async fn pages(table: &mut Table, user: &User, author: &User, post: &str, tag: &str) -> Result<()> {
    for (name, path) in [
        ("`GET /v1/me`", "/v1/me".to_owned()),
        ("`GET /v1/users/{user}`", user_path(&author.id, "")),
        ("`GET …/followers`, 20", user_path(&author.id, "/followers")),
        ("`GET …/following`, 20", user_path(&user.id, "/following")),
        ("`GET …/posts`, an author's", user_path(&author.id, "/posts")),
        ("`GET /v1/posts/{post}`", post_path(post, "")),
        ("`GET …/comments`", post_path(post, "/comments")),
        ("`GET /v1/feeds/home`, 20 posts", "/v1/feeds/home".to_owned()),
        ("the same, cards cached", "/v1/feeds/home".to_owned()),
        ("`GET /v1/feeds/home`, 100 posts", "/v1/feeds/home?limit=100".to_owned()),
        ("`…?order=ranked`, 20 posts", "/v1/feeds/home?order=ranked".to_owned()),
        ("`…?order=personalized`, 20 posts", "/v1/feeds/home?order=personalized".to_owned()),
        ("`GET /v1/feeds/trending`, 20 posts", "/v1/feeds/trending".to_owned()),
        ("the same, cards and what trends cached", "/v1/feeds/trending".to_owned()),
        ("`GET /v1/tags/{tag}/posts`, 20 posts", format!("/v1/tags/{tag}/posts")),
    ] {
        if !name.starts_with(CACHED) {
            // Nothing is cached any more.
            tokio::time::sleep(ALL_AGREE_AFTER).await;
        }
        table.measure(name, user.request(Method::GET, &path)).await?;
    }
    Ok(())
}

/// What clients ask often: several items at once, and whether something is new.
async fn frequent(table: &mut Table, user: &User, author: &User, posts: &[String]) -> Result<()> {
    let mark = user.home(20, None).await?.newest;
    let page = author.notifications(20, None).await?;
    let of_groups = format!("`GET /v1/me/notifications`, {} groups", page.notifications.len());
    let people: Vec<_> = user.followed_by(&user.id, 20, None).await?.users.into_iter().map(|it| it.id).collect();
    tokio::time::sleep(ALL_AGREE_AFTER).await;
    for (name, asks, path, query) in [
        ("`…?newer_than=…`, nothing new", user, "/v1/feeds/home", ("newer_than", mark)),
        ("`GET /v1/posts?ids=…`, 20", user, "/v1/posts", ("ids", posts.join(","))),
        ("`GET /v1/users?ids=…`, 20", user, "/v1/users", ("ids", people.join(","))),
        ("`GET /v1/me/likes`, 20", user, "/v1/me/likes", ("limit", "20".to_owned())),
        (of_groups.as_str(), author, "/v1/me/notifications", ("limit", "20".to_owned())),
    ] {
        table.measure(name, asks.request(Method::GET, path).query(&[query])).await?;
    }
    table.measure("`GET …/likes`, of a post, 20", user.request(Method::GET, &post_path(&posts[0], "/likes"))).await?;
    let at = page.notifications.first().context("no notifications")?.at.clone();
    let seen = author.request(Method::PUT, "/v1/me/notifications/seen").json(&json!({ "up_to": at }));
    table.measure("`PUT /v1/me/notifications/seen`", seen).await?;
    table.measure("`GET /v1/me`, nothing unread", author.request(Method::GET, "/v1/me")).await?;
    let off = author.request(Method::PUT, "/v1/me/notifications/off/follow");
    table.measure("`PUT`, `DELETE /v1/me/notifications/off/{kind}`", off).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_plan_has_rows_of_the_table() {
        let planned = planned().unwrap();
        let table = include_str!("../../../docs/costs.md");
        assert!(table.contains(&planned["`PUT`, `DELETE …/like`"]), "docs/costs.md has other figures than the plan");
    }
}
