//! Likes: a second like changes nothing, counts are exact (INV-3), and every page has `liked`.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use harness::{
    client::{Post, User},
    deployment::Deployment,
    wait::eventually,
};

use crate::{home_becomes, refusal};

/// Waits until `user` sees the post with these counts. Returns the post.
pub(crate) async fn counts_become(user: &User, post: &str, likes: u64, comments: u64) -> Result<Post> {
    eventually("the post has the counts that it should", async || {
        let shown = user.get_post(post).await?;
        let counts = (shown.likes, shown.comments);
        ensure!(counts == (likes, comments), "{counts:?}, not {:?}", (likes, comments));
        Ok(shown)
    })
    .await
}

#[tokio::test]
async fn a_like_counts_once_and_an_unlike_removes_it() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let post = ada.post("like me", None).await?.value.id;
    for _ in 0..2 {
        assert_eq!(bob.like(&post).await?.version, 1, "a like is not in the log");
    }
    assert!(counts_become(&bob, &post, 1, 0).await?.liked);
    assert!(!ada.get_post(&post).await?.liked, "bob likes the post, not ada");
    for _ in 0..2 {
        bob.unlike(&post).await?;
    }
    assert!(!counts_become(&bob, &post, 0, 0).await?.liked);
    bob.like(&post).await?;
    ada.like(&post).await?;
    counts_become(&ada, &post, 2, 0).await?;
    Ok(())
}

#[tokio::test]
async fn a_like_needs_a_profile() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, ghost) = (deployment.member("ada").await?, deployment.newcomer("ghost").await?);
    let post = ada.post("like me", None).await?.value.id;
    assert_eq!(refusal(ghost.like(&post).await)?, (409, "profile_required".to_owned()));
    assert_eq!(ghost.unlike(&post).await?.version, 0, "there is nothing to end");
    Ok(())
}

/// INV-3, with many likes at the same time.
#[tokio::test]
async fn likes_of_many_at_once_are_counted_exactly() -> Result<()> {
    let deployment = Deployment::shared()?;
    let ada = deployment.member("ada").await?;
    let post = ada.post("everybody likes me", None).await?.value.id;
    let fans = try_join_all((0..24).map(|_| deployment.member("fan"))).await?;
    let clicks = async |(at, fan): (usize, &User)| {
        fan.like(&post).await?;
        if at.is_multiple_of(3) {
            fan.unlike(&post).await?;
            fan.like(&post).await?;
        }
        if at.is_multiple_of(4) {
            // Two likes at once from the same user: one of them must see what the other has done.
            futures::try_join!(fan.unlike(&post), fan.unlike(&post))?;
        }
        anyhow::Ok(())
    };
    try_join_all(fans.iter().enumerate().map(clicks)).await?;
    counts_become(&ada, &post, 18, 0).await?;
    Ok(())
}

#[tokio::test]
async fn every_kind_of_page_has_liked() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    bob.follow(&ada.id).await?;
    let tag = harness::deployment::unique();
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.insert(0, ada.post(&format!("{number} #{tag}"), None).await?.value.id);
    }
    home_becomes(&bob, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    bob.like(&ids[1]).await?;
    bob.like(&ids[3]).await?;
    bob.like(&ids[2]).await?;
    bob.unlike(&ids[2]).await?;
    let liked =
        |posts: Vec<Post>| -> Vec<String> { posts.into_iter().filter(|post| post.liked).map(|post| post.id).collect() };
    let expected = [ids[1].clone(), ids[3].clone()];
    assert_eq!(liked(bob.walk_home(2).await?), expected);
    assert_eq!(liked(bob.walk_posts_of(&ada.id, 3).await?), expected);
    assert_eq!(liked(bob.walk_posts_with(&tag, 100).await?), expected);
    for order in ["ranked", "personalized"] {
        let mut shown = liked(bob.walk_home_by(order, 2).await?);
        shown.sort_by(|a, b| b.cmp(a));
        assert_eq!(shown, expected, "{order}");
    }
    assert!(bob.get_post(&ids[1]).await?.liked && !bob.get_post(&ids[2]).await?.liked);
    assert_eq!(liked(ada.walk_home(100).await?), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_post_that_does_not_exist_cannot_be_liked() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let gone = ada.post("gone", None).await?.value.id;
    bob.like(&gone).await?;
    ada.delete_post(&gone).await?;
    for post in [gone.as_str(), "0197f0a0-1111-7222-8333-944455556666", "x", "é"] {
        let expected = (404, "post_not_found".to_owned());
        assert_eq!(refusal(bob.like(post).await)?, expected, "{post}");
        assert_eq!(refusal(bob.unlike(post).await)?, expected, "{post}");
    }
    Ok(())
}
