//! Audiences that are too large for one batch of writes. They go through the queue in several messages.

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use harness::{
    client::User,
    deployment::Deployment,
    wait::{DEADLINE, eventually, persist},
};

const FOLLOWERS: usize = 250;

/// Waits until each of `readers` sees exactly these posts.
async fn all_see(readers: &[User], ids: &[&str]) -> Result<()> {
    let sees = async |reader: &User| {
        eventually("everybody sees it", async || {
            let posts = reader.walk_home(100).await?;
            let shown: Vec<_> = posts.iter().map(|post| post.id.as_str()).collect();
            ensure!(shown == ids, "{} sees {shown:?}, not {ids:?}", reader.id);
            Ok(())
        })
        .await
    };
    stream::iter(readers).map(sees).buffer_unordered(8).try_collect().await
}

#[tokio::test]
async fn every_one_of_many_followers_gets_every_post() -> Result<()> {
    let deployment = Deployment::shared()?;
    let author = deployment.member("author").await?;
    let before = author.post("before anybody followed", None).await?.value.id;
    let follow = async |_| {
        let follower = deployment.member("follower").await?;
        persist(DEADLINE, |_| {}, || follower.follow(&author.id)).await?;
        anyhow::Ok(follower)
    };
    let followers: Vec<User> = stream::iter(0..FOLLOWERS).map(follow).buffered(8).try_collect().await?;
    let first = author.post("to all", None).await?.value.id;
    all_see(&followers, &[&first, &before]).await?;

    let (gone, stay) = followers.split_at(40);
    for follower in gone {
        follower.unfollow(&author.id).await?;
    }
    let second = author.post("to those who stayed", None).await?.value.id;
    author.delete_post(&first).await?;
    all_see(stay, &[&second, &before]).await?;
    all_see(gone, &[]).await?;
    eventually("the author is followed by those who stayed", async || {
        let followers = author.user(&author.id).await?.followers;
        ensure!(followers == (FOLLOWERS - 40) as u64, "{followers}");
        Ok(())
    })
    .await
}
