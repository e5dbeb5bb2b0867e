//! A user's commands form one log without gaps, even if many are sent at the same time.

use std::{cell::Cell, collections::BTreeSet};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use harness::{
    client::{Accepted, ApiError},
    deployment::Deployment,
    wait::{DEADLINE, eventually, persist},
};

use crate::applied;

#[tokio::test]
async fn fifty_posts_at_once_are_fifty_posts_with_versions_in_a_row() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let post = async |number: u32| {
        let (text, key) = (format!("post {number}"), format!("key-{number}"));
        persist(DEADLINE, |_| {}, || ada.post(&text, Some(&key))).await
    };
    let posts = try_join_all((0..50).map(post)).await?;
    let versions: BTreeSet<_> = posts.iter().map(|post| post.version).collect();
    assert_eq!(versions, (2..=51).collect(), "the versions have no gaps and no duplicates, and follow the profile's");
    let mut ids: Vec<_> = posts.into_iter().map(|post| post.value.id).collect();
    ids.sort_by(|a, b| b.cmp(a));
    eventually("all are in the feed and in the author's list", async || {
        for shown in [ada.walk_home(100).await?, ada.walk_posts_of(&ada.id, 100).await?] {
            let shown: Vec<_> = shown.into_iter().map(|post| post.id).collect();
            ensure!(shown == ids, "{} of {}", shown.len(), ids.len());
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn different_commands_at_once_all_take_effect() -> Result<()> {
    let deployment = Deployment::shared()?;
    let ada = deployment.member("ada").await?;
    let others = try_join_all((0..8).map(|_| deployment.member("other"))).await?;
    let doomed = ada.post("doomed", None).await?.value.id;

    // A command without an idempotency key may be sent again after an unknown outcome. If it then changes nothing, the
    // answer has the version of the log, not the version of the command's event.
    let unknown = Cell::new(0);
    let retried = |error: &ApiError| unknown.set(unknown.get() + usize::from(error.is_unknown()));

    let follows = others.iter().map(async |other| persist(DEADLINE, retried, || ada.follow(&other.id)).await);
    let post = async |number: usize| {
        let key = format!("key-{number}");
        let Accepted { version, .. } = persist(DEADLINE, |_| {}, || ada.post("x", Some(&key))).await?;
        Ok(Accepted { value: (), version })
    };
    let delete = async || persist(DEADLINE, retried, || ada.delete_post(&doomed)).await;
    let (follows, posts, deleted) = tokio::try_join!(try_join_all(follows), try_join_all((0..8).map(post)), delete())?;
    let versions: BTreeSet<_> = follows.iter().chain(&posts).chain([&deleted]).map(|done| done.version).collect();
    assert!(versions.iter().all(|version| (3..=19).contains(version)), "{versions:?}");
    assert!(versions.len() + unknown.get() >= 17, "{versions:?}, {} outcomes unknown", unknown.get());

    applied(&ada, 19).await?;
    let page = ada.home(100, None).await?;
    // What trends at the time fills the home up.
    let own = page.posts.iter().filter(|post| post.source.is_none()).count();
    assert_eq!((own, page.freshness.version), (8, 19));
    let seen = others[0].user(&ada.id).await?;
    assert_eq!((seen.following, seen.relation.followed_by), (8, true));
    Ok(())
}
