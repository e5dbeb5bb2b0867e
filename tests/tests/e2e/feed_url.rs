//! The second address of feeds, where a ticket stands for the caller.

use anyhow::{Context, Result, ensure};
use harness::{
    client::{Answer, ApiError, FeedTicket, Post, User},
    deployment::Deployment,
};
use reqwest::{Client, Method, StatusCode, header::HeaderMap};
use serde_json::Value;

use crate::{home_becomes, refused};

/// The ticket of a user, unless this is a deployment elsewhere that has no second address.
async fn ticket_of(user: &User) -> Result<Option<FeedTicket>> {
    let may_lack_it = std::env::var_os("TIDINGS_URL").is_some();
    match user.feed_ticket().await {
        Err(ApiError::Status { code: Some(code), .. }) if may_lack_it && code == "no_feed_url" => {
            eprintln!("skipped: the deployment has no second address for feeds; deploy it with FeedUrl=true");
            Ok(None)
        }
        ticket => Ok(Some(ticket?)),
    }
}

fn ids(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.id.as_str()).collect()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[tokio::test]
async fn pages_are_the_same_at_both_addresses() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let Some(ticket) = ticket_of(&ada).await? else { return Ok(()) };
    ada.follow(&bob.id).await?;
    let mut posts = Vec::new();
    for number in 0..5 {
        posts.insert(0, bob.post(&format!("post {number}"), None).await?.value.id);
    }
    let posts: Vec<_> = posts.iter().map(String::as_str).collect();
    home_becomes(&ada, &posts).await?;

    let there = ada.with_ticket(&ticket);
    ensure!(ids(&there.walk_home(2).await?) == posts, "a walk there");
    for order in ["ranked", "personalized"] {
        ensure!(ids(&there.walk_home_by(order, 2).await?) == ids(&ada.walk_home_by(order, 2).await?), "{order}");
    }
    ensure!(there.walk_trending(100).await.is_ok(), "what trends");

    // A walk may go on at the other address, and what is new is new at both.
    let first = ada.home(2, None).await?;
    let second = there.home(2, first.next_cursor.as_deref()).await?;
    ensure!(ids(&second.posts) == posts[2..4], "{second:?}");
    let new = bob.post("news", None).await?;
    home_becomes(&ada, &[&[new.value.id.as_str()], posts.as_slice()].concat()).await?;
    ensure!(there.newer(&first.newest, None).await?.new == 1, "what is new");

    // Own writes show at once.
    let own = ada.post("mine", None).await?;
    let page = there.at_least(own.version).home(1, None).await?;
    ensure!(ids(&page.posts) == [own.value.id.as_str()], "{page:?}");

    // What the client has is not sent again.
    let page = Answer::to(there.request(Method::GET, "/v1/feeds/home")).await?;
    let again = there.request(Method::GET, "/v1/feeds/home").header("if-none-match", text(&page.headers, "etag"));
    ensure!(Answer::to(again).await?.status == StatusCode::NOT_MODIFIED, "{:?}", page.headers);
    Ok(())
}

#[tokio::test]
async fn only_a_ticket_and_only_feeds_are_accepted_there() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let Some(ticket) = ticket_of(&ada).await? else { return Ok(()) };
    let there = ada.with_ticket(&ticket);
    let get = |token: &str| Client::new().get(format!("{}/v1/feeds/home", ticket.url)).bearer_auth(token);
    let (start, end) = ticket.ticket.split_at(ticket.ticket.len() / 2);
    let newest = ada.home(1, None).await?.newest;
    for token in ["", "x", ada.token(), &newest, start, end, &format!("{end}{start}")] {
        refused(get(token), 401, "invalid_ticket").await?;
    }
    let answer = there.anonymous(Method::GET, "/v1/feeds/home").send().await?;
    // Function URLs have another name for this header.
    let challenge = text(answer.headers(), "x-amzn-remapped-www-authenticate");
    ensure!(answer.status() == 401 && challenge.starts_with("Bearer"), "{answer:?}");

    for (method, path) in [
        (Method::POST, "/v1/posts".to_owned()),
        (Method::POST, "/v1/me/feed-tickets".to_owned()),
        (Method::DELETE, "/v1/me".to_owned()),
        (Method::GET, "/v1/me".to_owned()),
        (Method::GET, format!("/v1/users/{}/posts", bob.id)),
        (Method::GET, "/v1/feeds/home/".to_owned()),
        (Method::GET, "/v1/feeds/%68ome".to_owned()),
        (Method::PUT, "/v1/feeds/home".to_owned()),
        (Method::GET, "/dev/status".to_owned()),
        (Method::GET, String::new()),
    ] {
        // The contract knows nothing of this answer, so it is read without it.
        let answer = there.request(method.clone(), &path).send().await?;
        let (status, problem) = (answer.status(), answer.json::<Value>().await.context(path.clone())?);
        ensure!(
            (status.as_u16(), problem["code"].as_str()) == (404, Some("route_not_found")),
            "{method} {path}: {problem}"
        );
    }

    // A ticket is no token.
    let with_ticket = ada.anonymous(Method::GET, "/v1/feeds/home").bearer_auth(&ticket.ticket);
    ensure!(Answer::to(with_ticket).await?.status == 401, "the API takes a ticket");
    Ok(())
}

#[tokio::test]
async fn a_web_page_may_ask_there() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let Some(ticket) = ticket_of(&ada).await? else { return Ok(()) };
    let there = ada.with_ticket(&ticket);
    let preflight = there.anonymous(Method::OPTIONS, "/v1/feeds/home").header("origin", "https://app.example");
    let preflight = preflight.header("access-control-request-method", "GET");
    let answer = preflight.header("access-control-request-headers", "authorization").send().await?;
    ensure!(answer.status().is_success(), "{answer:?}");
    ensure!(text(answer.headers(), "access-control-allow-methods").contains("GET"), "{answer:?}");
    ensure!(text(answer.headers(), "access-control-allow-headers").to_lowercase().contains("authorization"));
    let answer = there.request(Method::GET, "/v1/feeds/home").header("origin", "https://app.example").send().await?;
    let allowed = text(answer.headers(), "access-control-allow-origin");
    ensure!(answer.status() == 200 && ["*", "https://app.example"].contains(&allowed), "{answer:?}");
    Ok(())
}
