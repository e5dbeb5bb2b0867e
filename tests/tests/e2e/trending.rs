//! The trending feed is shared by all users, so these tests have their own stack.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use harness::{
    client::{Post, User},
    deployment::Deployment,
    stack::{Options, Stack},
    wait::{DEADLINE, eventually},
};

use crate::{applied, refusal};

async fn own_stack(test: &str) -> Result<Option<(Stack, Deployment)>> {
    if !Deployment::starts_stacks(test) {
        return Ok(None);
    }
    let stack = tokio::task::spawn_blocking(|| Stack::start(Options::default())).await??;
    let deployment = Deployment::at(stack.url())?;
    Ok(Some((stack, deployment)))
}

fn ids(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.id.as_str()).collect()
}

async fn trending_becomes(user: &User, expected: &[&str]) -> Result<Vec<Post>> {
    eventually("the right posts trend", async || {
        let posts = user.walk_trending(2).await?;
        ensure!(ids(&posts) == expected, "{:?}, not {expected:?}", ids(&posts));
        Ok(posts)
    })
    .await
}

#[tokio::test]
async fn the_post_with_the_most_heat_comes_first_and_none_appears_twice() -> Result<()> {
    let Some((_stack, deployment)) =
        own_stack("the_post_with_the_most_heat_comes_first_and_none_appears_twice").await?
    else {
        return Ok(());
    };
    let people = try_join_all((0..6).map(|_| deployment.member("fan"))).await?;
    let ada = &deployment.member("author").await?;
    let mut posts = Vec::new();
    for number in 0..6 {
        posts.push(ada.post(&format!("{number}"), None).await?.value.id);
    }
    let [none, one, two, talk, most, gone] = [0, 1, 2, 3, 4, 5].map(|number| posts[number].as_str());
    let likes = [(one, 1), (two, 2), (most, 5), (gone, 6)];
    for (post, count) in likes {
        try_join_all(people[..count].iter().map(|fan| fan.like(post))).await?;
    }
    let comment = people[0].comment(talk, "let us talk", None).await?.value.id;
    ada.delete_post(gone).await?;
    let shown = trending_becomes(&people[1], &[most, talk, two, one]).await?;
    assert!(!ids(&shown).contains(&none), "a post without heat does not trend");
    for post in &shown {
        let explain = post.explain.as_ref().map(|why| (why.score, why.recency * why.engagement * why.diversity));
        assert!(explain.is_some_and(|(score, product)| (score - product).abs() < 1e-9), "{post:?}");
    }
    // The end of a comment or a like removes its heat, so a score falls during the walk.
    let first = people[2].trending(1, None).await?;
    assert_eq!(ids(&first.posts), [most]);
    try_join_all(people[..5].iter().map(|fan| fan.unlike(most))).await?;
    people[3].like(two).await?;
    ada.delete_comment(talk, &comment).await?;
    trending_becomes(&people[1], &[two, one]).await?;
    let mut walked: Vec<_> = first.posts;
    let mut cursor = first.next_cursor;
    while let Some(at) = cursor {
        let page = people[2].trending(1, Some(&at)).await?;
        walked.extend(page.posts);
        cursor = page.next_cursor;
    }
    assert_eq!(ids(&walked), [most, two, one], "each post once, although the first one is not among the best any more");
    assert_eq!(refusal(people[2].trending(1, Some("nonsense")).await)?, (400, "invalid_cursor".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_walk_ends_even_if_many_trending_posts_are_hidden() -> Result<()> {
    const HIDDEN: usize = 25;
    let Some((_stack, deployment)) = own_stack("a_walk_ends_even_if_many_trending_posts_are_hidden").await? else {
        return Ok(());
    };
    let (ada, bob, eve) =
        (deployment.member("ada").await?, deployment.member("bob").await?, deployment.member("eve").await?);
    let shown = ada.post("shown", None).await?.value.id;
    eve.like(&shown).await?;
    for number in 0..HIDDEN {
        let post = bob.post(&format!("{number}"), None).await?.value.id;
        try_join_all([&ada, &eve].map(|fan| fan.like(&post))).await?;
    }
    eventually("posts that will be hidden come first and last", async || {
        let posts = eve.walk_trending(100).await?;
        let ends = [posts.first(), posts.last()];
        ensure!(posts.len() == HIDDEN + 1 && ends.iter().flatten().all(|post| post.id != shown), "{posts:?}");
        Ok(())
    })
    .await?;
    let mute = eve.mute(&bob.id).await?;
    applied(&eve, mute.version).await?;
    for limit in [1, 3, 20, 100] {
        let (mut walked, mut cursor) = (Vec::new(), None);
        for _ in 0..HIDDEN + 2 {
            let page = eve.trending(limit, cursor.as_deref()).await?;
            walked.extend(page.posts);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((ids(&walked), cursor), (vec![shown.as_str()], None), "by {limit}");
    }
    Ok(())
}

#[tokio::test]
async fn users_who_follow_nobody_get_trending_posts_after_their_own() -> Result<()> {
    let Some((_stack, deployment)) = own_stack("users_who_follow_nobody_get_trending_posts_after_their_own").await?
    else {
        return Ok(());
    };
    let (ada, bob, eve) =
        (deployment.member("ada").await?, deployment.member("bob").await?, deployment.member("eve").await?);
    let (fan, newcomer) = (deployment.member("fan").await?, deployment.newcomer("newcomer").await?);
    let empty = newcomer.home(20, None).await?;
    assert_eq!((empty.posts, empty.next_cursor), (Vec::new(), None), "nothing trends yet");

    let mut liked = Vec::new();
    for number in 0..5 {
        let post = bob.post(&format!("{number}"), None).await?.value.id;
        try_join_all([&ada, &fan, &eve][..1 + number % 3].iter().map(|fan| fan.like(&post))).await?;
        liked.push(post);
    }
    let of_eve = eve.post("of eve", None).await?.value.id;
    fan.like(&of_eve).await?;
    let own = [ada.post("first", None).await?.value.id, ada.post("second", None).await?.value.id];
    fan.like(&own[0]).await?;
    deployment.dev().settle(DEADLINE).await?;
    let trending = newcomer.walk_trending(100).await?;
    assert_eq!(trending.len(), 7);

    let all = |posts: &[Post]| -> Vec<(String, Option<String>)> {
        posts.iter().map(|post| (post.id.clone(), post.source.clone())).collect()
    };
    let marked = |post: &Post| (post.id.clone(), Some("trending".to_owned()));
    for order in ["chronological", "ranked", "personalized"] {
        for limit in [1, 2, 3, 100] {
            let walked = async |user: &User| -> Result<Vec<Post>> {
                let (mut walked, mut cursor) = (Vec::new(), None);
                loop {
                    let page = user.home_by(order, limit, cursor.as_deref()).await?;
                    let full = page.posts.len() == limit as usize;
                    ensure!(full || page.next_cursor.is_none(), "a short page that is not the last: {page:?}");
                    walked.extend(page.posts);
                    cursor = page.next_cursor;
                    if cursor.is_none() {
                        return Ok(walked);
                    }
                }
            };
            let expected: Vec<_> = trending.iter().map(marked).collect();
            assert_eq!(all(&walked(&newcomer).await?), expected, "{order} by {limit}");
            let walked = walked(&ada).await?;
            let (first, rest) = walked.split_at(2);
            assert_eq!(first.iter().map(|post| &post.id).collect::<BTreeSet<_>>(), own.iter().collect());
            assert!(first.iter().all(|post| post.source.is_none()));
            let others = trending.iter().filter(|post| !own.contains(&post.id));
            assert_eq!(all(rest), others.map(marked).collect::<Vec<_>>(), "{order} by {limit}");
        }
    }
    let mute = ada.mute(&bob.id).await?.version;
    let home = ada.at_least(mute).home(100, None).await?;
    assert_eq!(ids(&home.posts), [&own[1], &own[0], &of_eve].map(String::as_str));
    // A user who follows somebody has a home of their own.
    let follow = ada.follow(&eve.id).await?.version;
    let home = ada.at_least(follow).home(100, None).await?;
    assert_eq!((ids(&home.posts), home.next_cursor), (vec![own[1].as_str(), &own[0], &of_eve], None));
    assert!(home.posts.iter().all(|post| post.source.is_none()));
    Ok(())
}

#[tokio::test]
async fn one_account_cannot_make_posts_trend() -> Result<()> {
    let Some((_stack, deployment)) = own_stack("one_account_cannot_make_posts_trend").await? else {
        return Ok(());
    };
    let (ada, bob, eve) =
        (deployment.member("ada").await?, deployment.member("bob").await?, deployment.member("eve").await?);
    let own = ada.post("the author likes and comments", None).await?.value.id;
    ada.like(&own).await?;
    for number in 0..20 {
        ada.comment(&own, &format!("{number}"), None).await?;
    }
    let loud = bob.post("one user comments", None).await?.value.id;
    let mut comments = Vec::new();
    for number in 0..20 {
        comments.push(eve.comment(&loud, &format!("{number}"), None).await?.value.id);
    }
    let liked = eve.post("two users like and comment", None).await?.value.id;
    for fan in [&ada, &bob] {
        fan.like(&liked).await?;
        fan.comment(&liked, "let us talk", None).await?;
    }
    deployment.dev().settle(DEADLINE).await?;
    let shown = trending_becomes(&ada, &[&liked, &loud]).await?;
    let counts: Vec<_> = shown.iter().map(|post| (post.likes, post.comments)).collect();
    assert_eq!(counts, [(2, 2), (0, 20)], "all comments are counted, and one of each user for the heat");
    let engagement: Vec<_> = shown.iter().filter_map(|post| post.explain).map(|why| why.engagement.round()).collect();
    assert_eq!(engagement, [9.0, 4.0]);
    // The heat goes with the last comment.
    let (last, others) = comments.split_last().context("no comments")?;
    try_join_all(others.iter().map(|comment| bob.delete_comment(&loud, comment))).await?;
    eventually("one comment is left, and counts", async || {
        let posts = ada.walk_trending(100).await?;
        ensure!(posts.iter().any(|post| post.id == loud && post.comments == 1), "{posts:?}");
        Ok(())
    })
    .await?;
    eve.delete_comment(&loud, last).await?;
    trending_becomes(&ada, &[&liked]).await?;
    Ok(())
}

#[tokio::test]
async fn authors_take_turns() -> Result<()> {
    let Some((_stack, deployment)) = own_stack("authors_take_turns").await? else { return Ok(()) };
    let people = try_join_all((0..4).map(|_| deployment.member("fan"))).await?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let write = async |author: &User, likes: usize| {
        let post = author.post("like me", None).await?.value.id;
        try_join_all(people[..likes].iter().map(|fan| fan.like(&post))).await?;
        anyhow::Ok(post)
    };
    let (first, second, of_bob) = (write(&ada, 4).await?, write(&ada, 3).await?, write(&bob, 2).await?);
    let shown = trending_becomes(&people[0], &[&first, &of_bob, &second]).await?;
    let diversity: Vec<_> = shown.iter().filter_map(|post| post.explain).map(|why| why.diversity).collect();
    assert_eq!(diversity, [1.0, 1.0, 0.625]);
    Ok(())
}
