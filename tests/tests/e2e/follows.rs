//! Follows and their effect on the home feed: backfill, immediate hiding, and the lists of followers and followed
//! users.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use harness::{client::Relation, deployment::Deployment, wait::eventually};

use crate::{applied, home_becomes, refusal};

#[tokio::test]
async fn a_follow_brings_earlier_and_later_posts_and_an_unfollow_removes_them() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let own = ada.post("own", None).await?.value;
    let before = bob.post("before", None).await?.value;
    home_becomes(&ada, &[&own.id]).await?;

    ada.follow(&bob.id).await?;
    let after = bob.post("after", None).await?.value;
    home_becomes(&ada, &[&after.id, &before.id, &own.id]).await?;

    // INV-7: after the first page that has applied the unfollow, no page shows these posts.
    let unfollowed = ada.unfollow(&bob.id).await?.version;
    let page = eventually("the unfollow is applied", async || {
        let page = ada.home(100, None).await?;
        ensure!(page.freshness.version >= unfollowed, "not yet");
        Ok(page)
    })
    .await?;
    assert!(page.posts.iter().all(|post| post.author.id == ada.id || post.source.is_some()), "{page:?}");
    let meanwhile = bob.post("while nobody follows", None).await?.value;
    applied(&bob, 4).await?;
    home_becomes(&ada, &[&own.id]).await?;

    ada.follow(&bob.id).await?;
    home_becomes(&ada, &[&meanwhile.id, &after.id, &before.id, &own.id]).await?;
    Ok(())
}

#[tokio::test]
async fn a_command_that_changes_nothing_answers_with_the_present_version() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    assert_eq!(ada.unfollow(&bob.id).await?.version, 1, "not followed");
    assert_eq!(ada.follow(&bob.id).await?.version, 2);
    assert_eq!(ada.follow(&bob.id).await?.version, 2, "already followed");
    assert_eq!(ada.unfollow(&bob.id).await?.version, 3);
    assert_eq!(ada.unfollow(&bob.id).await?.version, 3, "no longer followed");
    assert_eq!(bob.post("x", None).await?.version, 2, "a follow is not in the log of the followed user");
    Ok(())
}

#[tokio::test]
async fn a_follower_can_be_removed_and_can_follow_again() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    bob.follow(&ada.id).await?;
    let post = ada.post("for followers", None).await?.value;
    home_becomes(&bob, &[&post.id]).await?;

    let removed = ada.remove_follower(&bob.id).await?.version;
    assert_eq!(removed, 3);
    assert_eq!(ada.remove_follower(&bob.id).await?.version, removed, "bob does not follow any more");
    assert_eq!(bob.user(&ada.id).await?.relation, Relation::default(), "there is no block");
    assert!(ada.walk_followers_of(&ada.id, 10).await?.is_empty());
    home_becomes(&bob, &[]).await?;
    assert_eq!(bob.follow(&ada.id).await?.version, 4, "the end of the follow is in bob's log");
    home_becomes(&bob, &[&post.id]).await?;

    assert_eq!(refusal(ada.remove_follower(&ada.id).await)?, (422, "cannot_follow_self".to_owned()));
    assert_eq!(refusal(ada.remove_follower("@nobody_has_this_one").await)?, (404, "user_not_found".to_owned()));
    Ok(())
}

#[tokio::test]
async fn follows_of_oneself_and_of_unknown_users_are_refused() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, newcomer) = (deployment.member("ada").await?, deployment.newcomer("new").await?);
    assert_eq!(refusal(ada.follow(&ada.id).await)?, (422, "cannot_follow_self".to_owned()));
    assert_eq!(refusal(ada.unfollow(&ada.id).await)?, (422, "cannot_follow_self".to_owned()));
    assert_eq!(refusal(ada.follow(&newcomer.id).await)?, (404, "user_not_found".to_owned()));
    assert_eq!(refusal(ada.unfollow(&newcomer.id).await)?, (404, "user_not_found".to_owned()));
    for answer in [newcomer.follow(&ada.id).await, newcomer.unfollow(&ada.id).await] {
        assert_eq!(refusal(answer)?, (409, "profile_required".to_owned()));
    }
    assert_eq!(ada.post("x", None).await?.version, 2, "nothing happened");
    Ok(())
}

#[tokio::test]
async fn a_handle_can_be_followed() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let handle = format!("@{}", bob.profile().await?.handle);
    ada.follow(&handle).await?;
    let relation = async || ada.user(&bob.id).await.map(|bob| bob.relation);
    assert_eq!(relation().await?, Relation { following: true, ..Relation::default() });
    ada.unfollow(&handle).await?;
    assert_eq!(relation().await?, Relation::default());
    Ok(())
}

#[tokio::test]
async fn lists_and_counts_follow_the_edges() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let fans = try_join_all((0..7).map(|_| deployment.member("fan"))).await?;
    for fan in &fans {
        fan.follow(&ada.id).await?;
        ada.follow(&fan.id).await?;
    }
    ada.unfollow(&fans[0].id).await?;
    fans[1].unfollow(&ada.id).await?;
    let ids_without = |index: usize| {
        let others = fans.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, fan)| fan.id.clone());
        let mut ids: Vec<_> = others.collect();
        ids.sort();
        ids
    };
    eventually("lists and counts are right", async || {
        for limit in [1, 3, 6, 100] {
            let followers = bob.walk_followers_of(&ada.id, limit).await?;
            let following = bob.walk_followed_by(&ada.id, limit).await?;
            let ids = |people: &[harness::client::Person]| people.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
            ensure!(ids(&followers) == ids_without(1), "{followers:?}");
            ensure!(ids(&following) == ids_without(0), "{following:?}");
            ensure!(followers.iter().all(|person| person.display_name == "fan"), "{followers:?}");
        }
        let seen = fans[0].user(&ada.id).await?;
        ensure!((seen.following, seen.followers) == (6, 6), "{seen:?}");
        ensure!(seen.relation == Relation { following: true, ..Relation::default() }, "{seen:?}");
        Ok(())
    })
    .await
}
