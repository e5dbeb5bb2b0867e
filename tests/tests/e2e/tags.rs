//! The feed of a tag has the posts that have the tag now.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use harness::{
    client::User,
    deployment::{Deployment, unique},
    wait::eventually,
};
use reqwest::Method;
use serde_json::json;

use crate::refused;

/// Waits until exactly the posts with these ids have the tag, in this order.
async fn tag_becomes(user: &User, tag: &str, ids: &[&str]) -> Result<()> {
    eventually("the tag's feed holds what it should", async || {
        let posts = user.walk_posts_with(tag, 2).await?;
        let shown: Vec<_> = posts.iter().map(|post| post.id.as_str()).collect();
        ensure!(shown == ids, "#{tag}: {shown:?}, not {ids:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_tag_s_feed_holds_its_posts_newest_first_in_any_script_and_case() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let tag = format!("é日_{}", unique());
    let first = ada.post(&format!("#{tag}!"), None).await?.value;
    let second = bob.post(&format!("me, too: #{}", tag.to_uppercase()), None).await?.value;
    let third = ada.post(&format!("(#{tag})#{tag}"), None).await?.value;
    assert_eq!(third.tags, [tag.as_str()]);
    ada.post(&format!("not#{tag}"), None).await?;
    let uppercase = tag.to_uppercase();
    let ids: &[&str] = &[&third.id, &second.id, &first.id];
    try_join_all([tag_becomes(&bob, &tag, ids), tag_becomes(&bob, &uppercase, ids)]).await?;
    ada.delete_post(&third.id).await?;
    tag_becomes(&bob, &tag, &[&second.id, &first.id]).await
}

#[tokio::test]
async fn posts_and_comments_say_what_is_in_their_text() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let text = "😀 @Ada #Cafe\u{301} https://x.org/#no #a #b #c #d #e";
    let post = ada.post(text, None).await?.value;
    assert_eq!(post.text, text.replace("e\u{301}", "é"), "in NFC");
    assert_eq!(post.tags, ["café", "a", "b", "c", "d"]);
    let expected = [
        json!({"type": "mention", "start": 2, "end": 6, "handle": "ada"}),
        json!({"type": "tag", "start": 7, "end": 12, "tag": "café"}),
        json!({"type": "link", "start": 13, "end": 30, "url": "https://x.org/#no"}),
    ];
    assert_eq!(post.entities[..3], expected);
    assert_eq!(post.ignored_tags, [json!({"start": 43, "end": 45, "tag": "e", "reason": "too_many"})]);
    let comment = ada.comment(&post.id, text, None).await?.value;
    assert_eq!((comment.entities, comment.ignored_tags), (post.entities, post.ignored_tags));
    Ok(())
}

#[tokio::test]
async fn tags_follow_the_text() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let [old, new, both] = [unique(), unique(), unique()];
    let post = ada.post(&format!("#{old} #{both}"), None).await?.value.id;
    tag_becomes(&ada, &old, &[&post]).await?;
    ada.edit_post(&post, &format!("#{new} #{both}")).await?;
    let becomes = async |of_old: &[&str], of_new: &[&str], of_both: &[&str]| {
        let tags = [(&old, of_old), (&new, of_new), (&both, of_both)];
        try_join_all(tags.map(|(tag, ids)| tag_becomes(&ada, tag, ids))).await
    };
    becomes(&[], &[&post], &[&post]).await?;
    ada.edit_post(&post, &format!("#{old}")).await?;
    becomes(&[&post], &[], &[]).await?;
    Ok(())
}

#[tokio::test]
async fn invalid_and_unused_tags_have_no_feed() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    for tag in ["a--b", "%23rust", "a%20b", "2024", "%E2%80%8B", &"x".repeat(65)] {
        refused(ada.request(Method::GET, &format!("/v1/tags/{tag}/posts")), 400, "invalid_tag").await?;
    }
    let path = format!("/v1/tags/{}/posts", unique());
    refused(ada.request(Method::GET, &path), 404, "tag_not_found").await
}
