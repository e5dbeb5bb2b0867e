//! INV-5: walking by cursor never shows a post twice, and never skips a post that was there all the time.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use harness::{
    client::{Post, User},
    deployment::Deployment,
    wait::eventually,
};

use crate::home_becomes;

/// ada follows five users who take turns to post. The ids are newest first.
async fn a_feed_of(count: usize, deployment: &Deployment) -> Result<(User, Vec<User>, Vec<String>)> {
    let ada = deployment.member("ada").await?;
    let authors = try_join_all((0..5).map(|_| deployment.member("author"))).await?;
    for author in &authors {
        ada.follow(&author.id).await?;
    }
    let mut ids = Vec::new();
    for (number, author) in (0..count).zip(authors.iter().cycle()) {
        ids.insert(0, author.post(&format!("post {number}"), None).await?.value.id);
    }
    home_becomes(&ada, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    Ok((ada, authors, ids))
}

fn ids_of(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.id.as_str()).collect()
}

#[tokio::test]
async fn every_page_size_walks_the_same_feed() -> Result<()> {
    let (ada, authors, ids) = a_feed_of(23, &Deployment::shared()?).await?;
    for limit in [1, 2, 7, 22, 23, 24, 100] {
        assert_eq!(ids_of(&ada.walk_home(limit).await?), ids, "home by {limit}");
        let first = authors[0].walk_posts_of(&authors[0].id, limit).await?;
        assert_eq!(ids_of(&first), ids.iter().rev().step_by(5).rev().collect::<Vec<_>>(), "posts by {limit}");
    }
    Ok(())
}

#[tokio::test]
async fn a_walk_of_an_authors_posts_goes_on_where_a_deleted_one_was() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.insert(0, ada.post(&format!("post {number}"), None).await?.value.id);
    }
    home_becomes(&ada, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let first = ada.posts_of(&ada.id, 2, None).await?;
    assert_eq!(ids_of(&first.posts), ids[..2]);

    ada.delete_post(&ids[1]).await?;
    eventually("the post is gone", async || {
        let posts = ada.walk_posts_of(&ada.id, 100).await?;
        ensure!(!ids_of(&posts).contains(&ids[1].as_str()), "it is still there");
        anyhow::Ok(())
    })
    .await?;
    let next = ada.posts_of(&ada.id, 2, first.next_cursor.as_deref()).await?;
    assert_eq!(ids_of(&next.posts), ids[2..4]);
    Ok(())
}

#[tokio::test]
async fn people_with_all_kinds_of_ids_are_paged_in_one_order() -> Result<()> {
    let deployment = Deployment::shared()?;
    let ada = deployment.member("ada").await?;
    let names = ["fan!", "fan%", "fan A", "fan#", "fan/", "fan~", "fané", "fan日", "fan🦀", "fan"];
    let fans = try_join_all(names.map(|name| deployment.member(name))).await?;
    for fan in &fans {
        fan.follow(&ada.id).await?;
        ada.follow(&fan.id).await?;
    }
    let people = async |limit: u32| {
        let lists = [ada.walk_followers_of(&ada.id, limit).await?, ada.walk_followed_by(&ada.id, limit).await?];
        anyhow::Ok(lists.map(|list| list.into_iter().map(|person| person.id).collect::<Vec<_>>()))
    };
    let everybody: BTreeSet<_> = fans.iter().map(|fan| fan.id.clone()).collect();
    let all = eventually("everybody has a card", async || {
        let all = people(100).await?;
        ensure!(all.iter().all(|list| list.iter().cloned().collect::<BTreeSet<_>>() == everybody), "{all:?}");
        Ok(all)
    })
    .await?;
    assert!(all.iter().all(|list| list.len() == fans.len()), "nobody twice: {all:?}");
    for limit in [1, 3, 9, 10, 11] {
        assert_eq!(people(limit).await?, all, "by {limit}");
    }
    Ok(())
}
