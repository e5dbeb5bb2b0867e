//! INV-6: one idempotency key, one effect, one response.

use anyhow::Result;
use futures::future::try_join_all;
use harness::{
    client::{Answer, ProfileInput, User},
    deployment::{Deployment, unique_handle},
    wait::{DEADLINE, persist},
};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{home_becomes, refusal};

async fn post(user: &User, key: &str) -> Result<Answer> {
    let request = user.request(Method::POST, "/v1/posts").header("Idempotency-Key", key);
    Ok(Answer::to(request.json(&json!({ "text": "once" }))).await?.expect(StatusCode::CREATED)?)
}

#[tokio::test]
async fn the_same_request_again_gets_the_same_response() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let first = post(&ada, "key").await?;
    let renamed = ProfileInput { handle: unique_handle(), display_name: "Renamed".to_owned(), avatar_url: None };
    ada.put_profile(&renamed).await?;
    ada.post("another", None).await?;
    let second = post(&ada, "key").await?;
    assert_eq!(first.body, second.body);
    for header in ["location", "tidings-version", "content-type"] {
        assert!(first.header(header).is_some());
        assert_eq!(first.header(header), second.header(header));
    }
    Ok(())
}

#[tokio::test]
async fn one_of_many_concurrent_requests_with_one_key_takes_effect() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let attempt = async || persist(DEADLINE, |_| {}, || ada.post("once", Some("the-key"))).await;
    let posts = try_join_all((0..20).map(|_| attempt())).await?;
    assert!(posts.iter().all(|post| *post == posts[0]), "{posts:?}");
    // The next event has the next version, so there was only one event.
    assert_eq!(posts[0].version, 2);
    let next = ada.post("next", None).await?;
    assert_eq!(next.version, 3);
    home_becomes(&ada, &[&next.value.id, &posts[0].value.id]).await?;
    Ok(())
}

#[tokio::test]
async fn another_body_under_a_used_key_is_refused() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let first = ada.post("this", Some("key")).await?;
    assert_eq!(refusal(ada.post("that", Some("key")).await)?, (422, "idempotency_key_reused".to_owned()));
    assert_eq!(ada.post("this", Some("key")).await?, first);
    home_becomes(&ada, &[&first.value.id]).await?;
    Ok(())
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_key() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    assert_eq!(refusal(ada.post("", Some("key")).await)?, (422, "text_invalid".to_owned()));
    ada.post("better", Some("key")).await?;
    Ok(())
}

#[tokio::test]
async fn keys_belong_to_their_user_and_are_compared_exactly() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let long = "k".repeat(128);
    let mut ids = std::collections::BTreeSet::new();
    for user in [&ada, &bob] {
        for key in ["key", "KEY", "key#1", "key/1", "!~", "%6Bey", "EVENT#000000000001", &long] {
            ids.insert(user.post("same text", Some(key)).await?.value.id);
        }
    }
    assert_eq!(ids.len(), 16);
    Ok(())
}
