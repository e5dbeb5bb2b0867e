//! The bounds for what routes cost in round trips and capacity units, as DynamoDB reports it. The whole table is in
//! `docs/costs.md`.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use harness::{
    client::{Answer, User, post_path, user_path},
    costs::Cost,
    deployment::{Deployment, unique},
    wait::{DEADLINE, persist},
};
use reqwest::{Method, RequestBuilder};

use crate::home_becomes;

/// The cost of a request that succeeds, or `None` if the deployment does not show costs.
async fn cost(request: RequestBuilder) -> Result<Option<Cost>> {
    let answer = Answer::to(request).await?;
    ensure!(answer.status.is_success(), "{}: {} {}", answer.request, answer.status, answer.body);
    let cost = Cost::of(&answer)?;
    if cost.is_none() {
        eprintln!("skipped: the deployment does not show costs; deploy it with ShowCosts=true");
    }
    Ok(cost)
}

fn get(user: &User, path: &str) -> RequestBuilder {
    user.request(Method::GET, path)
}

#[tokio::test]
async fn a_like_costs_two_round_trips_of_reads_and_one_transaction_of_two_items() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let post = ada.post("like me", None).await?.value.id;
    // Round trips, calls and read units. For another user's post, the command reads the blocks between the two users
    // first. Half a unit is for the state of the rate limit, which is written so seldom here that no test sees it.
    let bounds = [
        (&bob, Method::PUT, (3, 4, 3.0..=3.5)),
        (&bob, Method::DELETE, (2, 3, 2.0..=2.0)),
        (&ada, Method::PUT, (2, 3, 2.5..=2.5)),
    ];
    for (user, method, (round_trips, calls, read_units)) in bounds {
        let Some(cost) = cost(user.request(method, &post_path(&post, "/like"))).await? else { return Ok(()) };
        assert_eq!((cost.round_trips, cost.calls), (round_trips, calls), "{cost:?}");
        // An item of a transaction costs two units. No item here is larger than one unit.
        assert!(cost.write_units == 4.0 && read_units.contains(&cost.read_units), "{cost:?}");
    }
    Ok(())
}

/// Read units of the question which tables are read. A process asks once in `CelebrityListSeconds`, beside its first
/// reads, so it is part of some of the requests.
pub(crate) const WHICH_TABLES: f64 = 0.5;

/// A reader whose home is longer than one window.
#[tokio::test]
async fn pages_stay_within_their_bounds() -> Result<()> {
    let deployment = Deployment::shared()?;
    let reader = deployment.member("reader").await?;
    let tag = unique();
    let authors = try_join_all((0..12).map(|_| deployment.member("author"))).await?;
    let write = async |author: &User| {
        persist(DEADLINE, |_| {}, || reader.follow(&author.id)).await?;
        let mut ids = Vec::new();
        for number in 0..18 {
            let text = format!("post number {number}, as long as posts are: {} #{tag}", "word ".repeat(16));
            ids.push(author.post(&text, None).await?.value.id);
        }
        anyhow::Ok(ids)
    };
    let posts = try_join_all(authors.iter().map(write)).await?;
    let mut all: Vec<_> = posts.iter().flatten().map(String::as_str).collect();
    all.sort_by(|a, b| b.cmp(a));
    home_becomes(&reader, &all).await?;
    for post in posts.iter().flatten().step_by(5) {
        reader.like(post).await?;
    }
    authors[0].comment(&posts[0][0], "let us talk", None).await?;

    let home = "/v1/feeds/home".to_owned();
    let some_posts = all[..20].join(",");
    let some_users = authors.iter().map(|author| author.id.as_str()).collect::<Vec<_>>().join(",");
    let handle = authors[0].profile().await?.profile().handle;
    // The route, the round trips and the read units.
    let bounds = [
        (home.clone(), 2, 13.0),
        (format!("{home}?order=ranked"), 2, 45.0),
        (format!("{home}?order=personalized"), 2, 45.0),
        ("/v1/feeds/trending".to_owned(), 2, 45.0),
        (format!("/v1/tags/{tag}/posts"), 2, 13.0),
        (user_path(&authors[0].id, "/posts"), 2, 13.0),
        (post_path(&posts[0][0], ""), 1, 1.5),
        (post_path(&posts[0][0], "/comments"), 2, 3.0),
        (user_path(&authors[0].id, ""), 1, 5.5),
        (format!("/v1/posts?ids={some_posts}"), 1, 11.0),
        (format!("/v1/users?ids={some_users}"), 1, 6.5),
        (post_path(&posts[0][0], "/likes"), 2, 3.0),
        ("/v1/me/likes".to_owned(), 2, 13.0),
        ("/v1/me/notifications/off".to_owned(), 1, 0.5),
        // One list tells all; of two words, cards tell whether they stand together.
        (format!("/v1/search/posts?q=%23{tag}"), 2, 24.0),
        (format!("/v1/search/posts?q=%22post%20number%22%20%23{tag}"), 3, 40.0),
        (format!("/v1/search/users?q={handle}"), 2, 14.0),
    ];
    for (path, round_trips, read_units) in bounds {
        let Some(cost) = cost(get(&reader, &path)).await? else { return Ok(()) };
        let units = read_units + WHICH_TABLES;
        let within = cost.round_trips <= round_trips && cost.read_units <= units && cost.write_units == 0.0;
        assert!(within, "{path}: {cost:?}");
    }
    // With `Tidings-Min-Version`, and after the projections have run: one more round trip.
    let version = reader.home(1, None).await?.freshness.version;
    let Some(exact) = cost(get(&reader.at_least(version), &home)).await? else { return Ok(()) };
    assert!(exact.round_trips <= 3, "{exact:?}");
    // All pages of a walk, also those where one window ends and the next begins.
    let mut cursor = None;
    loop {
        let request = get(&reader, &home).query(&[("order", "ranked")]).query(&cursor.map(|at| [("cursor", at)]));
        let answer = Answer::to(request).await?;
        let cost = Cost::of(&answer)?.context("no cost")?;
        assert!(cost.round_trips <= 2 && cost.read_units <= 45.0 + WHICH_TABLES, "{cost:?}");
        let page: serde_json::Value = answer.json()?;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return Ok(()),
        }
    }
}
