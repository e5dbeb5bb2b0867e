//! Several items by their ids, who likes a post, and the posts that the caller likes.

use anyhow::{Result, ensure};
use harness::{
    client::{Person, Post, User, post_path},
    deployment::Deployment,
    wait::{DEADLINE, eventually, within},
};
use reqwest::{Method, RequestBuilder};

use crate::{applied, refused};

const NEVER: &str = "0197f0a0-1111-7222-8333-944455556666";

fn ids(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.id.as_str()).collect()
}

fn people(people: &[Person]) -> Vec<&str> {
    people.iter().map(|person| person.id.as_str()).collect()
}

#[tokio::test]
async fn posts_and_users_come_in_the_order_of_the_request_without_hidden_ones() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob, eve) =
        (deployment.member("ada").await?, deployment.member("bob").await?, deployment.member("eve").await?);
    let (first, second) = (bob.post("first", None).await?.value.id, ada.post("second", None).await?.value.id);
    let gone = bob.post("gone", None).await?.value.id;
    bob.delete_post(&gone).await?;
    let of_eve = eve.post("of eve", None).await?.value.id;
    ada.like(&first).await?;
    let asked = [second.as_str(), NEVER, &of_eve, &gone, &first];
    // New posts are there at once.
    let found = ada.posts_by_id(&asked).await?;
    assert_eq!(ids(&found), [second.as_str(), &of_eve, &first]);
    // The like may be counted between two requests.
    let without_counts = |post: Post| Post { likes: 0, comments: 0, ..post };
    assert_eq!(without_counts(found[2].clone()), without_counts(ada.get_post(&first).await?), "as by its id");
    let users = [eve.id.as_str(), "nobody", &ada.id, &bob.id];
    assert_eq!(people(&ada.users_by_id(&users).await?), [eve.id.as_str(), &ada.id, &bob.id]);

    let blocked = ada.block(&eve.id).await?.version;
    let exact = ada.at_least(blocked);
    assert_eq!(ids(&exact.posts_by_id(&asked).await?), [second.as_str(), &first]);
    assert_eq!(people(&exact.users_by_id(&users).await?), [ada.id.as_str(), &bob.id]);
    applied(&ada, blocked).await?;
    let from_the_other_side = eve.posts_by_id(&[&second, &of_eve]).await?;
    assert_eq!(ids(&from_the_other_side), [of_eve.as_str()]);
    assert_eq!(people(&eve.users_by_id(&users).await?), [eve.id.as_str(), &bob.id]);
    // A mute does not matter to who looks something up.
    let muted = ada.mute(&bob.id).await?.version;
    assert_eq!(ids(&ada.at_least(muted).posts_by_id(&asked).await?), [second.as_str(), &first]);
    Ok(())
}

#[tokio::test]
async fn ids_that_are_not_valid_are_refused() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let get = |path: &str, ids: &str| -> RequestBuilder { ada.request(Method::GET, path).query(&[("ids", ids)]) };
    for path in ["/v1/posts", "/v1/users"] {
        refused(ada.request(Method::GET, path), 400, "invalid_ids").await?;
        for malformed in ["", ",", "@ada", &format!("{NEVER},")] {
            refused(get(path, malformed), 400, "invalid_ids").await?;
        }
        refused(get(path, &format!("{NEVER},{NEVER}")), 400, "duplicate_ids").await?;
        let repeated = ada.request(Method::GET, path).query(&[("ids", NEVER), ("ids", NEVER)]);
        refused(repeated, 400, "duplicate_ids").await?;
        let many = |count: u32| {
            let id = |number| format!("0197f0a0-1111-7222-8333-9444{number:08}");
            (0..count).map(id).collect::<Vec<_>>().join(",")
        };
        refused(get(path, &many(101)), 400, "too_many_ids").await?;
        assert_eq!(crate::status(get(path, &many(100))).await?, 200);
        refused(get(path, NEVER).header("Tidings-Min-Version", "x"), 400, "invalid_version").await?;
        refused(get(path, NEVER).header("Tidings-Min-Version", "9"), 400, "version_unknown").await?;
    }
    refused(get("/v1/posts", "x"), 400, "invalid_ids").await?;
    refused(get("/v1/posts", &NEVER.to_uppercase()), 400, "invalid_ids").await?;
    Ok(())
}

async fn likers_become(viewer: &User, post: &str, expected: &[&str]) -> Result<()> {
    for limit in [1, 20] {
        within(DEADLINE, "those who like the post are listed", async || {
            let likers = viewer.walk_likers_of(post, limit).await?;
            ensure!(people(&likers) == expected, "{likers:?}");
            anyhow::Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn those_who_like_a_post_are_listed_the_last_like_first() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob, eve) =
        (deployment.member("ada").await?, deployment.member("bob").await?, deployment.member("eve").await?);
    let post = ada.post("like me", None).await?.value.id;
    likers_become(&bob, &post, &[]).await?;
    for user in [&bob, &ada, &eve] {
        user.like(&post).await?;
    }
    likers_become(&ada, &post, &[&eve.id, &ada.id, &bob.id]).await?;
    // A like that ends and begins again keeps its place.
    ada.unlike(&post).await?;
    likers_become(&bob, &post, &[&eve.id, &bob.id]).await?;
    ada.like(&post).await?;
    likers_become(&bob, &post, &[&eve.id, &ada.id, &bob.id]).await?;
    let blocked = bob.block(&eve.id).await?.version;
    assert_eq!(people(&bob.at_least(blocked).walk_likers_of(&post, 20).await?), [ada.id.as_str(), &bob.id]);
    let blocked = ada.block(&bob.id).await?.version;
    applied(&ada, blocked).await?;
    let likes = post_path(&post, "/likes");
    refused(bob.request(Method::GET, &likes), 404, "post_not_found").await?;
    refused(bob.request(Method::GET, &post_path(NEVER, "/likes")), 404, "post_not_found").await?;
    refused(eve.request(Method::GET, &likes).query(&[("limit", "0")]), 400, "invalid_limit").await?;
    refused(eve.request(Method::GET, &likes).query(&[("cursor", "x")]), 400, "invalid_cursor").await?;
    Ok(())
}

#[tokio::test]
async fn the_posts_that_the_caller_likes_are_listed_newest_post_first() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let mut posts = Vec::new();
    for number in 0..4 {
        posts.push(bob.post(&format!("number {number}"), None).await?.value.id);
    }
    for post in [&posts[2], &posts[0], &posts[3], &posts[1]] {
        ada.like(post).await?;
    }
    ada.unlike(&posts[3]).await?;
    for limit in [1, 2, 20] {
        eventually("the liked posts are listed", async || {
            let liked = ada.walk_liked(limit).await?;
            ensure!(ids(&liked) == [posts[2].as_str(), &posts[1], &posts[0]], "{liked:?}");
            ensure!(liked.iter().all(|post| post.liked), "{liked:?}");
            Ok(())
        })
        .await?;
    }
    bob.delete_post(&posts[1]).await?;
    eventually("a deleted post is not listed", async || {
        let liked = ada.walk_liked(20).await?;
        ensure!(ids(&liked) == [posts[2].as_str(), &posts[0]], "{liked:?}");
        Ok(())
    })
    .await?;
    let blocked = ada.block(&bob.id).await?.version;
    assert_eq!(ids(&ada.at_least(blocked).walk_liked(20).await?), [""; 0]);
    assert!(bob.walk_liked(20).await?.is_empty());
    refused(ada.request(Method::GET, "/v1/me/likes?cursor=x"), 400, "invalid_cursor").await?;
    Ok(())
}
