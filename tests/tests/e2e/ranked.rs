//! The ranked home: the same posts as in the chronological home, each once, the best first, with the reasons.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use harness::{
    client::{Post, User},
    deployment::Deployment,
    wait::eventually,
};
use reqwest::Method;

use crate::{home_becomes, refusal, refused};

const ORDERS: [&str; 2] = ["ranked", "personalized"];

fn ids(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.id.as_str()).collect()
}

/// A reader who follows authors with so many posts each. All posts are in the reader's home.
async fn reader(deployment: &Deployment, posts_of_authors: &[usize]) -> Result<(User, Vec<User>, Vec<Vec<String>>)> {
    let reader = deployment.member("reader").await?;
    let (mut authors, mut posts) = (Vec::new(), Vec::new());
    for count in posts_of_authors {
        let author = deployment.member("author").await?;
        reader.follow(&author.id).await?;
        let mut written = Vec::new();
        for number in 0..*count {
            written.push(author.post(&format!("{number}"), None).await?.value.id);
        }
        authors.push(author);
        posts.push(written);
    }
    let mut all: Vec<_> = posts.iter().flatten().map(String::as_str).collect();
    all.sort_by(|a, b| b.cmp(a));
    home_becomes(&reader, &all).await?;
    Ok((reader, authors, posts))
}

#[tokio::test]
async fn every_order_shows_every_post_of_the_home_once() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (reader, ..) = reader(&deployment, &[9, 5, 1]).await?;
    let home = reader.walk_home(100).await?;
    for order in ORDERS {
        for limit in [1, 4, 15, 100] {
            let walked = reader.walk_home_by(order, limit).await?;
            let mut sorted = ids(&walked);
            sorted.sort_by(|a, b| b.cmp(a));
            assert_eq!(sorted, ids(&home), "{order} by {limit}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn pages_are_in_the_order_of_the_scores_that_they_explain() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (reader, authors, posts) = reader(&deployment, &[6, 6, 2]).await?;
    // Authors do not count on their own posts.
    let fan = deployment.member("fan").await?;
    try_join_all([&authors[0], &authors[1], &fan].map(|fan| fan.like(&posts[2][0]))).await?;
    fan.comment(&posts[0][0], "let us talk", None).await?;
    reader.like(&posts[1][3]).await?;
    for order in ORDERS {
        let page = eventually("likes and comments are in the ranks", async || {
            let page = reader.home_by(order, 14, None).await?.posts;
            let reactions: u64 = page.iter().map(|post| post.likes + post.comments).sum();
            ensure!(reactions == 5, "{reactions}");
            Ok(page)
        })
        .await?;
        let scores: Vec<_> = page.iter().filter_map(|post| post.explain).collect();
        assert_eq!(scores.len(), 14);
        assert!(scores.is_sorted_by(|a, b| a.score >= b.score), "{order}: {scores:?}");
        for (why, post) in scores.iter().zip(&page) {
            let product = why.recency * why.engagement * why.affinity * why.diversity;
            assert!((why.score / product - 1.0).abs() < 1e-6, "{why:?}");
            assert!(why.recency > 0.9 && why.recency <= 1.0, "{why:?}");
            let likes = post.likes as f64 + 3.0 * post.comments as f64;
            assert!((why.engagement - 1.0 - likes).abs() < 0.05 * (1.0 + likes), "{why:?} of {post:?}");
            let liked_author = order == "personalized" && post.author.id == authors[1].id;
            assert_eq!(why.affinity, if liked_author { 2.0 } else { 1.0 }, "{why:?}");
        }
        // A comment counts as three likes. A like by the reader counts as much, for an author whom only the reader
        // likes.
        let best: BTreeSet<_> =
            page.iter().map(|post| post.id.as_str()).take(if order == "ranked" { 2 } else { 3 }).collect();
        let mut expected = BTreeSet::from([posts[2][0].as_str(), &posts[0][0]]);
        if order == "personalized" {
            expected.insert(&posts[1][3]);
        }
        assert_eq!(best, expected, "{order}");
    }
    let page = reader.home(5, None).await?;
    assert!(page.posts.iter().all(|post| post.explain.is_none()), "the chronological order has no explanation");
    Ok(())
}

#[tokio::test]
async fn authors_take_turns() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (reader, authors, _) = reader(&deployment, &[2, 8]).await?;
    let page = reader.home_by("ranked", 4, None).await?;
    let by_first = page.posts.iter().filter(|post| post.author.id == authors[0].id).count();
    assert_eq!(by_first, 2, "although all eight posts of the other author are newer");
    let diversity: Vec<_> = page.posts.iter().filter_map(|post| post.explain).map(|why| why.diversity).collect();
    assert_eq!(diversity, [1.0, 1.0, 0.625, 0.625]);
    Ok(())
}

#[tokio::test]
async fn a_cursor_works_only_for_its_order() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (reader, ..) = reader(&deployment, &[3]).await?;
    let chronological = reader.home(1, None).await?.next_cursor;
    let ranked = reader.home_by("ranked", 1, None).await?.next_cursor;
    assert!(chronological.is_some() && ranked.is_some());
    let invalid = (400, "invalid_cursor".to_owned());
    assert_eq!(refusal(reader.home_by("ranked", 1, chronological.as_deref()).await)?, invalid);
    assert_eq!(refusal(reader.home_by("personalized", 1, ranked.as_deref()).await)?, invalid);
    assert_eq!(refusal(reader.home(1, ranked.as_deref()).await)?, invalid);
    assert_eq!(refusal(reader.trending(1, ranked.as_deref()).await)?, invalid);
    Ok(())
}

#[tokio::test]
async fn explain_is_true_or_false() -> Result<()> {
    let ada = Deployment::shared()?.newcomer("ada").await?;
    for path in ["/v1/feeds/home?order=ranked", "/v1/feeds/trending?limit=5"] {
        for explain in ["", "1", "True", "yes"] {
            refused(ada.request(Method::GET, &format!("{path}&explain={explain}")), 400, "invalid_explain").await?;
        }
    }
    Ok(())
}
