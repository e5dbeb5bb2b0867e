//! Comments: one per idempotency key, in order, and gone after their deletion.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use harness::{
    client::{Answer, Comment, post_path},
    deployment::Deployment,
    wait::eventually,
};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{likes::counts_become, refusal, refused};

#[tokio::test]
async fn a_comment_is_answered_with_itself_and_its_place() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let post = ada.post("what do you think?", None).await?.value.id;
    let request = bob.request(Method::POST, &post_path(&post, "/comments")).json(&json!({ "text": "Nice #one" }));
    let answer = Answer::to(request).await?.expect(StatusCode::CREATED)?;
    let comment: Comment = answer.json()?;
    let place = post_path(&post, &format!("/comments/{}", comment.id));
    assert_eq!(answer.header("location"), Some(place.as_str()));
    assert_eq!(answer.version()?, 2, "it is in the log");
    assert_eq!((comment.post.as_str(), comment.text.as_str()), (post.as_str(), "Nice #one"));
    assert_eq!(comment.author.id, bob.id);
    let found: Comment = Answer::to(ada.request(Method::GET, &place)).await?.expect(StatusCode::OK)?.json()?;
    assert_eq!(found, comment, "the place leads to the comment");
    assert_eq!(ada.walk_comments(&post, "oldest", 10).await?, [comment], "at once, to everybody");
    counts_become(&ada, &post, 0, 1).await?;
    Ok(())
}

/// INV-6.
#[tokio::test]
async fn one_key_makes_one_comment() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let post = ada.post("what do you think?", None).await?.value.id;
    let first = bob.comment(&post, "Nice", Some("key")).await?;
    let again = futures::future::try_join_all((0..4).map(|_| bob.comment(&post, "Nice", Some("key")))).await?;
    assert!(again.iter().all(|answer| *answer == first), "{again:?}");
    let reused = (422, "idempotency_key_reused".to_owned());
    assert_eq!(refusal(bob.comment(&post, "Other", Some("key")).await)?, reused);
    assert_eq!(refusal(bob.post("Nice", Some("key")).await)?, reused, "keys are the user's, not the route's");
    assert_eq!(ada.comment(&post, "Nice", Some("key")).await?.version, 3, "another user's key is another key");
    counts_become(&ada, &post, 0, 2).await?;
    Ok(())
}

#[tokio::test]
async fn comments_are_paged_from_either_end() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let post = ada.post("say a lot", None).await?.value.id;
    let mut ids = Vec::new();
    for number in 0..9 {
        let author = [&ada, &bob][number % 2];
        ids.push(author.comment(&post, &format!("{number}"), None).await?.value.id);
    }
    let walk = async |order: &str, limit| {
        let walked = bob.walk_comments(&post, order, limit).await?;
        anyhow::Ok(walked.into_iter().map(|comment| comment.id).collect::<Vec<_>>())
    };
    let reversed: Vec<_> = ids.iter().rev().cloned().collect();
    for limit in [1, 3, 4, 9, 100] {
        assert_eq!(walk("oldest", limit).await?, ids, "{limit}");
        assert_eq!(walk("newest", limit).await?, reversed, "{limit}");
    }
    let page = bob.comments(&post, "oldest", 9, None).await?;
    assert_eq!(page.next_cursor, None, "the last page has no cursor");
    let cursor = bob.comments(&post, "oldest", 3, None).await?.next_cursor;
    assert_eq!(refusal(bob.comments(&post, "newest", 3, cursor.as_deref()).await)?, (400, "invalid_cursor".to_owned()));
    Ok(())
}

/// INV-5.
#[tokio::test]
async fn a_walk_while_comments_come_and_go_repeats_and_skips_nothing() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let post = ada.post("say a lot", None).await?.value.id;
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(ada.comment(&post, &format!("{number}"), None).await?.value.id);
    }
    for order in ["oldest", "newest"] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = ada.comments(&post, order, 2, cursor.as_deref()).await?;
            // The comment that was just seen is deleted, and a new one is added.
            if let Some(last) = page.comments.last().filter(|last| !ids.contains(&last.id)) {
                ada.delete_comment(&post, &last.id).await?;
            }
            ada.comment(&post, "meanwhile", None).await?;
            seen.extend(page.comments.into_iter().map(|comment| comment.id));
            cursor = page.next_cursor;
            if cursor.is_none() || seen.len() > 60 {
                break;
            }
        }
        let distinct: BTreeSet<_> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len(), "{order}: {seen:?}");
        assert!(ids.iter().all(|id| distinct.contains(id)), "{order}: {seen:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_comment_is_deleted_by_its_author_or_by_the_posts_author() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob, eve) =
        (deployment.member("ada").await?, deployment.member("bob").await?, deployment.member("eve").await?);
    let post = ada.post("what do you think?", None).await?.value.id;
    let mut ids = Vec::new();
    for text in ["kept", "taken back", "taken off"] {
        ids.push(bob.comment(&post, text, None).await?.value.id);
    }
    counts_become(&ada, &post, 0, 3).await?;
    let not_author = (403, "not_author".to_owned());
    assert_eq!(refusal(eve.delete_comment(&post, &ids[1]).await)?, not_author);
    assert_eq!(bob.delete_comment(&post, &ids[1]).await?.version, 5);
    assert_eq!(bob.delete_comment(&post, &ids[1]).await?.version, 5, "a second time changes nothing");
    assert_eq!(
        ada.delete_comment(&post, &ids[2]).await?.version,
        3,
        "the deletion is in the log of the user who deleted"
    );
    assert_eq!(bob.delete_comment(&post, &ids[2]).await?.version, 5);
    assert_eq!(refusal(eve.delete_comment(&post, &ids[2]).await)?, (404, "comment_not_found".to_owned()));
    let left: Vec<_> = eve.walk_comments(&post, "newest", 1).await?.into_iter().map(|comment| comment.id).collect();
    assert_eq!(left, ids[..1]);
    counts_become(&ada, &post, 0, 1).await?;
    for unknown in ["0197f0a0-1111-7222-8333-944455556666", "x"] {
        assert_eq!(refusal(bob.delete_comment(&post, unknown).await)?, (404, "comment_not_found".to_owned()));
    }
    Ok(())
}

#[tokio::test]
async fn a_post_that_is_not_there_has_no_comments() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let post = ada.post("gone soon", None).await?.value.id;
    bob.comment(&post, "oh", None).await?;
    ada.delete_post(&post).await?;
    assert_eq!(refusal(bob.comment(&post, "oh", None).await)?, (404, "post_not_found".to_owned()));
    eventually("its comments are not shown", async || {
        let refused = refusal(bob.comments(&post, "oldest", 10, None).await)?;
        ensure!(refused == (404, "post_not_found".to_owned()), "{refused:?}");
        Ok(())
    })
    .await?;
    for unknown in ["0197f0a0-1111-7222-8333-944455556666", "x"] {
        let paths = [post_path(unknown, "/comments"), post_path(unknown, "")];
        for path in paths {
            refused(bob.request(Method::GET, &path), 404, "post_not_found").await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_comment_needs_a_profile() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, ghost) = (deployment.member("ada").await?, deployment.newcomer("ghost").await?);
    let post = ada.post("what do you think?", None).await?.value.id;
    assert_eq!(refusal(ghost.comment(&post, "boo", None).await)?, (409, "profile_required".to_owned()));
    Ok(())
}
