//! An edit replaces the text; the post keeps its position.

use anyhow::{Result, ensure};
use harness::{client::Post, deployment::Deployment, wait::eventually};
use serde_json::json;

use crate::{home_becomes, likes::counts_become, refusal};

#[tokio::test]
async fn an_edited_post_keeps_its_place_and_shows_that_it_was_edited() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    bob.follow(&ada.id).await?;
    let old = ada.post("first thought", None).await?.value;
    let new = ada.post("second thought", None).await?.value;
    bob.like(&old.id).await?;
    home_becomes(&bob, &[&new.id, &old.id]).await?;
    counts_become(&ada, &old.id, 1, 0).await?;

    let edited = ada.edit_post(&old.id, "better #thought").await?;
    assert_eq!(edited.version, 4);
    let edited = edited.value;
    assert!(edited.edited_at.as_ref().is_some_and(|at| *at > old.created_at), "{edited:?}");
    let expected = Post {
        text: "better #thought".to_owned(),
        tags: vec!["thought".to_owned()],
        version: 2,
        entities: vec![json!({ "type": "tag", "start": 7, "end": 15, "tag": "thought" })],
        edited_at: edited.edited_at.clone(),
        likes: 1,
        ..old.clone()
    };
    assert_eq!(edited, expected, "everything else is unchanged");
    eventually("the edit is shown in the same place", async || {
        let home = bob.walk_home(10).await?;
        ensure!(home == [new.clone(), Post { liked: true, ..expected.clone() }], "{home:?}");
        Ok(())
    })
    .await?;

    let again = ada.edit_post(&old.id, "better #thought").await?;
    assert_eq!((again.version, again.value.version), (4, 2), "the same text changes nothing");
    Ok(())
}

#[tokio::test]
async fn only_the_author_edits_what_is_there() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let post = ada.post("mine", None).await?.value.id;
    assert_eq!(refusal(bob.edit_post(&post, "yours").await)?, (403, "not_author".to_owned()));
    ada.delete_post(&post).await?;
    for post in [post.as_str(), "0197f0a0-1111-7222-8333-944455556666", "x"] {
        assert_eq!(refusal(ada.edit_post(post, "too late").await)?, (404, "post_not_found".to_owned()));
    }
    Ok(())
}

#[tokio::test]
async fn a_post_is_edited_fifty_times_at_most() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let post = ada.post("0", None).await?.value.id;
    for number in 1..=50 {
        ada.edit_post(&post, &format!("{number}")).await?;
    }
    assert_eq!(refusal(ada.edit_post(&post, "51").await)?, (409, "edit_limit_reached".to_owned()));
    eventually("the last edit is shown", async || {
        let shown = ada.get_post(&post).await?;
        ensure!((shown.text.as_str(), shown.version) == ("50", 51), "{shown:?}");
        Ok(())
    })
    .await
}
