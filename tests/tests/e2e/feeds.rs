//! What the read routes answer when there is little or nothing to show.

use std::io::Read;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use harness::{client::Answer, deployment::Deployment};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{applied, home_becomes, status};

#[tokio::test]
async fn a_newcomers_home_has_only_trending_posts() -> Result<()> {
    let ada = Deployment::shared()?.newcomer("ada").await?;
    let answer = Answer::to(ada.request(Method::GET, "/v1/feeds/home")).await?.expect(StatusCode::OK)?;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let page: Value = answer.json()?;
    assert_eq!(page["freshness"], json!({ "version": 0, "overlaid": false }));
    let posts = page["posts"].as_array().context("no posts")?;
    assert!(posts.iter().all(|post| post["source"] == "trending"), "{page}");
    Ok(())
}

#[tokio::test]
async fn lists_without_anything_in_them_are_empty_pages() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    for (list, expected) in [
        ("posts", json!({ "posts": [], "next_cursor": null })),
        ("followers", json!({ "users": [], "next_cursor": null })),
        ("following", json!({ "users": [], "next_cursor": null })),
    ] {
        let path = format!("/v1/users/{}/{list}", ada.id);
        let answer = Answer::to(ada.request(Method::GET, &path)).await?.expect(StatusCode::OK)?;
        assert_eq!(answer.json::<Value>()?, expected, "{list}");
    }
    Ok(())
}

#[tokio::test]
async fn freshness_counts_the_viewer_s_own_commands() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    ada.follow(&bob.id).await?;
    let post = ada.post("three", None).await?;
    assert_eq!(post.version, 3);
    applied(&ada, 3).await?;
    let other = bob.post("not a command of the viewer", None).await?.value;
    home_becomes(&ada, &[&other.id, &post.value.id]).await?;
    assert_eq!(ada.home(1, None).await?.freshness.version, 3);
    Ok(())
}

#[tokio::test]
async fn twenty_posts_are_a_page_unless_asked_otherwise() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let mut ids = Vec::new();
    for number in 0..21 {
        ids.insert(0, ada.post(&format!("{number}"), None).await?.value.id);
    }
    home_becomes(&ada, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    for path in ["/v1/feeds/home", "/v1/feeds/home?order=chronological", &format!("/v1/users/{}/posts", ada.id)] {
        let page: Value = Answer::to(ada.request(Method::GET, path)).await?.expect(StatusCode::OK)?.json()?;
        assert_eq!(page["posts"].as_array().map(Vec::len), Some(20), "{path}");
        assert!(page["next_cursor"].is_string(), "{path}");
    }
    // A page that ends exactly at the end of the feed need not know this. The next page is empty.
    let page = ada.home(21, None).await?;
    assert_eq!(page.posts.len(), 21);
    if let Some(cursor) = page.next_cursor {
        let last = ada.home(21, Some(&cursor)).await?;
        assert!(last.posts.iter().all(|post| post.source.is_some()), "only trending posts come after it");
    }
    Ok(())
}

#[tokio::test]
async fn everybody_sees_the_posts_of_an_author() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.newcomer("bob").await?);
    let post = ada.post("public", None).await?.value;
    home_becomes(&ada, &[&post.id]).await?;
    assert_eq!(
        bob.walk_posts_of(&ada.id, 10).await?,
        [post],
        "every user sees the list, with or without a follow or a profile"
    );
    Ok(())
}

#[tokio::test]
async fn users_who_do_not_exist_have_no_lists() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, ghost) = (deployment.member("ada").await?, deployment.newcomer("ghost").await?);
    for list in ["", "/posts", "/followers", "/following"] {
        for user in [ghost.id.as_str(), "@nobody_has_this_one"] {
            let request = ada.request(Method::GET, &harness::client::user_path(user, list));
            crate::refused(request, 404, "user_not_found").await?;
        }
    }
    assert_eq!(status(ghost.request(Method::GET, "/v1/me")).await?, StatusCode::NOT_FOUND);
    Ok(())
}

/// INV-2: a home reaches back thirty days, even if older rows still exist. Nothing can be posted in the past, so this
/// test writes old rows into the read model.
#[tokio::test]
async fn home_and_tags_reach_back_thirty_days_and_an_author_s_posts_for_ever() -> Result<()> {
    let Some(deployment) = Deployment::shared_local("home_and_tags_reach_back_thirty_days")? else { return Ok(()) };
    let (ada, dev) = (deployment.member("ada").await?, deployment.dev());
    let tag = harness::deployment::unique();
    let post = ada.post(&format!("now #{tag}"), None).await?.value.id;
    home_becomes(&ada, &[&post]).await?;
    let key = |id: &str| json!({ "PK": { "S": format!("POST#{id}") } });
    let card = dev.dynamodb("GetItem", &json!({ "TableName": "tidings-Cards", "Key": key(&post) })).await?;
    let now_ms = Uuid::parse_str(&post)?.as_u128() >> 80;
    let mut older = Vec::new();
    for days in [29, 31] {
        let ms = now_ms - days * 24 * 60 * 60 * 1000;
        let id = Uuid::from_u128(ms << 80 | 7 << 76 | 2 << 62 | u128::from(rand::random::<u32>())).to_string();
        let mut item = card["Item"].clone();
        (item["PK"], item["post"]) = (key(&id)["PK"].clone(), json!({ "S": id }));
        dev.dynamodb("PutItem", &json!({ "TableName": "tidings-Cards", "Item": item })).await?;
        for timeline in [format!("HOME#{}", ada.id), format!("AUTHOR#{}", ada.id), format!("TAG#{tag}")] {
            let row = json!({ "PK": { "S": timeline }, "SK": { "S": id }, "author": { "S": ada.id } });
            dev.dynamodb("PutItem", &json!({ "TableName": "tidings-Timelines", "Item": row })).await?;
        }
        older.push(id);
    }
    let ids = |posts: Vec<harness::client::Post>| posts.into_iter().map(|post| post.id).collect::<Vec<_>>();
    let recent = [post.clone(), older[0].clone()];
    for limit in [1, 100] {
        assert_eq!(ids(ada.walk_home(limit).await?), recent);
        assert_eq!(ids(ada.walk_home_by("ranked", limit).await?), recent);
        assert_eq!(ids(ada.walk_posts_with(&tag, limit).await?), recent);
        assert_eq!(ids(ada.walk_posts_of(&ada.id, limit).await?), [&recent[..], &older[1..]].concat());
    }
    Ok(())
}

#[tokio::test]
async fn long_pages_are_compressed_for_clients_that_take_gzip() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    for number in 0..3 {
        ada.post(&format!("{number}: Grüße 🎉 {}", "long ".repeat(50)), None).await?;
    }
    applied(&ada, 4).await?;
    let path = format!("/v1/users/{}/posts", ada.id);
    let plain = Answer::to(ada.request(Method::GET, &path)).await?.expect(StatusCode::OK)?;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("accept-encoding")));
    let response = ada.request(Method::GET, &path).header("Accept-Encoding", "br, gzip;q=0.8").send().await?;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let compressed = response.bytes().await?;
    ensure!(compressed.len() < plain.body.len() / 2, "{} of {} bytes", compressed.len(), plain.body.len());
    let mut body = String::new();
    GzDecoder::new(&*compressed).read_to_string(&mut body)?;
    let posts = |body: &str| anyhow::Ok(serde_json::from_str::<Value>(body)?["posts"].clone());
    assert_eq!(posts(&body)?, posts(&plain.body)?);
    Ok(())
}
