//! Posts: the answer of POST, which texts are accepted unchanged, and who may delete.

use anyhow::{Result, ensure};
use harness::{
    client::{Answer, Person},
    deployment::Deployment,
    wait::eventually,
};
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::{home_becomes, refusal};

#[tokio::test]
async fn a_post_is_answered_with_itself_and_its_place() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let request = ada.request(Method::POST, "/v1/posts").json(&json!({ "text": "Hello #World, #world and #Rust" }));
    let answer = Answer::to(request).await?.expect(StatusCode::CREATED)?;
    let post: harness::client::Post = answer.json()?;
    assert_eq!(answer.header("location"), Some(format!("/v1/posts/{}", post.id).as_str()));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.version()?, 2);

    let profile = ada.profile().await?;
    let author = Person {
        id: ada.id.clone(),
        handle: profile.handle,
        display_name: profile.display_name,
        avatar_url: profile.avatar_url,
    };
    assert_eq!((&post.author, post.version), (&author, 1));
    assert_eq!(post.text, "Hello #World, #world and #Rust");
    assert_eq!(post.tags, ["world", "rust"]);
    assert_eq!(Uuid::parse_str(&post.id)?.get_version_num(), 7);
    assert_eq!(post.created_at.len(), "2026-01-02T03:04:05.678Z".len());

    let shown = home_becomes(&ada, &[&post.id]).await?;
    assert_eq!(shown, std::slice::from_ref(&post), "the feed shows what the answer showed");
    assert_eq!(ada.walk_posts_of(&ada.id, 20).await?, [post]);
    Ok(())
}

#[tokio::test]
async fn a_text_is_kept_exactly_as_written() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let longest = "👩‍👩‍👧".repeat(3000 / "👩‍👩‍👧".len());
    let texts = [
        "  spaces around  ",
        "two\nlines",
        "\"quotes\" \\ and {\"json\": null}",
        "\u{200f}rtl, \u{feff}bom, zero\u{200b}width",
        "日本語 العربية 🦀",
        &"é".repeat(300),
        &longest,
    ];
    for text in texts {
        assert_eq!(ada.post(text, None).await?.value.text, text);
    }
    eventually("all are in the feed", async || {
        let mut shown: Vec<_> = ada.walk_home(100).await?.into_iter().map(|post| post.text).collect();
        shown.reverse();
        ensure!(shown == texts, "{shown:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_post_needs_a_profile() -> Result<()> {
    let ada = Deployment::shared()?.newcomer("ada").await?;
    assert_eq!(refusal(ada.post("hello", None).await)?, (409, "profile_required".to_owned()));
    Ok(())
}

#[tokio::test]
async fn only_the_author_deletes_and_a_second_time_changes_nothing() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    bob.follow(&ada.id).await?;
    let (kept, gone) = (ada.post("kept", None).await?.value, ada.post("gone", None).await?.value);
    home_becomes(&bob, &[&gone.id, &kept.id]).await?;

    assert_eq!(refusal(bob.delete_post(&gone.id).await)?, (403, "not_author".to_owned()));
    assert_eq!(ada.delete_post(&gone.id).await?.version, 4);
    assert_eq!(ada.delete_post(&gone.id).await?.version, 4);
    assert_eq!(refusal(bob.delete_post(&gone.id).await)?, (404, "post_not_found".to_owned()), "it is gone for others");
    let kept = [kept.id.as_str()];
    let listed = eventually("the author's own list is without it, too", async || {
        let shown: Vec<_> = bob.walk_posts_of(&ada.id, 10).await?.into_iter().map(|post| post.id).collect();
        ensure!(shown == kept, "{shown:?}");
        Ok(())
    });
    tokio::try_join!(home_becomes(&bob, &kept), home_becomes(&ada, &kept), listed)?;
    Ok(())
}

#[tokio::test]
async fn there_is_no_post_to_delete_under_an_unknown_or_malformed_id() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let unknown = "0197f0a0-1111-7222-8333-944455556666";
    for id in [unknown, "x", "1", "null", "%", "POST", &"9".repeat(500), &format!("{unknown} "), "é"] {
        assert_eq!(refusal(ada.delete_post(id).await)?, (404, "post_not_found".to_owned()), "{id}");
    }
    Ok(())
}

/// INV-7. Also, the text of a deleted post is gone from the command table, not only from feeds.
#[tokio::test]
async fn a_deleted_text_is_nowhere_any_more() -> Result<()> {
    let Some(deployment) = Deployment::shared_local("a_deleted_text_is_nowhere_any_more")? else {
        return Ok(());
    };
    let ada = deployment.member("ada").await?;
    let secret = format!("secret-{}", ada.id);
    let post = ada.post(&secret, Some("key")).await?.value;
    home_becomes(&ada, &[&post.id]).await?;
    ada.delete_post(&post.id).await?;
    home_becomes(&ada, &[]).await?;
    for table in ["Commands", "Timelines", "Viewers", "Cards", "SearchIndex"] {
        let mut start = serde_json::Value::Null;
        loop {
            let mut scan = json!({ "TableName": format!("tidings-{table}") });
            if !start.is_null() {
                scan["ExclusiveStartKey"] = start;
            }
            let mut page = deployment.dev().dynamodb("Scan", &scan).await?;
            // The author's id is in the text and in keys, so the test searches for the whole text.
            ensure!(!page["Items"].to_string().contains(&secret), "{table} still holds the text");
            start = page["LastEvaluatedKey"].take();
            if start.is_null() {
                break;
            }
        }
    }
    Ok(())
}
