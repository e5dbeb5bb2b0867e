//! Rate limits. These tests have a stack of their own with low limits.

use anyhow::{Context, Result};
use harness::{
    client::{Answer, User, post_path},
    deployment::Deployment,
    stack::{Options, Stack},
};
use reqwest::Method;

use crate::refusal;

/// A deployment in which users may do two things of each kind.
async fn limited(test: &str) -> Result<Option<(Stack, Deployment)>> {
    if !Deployment::starts_stacks(test) {
        return Ok(None);
    }
    let names = ["PostsPerHour", "CommentsPerHour", "FollowsPerDay", "BlocksPerHour", "LikesPerHour"];
    let parameters = names.map(|name| (name.to_owned(), "2".to_owned())).into();
    let options = Options { parameters, check_access: true, ..Options::default() };
    let stack = tokio::task::spawn_blocking(|| Stack::start(options)).await??;
    let deployment = Deployment::at(stack.url())?;
    Ok(Some((stack, deployment)))
}

fn rate_limited() -> (u16, String) {
    (429, "rate_limited".to_owned())
}

#[tokio::test]
async fn each_kind_has_a_limit_and_repetitions_and_ends_are_free() -> Result<()> {
    let Some((_stack, deployment)) = limited("each_kind_has_a_limit_and_repetitions_and_ends_are_free").await? else {
        return Ok(());
    };
    let mut posts = Vec::new();
    let mut people: Vec<User> = Vec::new();
    for _ in 0..3 {
        let author = deployment.member("author").await?;
        posts.push(author.post("like me", None).await?.value.id);
        people.push(author);
    }
    let ada = deployment.member("ada").await?;

    let first = ada.post("one", Some("key")).await?;
    ada.post("two", None).await?;
    assert_eq!(ada.post("one", Some("key")).await?.value.id, first.value.id, "a repetition");
    assert_eq!(refusal(ada.post("three", None).await)?, rate_limited());
    assert_eq!(refusal(ada.edit_post(&first.value.id, "another").await)?, rate_limited());
    ada.delete_post(&first.value.id).await?;

    for post in &posts[..2] {
        ada.comment(post, "nice", None).await?;
    }
    assert_eq!(refusal(ada.comment(&posts[2], "nice", None).await)?, rate_limited());

    for author in &people[..2] {
        ada.follow(&author.id).await?;
        ada.follow(&author.id).await?;
    }
    assert_eq!(refusal(ada.follow(&people[2].id).await)?, rate_limited());
    ada.unfollow(&people[0].id).await?;

    for post in &posts[..2] {
        ada.like(post).await?;
        ada.like(post).await?;
    }
    assert_eq!(refusal(ada.like(&posts[2]).await)?, rate_limited());
    ada.unlike(&posts[0]).await?;

    ada.mute(&people[0].id).await?;
    ada.block(&people[1].id).await?;
    assert_eq!(refusal(ada.block(&people[2].id).await)?, rate_limited());
    assert_eq!(refusal(ada.mute(&people[2].id).await)?, rate_limited());
    ada.unblock(&people[1].id).await?;

    people[0].like(&posts[2]).await?;
    Ok(())
}

#[tokio::test]
async fn a_refusal_tells_when_to_repeat_the_request() -> Result<()> {
    let Some((_stack, deployment)) = limited("a_refusal_tells_when_to_repeat_the_request").await? else {
        return Ok(());
    };
    let ada = deployment.member("ada").await?;
    let mut id = String::new();
    for text in ["one", "two"] {
        id = ada.post(text, None).await?.value.id;
    }
    let edit = || ada.request(Method::PATCH, &post_path(&id, "")).json(&serde_json::json!({"text": "other"}));
    let answer = Answer::to(edit()).await?;
    assert_eq!(answer.status.as_u16(), 429);
    let seconds: u64 = answer.header("retry-after").context("no Retry-After")?.parse()?;
    assert!((1750..=1800).contains(&seconds), "half an hour for one of two an hour, less what has passed: {seconds}");
    Ok(())
}
