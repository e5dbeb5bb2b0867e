//! Profiles: PUT and GET /v1/me, GET /v1/users/{user}. A handle belongs to one user at a time.

use anyhow::{Result, ensure};
use futures::future::{join_all, try_join_all};
use harness::{
    client::{Answer, ApiError, Person, Profile, ProfileInput, ProfilePatch, Relation},
    deployment::{Deployment, unique_handle},
    wait::{DEADLINE, eventually, persist},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::refusal;

fn profile(handle: &str, display_name: &str) -> ProfileInput {
    ProfileInput { handle: handle.to_owned(), display_name: display_name.to_owned(), avatar_url: None }
}

#[tokio::test]
async fn a_profile_is_created_read_and_changed() -> Result<()> {
    let ada = Deployment::shared()?.newcomer("ada").await?;
    assert_eq!(refusal(ada.profile().await)?, (404, "profile_not_found".to_owned()));

    let handle = unique_handle();
    let first = ada.put_profile(&profile(&handle, "Ada")).await?;
    assert_eq!(first.version, 1, "the log starts at 1");
    let created_at = first.value.created_at.clone();
    let expected = Profile {
        id: ada.id.clone(),
        handle: handle.clone(),
        display_name: "Ada".to_owned(),
        avatar_url: None,
        created_at: created_at.clone(),
    };
    assert_eq!(first.value, expected);
    assert_eq!(ada.profile().await?.profile(), expected);
    assert!(created_at.len() == 24 && created_at.ends_with('Z') && &created_at[19..20] == ".", "{created_at}");

    let avatar_url = Some("https://example.org/ada.png".to_owned());
    let changed = ProfileInput { avatar_url, ..profile(&handle, "Ada Lovelace") };
    let second = ada.put_profile(&changed).await?;
    assert_eq!(second.version, 2);
    assert_eq!(second.value.created_at, created_at);
    assert_eq!(second.value.avatar_url, changed.avatar_url);
    assert_eq!(ada.profile().await?.profile(), second.value);

    // Sending the same profile again changes nothing. A profile without a picture removes the picture.
    assert_eq!(ada.put_profile(&changed).await?.version, 2);
    let third = ada.put_profile(&profile(&handle, "Ada Lovelace")).await?;
    assert_eq!((third.version, third.value.avatar_url), (3, None));
    Ok(())
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_keeps_the_rest() -> Result<()> {
    let ada = Deployment::shared()?.newcomer("ada").await?;
    let renamed = ProfilePatch { display_name: Some("Ada Lovelace".to_owned()), ..ProfilePatch::default() };
    assert_eq!(refusal(ada.patch_profile(&renamed).await)?, (409, "profile_required".to_owned()));
    let avatar_url = Some("https://example.org/ada.png".to_owned());
    let first = ada.put_profile(&ProfileInput { avatar_url, ..profile(&unique_handle(), "Ada") }).await?.value;

    let second = ada.patch_profile(&renamed).await?;
    let expected = Profile { display_name: "Ada Lovelace".to_owned(), ..first.clone() };
    assert_eq!((second.version, &second.value), (2, &expected));
    let without = ProfilePatch { avatar_url: Some(None), ..ProfilePatch::default() };
    let expected = Profile { avatar_url: None, ..expected };
    let third = ada.patch_profile(&without).await?;
    assert_eq!((third.version, &third.value), (3, &expected));
    let again = ada.patch_profile(&ProfilePatch::default()).await?;
    assert_eq!((again.version, &again.value), (3, &expected), "a patch without members changes nothing");
    let handle = unique_handle();
    let fourth = ada.patch_profile(&ProfilePatch { handle: Some(handle.clone()), ..ProfilePatch::default() }).await?;
    assert_eq!((fourth.version, &fourth.value), (4, &Profile { handle, ..expected }));
    assert_eq!(ada.profile().await?.profile(), fourth.value);
    assert_eq!(refusal(ada.user(&format!("@{}", first.handle)).await)?, (404, "user_not_found".to_owned()));
    Ok(())
}

#[tokio::test]
async fn ones_own_profile_counts_posts_follows_and_followers() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let first = ada.post("one", None).await?.value.id;
    ada.post("two", None).await?;
    ada.follow(&bob.id).await?;
    let own = ada.profile().await?;
    assert_eq!((own.posts, own.following, own.followers), (2, 1, 0), "one's own commands count at once");
    for _ in 0..2 {
        ada.delete_post(&first).await?;
    }
    ada.unfollow(&bob.id).await?;
    bob.follow(&ada.id).await?;
    let own = ada.profile().await?;
    assert_eq!((own.posts, own.following), (1, 0));
    eventually("the follower is counted", async || {
        let own = ada.profile().await?;
        ensure!(own.followers == 1, "{own:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_body_names_a_missing_picture_as_null() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let body: Value = Answer::to(ada.request(Method::GET, "/v1/me")).await?.expect(StatusCode::OK)?.json()?;
    assert_eq!(body.get("avatar_url"), Some(&Value::Null));
    let explicit = json!({ "handle": unique_handle(), "display_name": "Ada", "avatar_url": null });
    Answer::to(ada.request(Method::PUT, "/v1/me").json(&explicit)).await?.expect(StatusCode::OK)?;
    Ok(())
}

#[tokio::test]
async fn everybody_can_be_looked_up_by_id_and_by_handle() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.newcomer("bob").await?);
    assert_eq!(refusal(ada.user(&bob.id).await)?, (404, "user_not_found".to_owned()));
    let handle = unique_handle();
    let created = bob.put_profile(&profile(&handle, "Bob")).await?.value;
    let by_id = eventually("the profile is there", async || ada.user(&bob.id).await).await?;
    assert_eq!((&by_id.id, &by_id.handle, &by_id.display_name), (&bob.id, &handle, &"Bob".to_owned()));
    assert_eq!((by_id.created_at.as_str(), by_id.following, by_id.followers), (created.created_at.as_str(), 0, 0));
    assert_eq!(by_id.relation, Relation::default());
    assert_eq!(ada.user(&format!("@{handle}")).await?, by_id);
    assert_eq!(refusal(ada.user(&format!("@{}", unique_handle())).await)?, (404, "user_not_found".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_handle_has_one_owner_who_can_have_it_back() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.newcomer("ada").await?, deployment.newcomer("bob").await?);
    let (old, new) = (unique_handle(), unique_handle());
    let taken = async || refusal(bob.put_profile(&profile(&old, "Bob")).await);
    ada.put_profile(&profile(&old, "Ada")).await?;
    assert_eq!(taken().await?, (409, "handle_taken".to_owned()));
    assert_eq!(refusal(bob.profile().await)?, (404, "profile_not_found".to_owned()), "a refused command has no effect");

    ada.put_profile(&profile(&new, "Ada")).await?;
    assert_eq!(refusal(bob.user(&format!("@{old}")).await)?, (404, "user_not_found".to_owned()));
    assert_eq!(taken().await?, (409, "handle_taken".to_owned()), "for 30 days");
    let by_handle =
        eventually("the new handle leads to its owner", async || bob.user(&format!("@{new}")).await).await?;
    assert_eq!(by_handle.id, ada.id);

    ada.put_profile(&profile(&old, "Ada")).await?;
    let loud = format!("@{}", old.to_uppercase());
    eventually("the old handle leads to its owner again", async || {
        let found = bob.user(&loud).await?;
        ensure!((&found.id, &found.handle) == (&ada.id, &old), "{found:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn errors_about_a_handle_name_it() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let detail = async |request| {
        let problem: Value = Answer::to(request).await?.json()?;
        anyhow::Ok(problem["detail"].to_string())
    };
    let missing = unique_handle();
    let found = |handle: &str| ada.request(Method::GET, &format!("/v1/users/@{handle}"));
    let claimed =
        |handle: &str| ada.request(Method::PUT, "/v1/me").json(&json!({ "handle": handle, "display_name": "Ada" }));
    for (found, handle) in [
        (detail(found(&missing)).await?, missing.as_str()),
        (detail(found("a.b")).await?, "a.b"),
        (detail(claimed("admin")).await?, "admin"),
        (detail(claimed("A.da")).await?, "A.da"),
    ] {
        assert!(found.contains(&format!("`{handle}`")), "{found} does not name {handle}");
    }
    Ok(())
}

#[tokio::test]
async fn one_of_two_users_gets_a_handle_that_both_request_at_once() -> Result<()> {
    let deployment = Deployment::shared()?;
    for _ in 0..8 {
        let handle = unique_handle();
        let mut rivals = Vec::new();
        for name in ["ada", "bob", "cyd"] {
            rivals.push(deployment.newcomer(name).await?);
        }
        let input = profile(&handle, "Me");
        let claims = rivals.iter().map(|rival| persist(DEADLINE, |_| {}, || rival.put_profile(&input)));
        let results = join_all(claims).await;
        let (mut winners, mut losers) = (Vec::new(), Vec::new());
        for (rival, result) in rivals.iter().zip(results) {
            match result {
                Ok(_) => winners.push(rival),
                Err(error) => {
                    assert_eq!(refusal(Err::<(), ApiError>(error))?, (409, "handle_taken".to_owned()));
                    losers.push(rival);
                }
            }
        }
        assert_eq!((winners.len(), losers.len()), (1, 2));
        assert_eq!(winners[0].profile().await?.handle, handle);
        for loser in losers {
            assert_eq!(refusal(loser.profile().await)?, (404, "profile_not_found".to_owned()));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_new_name_shows_on_old_posts() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let post = ada.post("before the change", None).await?.value;
    let handle = unique_handle();
    ada.put_profile(&ProfileInput {
        avatar_url: Some("https://example.org/new.png".to_owned()),
        ..profile(&handle, "Ada the Second")
    })
    .await?;
    let expected = Person {
        id: ada.id.clone(),
        handle,
        display_name: "Ada the Second".to_owned(),
        avatar_url: Some("https://example.org/new.png".to_owned()),
    };
    eventually("the post shows its author's new name", async || {
        for posts in [ada.walk_home(10).await?, ada.walk_posts_of(&ada.id, 10).await?] {
            let authors: Vec<_> = posts.into_iter().map(|post| (post.id, post.author)).collect();
            ensure!(authors == [(post.id.clone(), expected.clone())], "{authors:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn ids_with_odd_characters_work_everywhere() -> Result<()> {
    let deployment = Deployment::shared()?;
    let ada = deployment.member("ada").await?;
    let names = ["auth0|abc", "a/b/../c", "100%25 + ? & = #", "naïve 日本語 🦀", "\"quoted\\", "a@b", "USER#x", " x "];
    let works = async |name: &str| {
        let odd = deployment.member(name).await?;
        persist(DEADLINE, |_| {}, || ada.follow(&odd.id)).await?;
        odd.follow(&ada.id).await?;
        let post = odd.post(name, None).await?.value;
        assert_eq!(post.author.id, odd.id);
        eventually("the odd one is seen by all routes", async || {
            ensure!(ada.walk_home(10).await?.iter().any(|shown| shown.id == post.id), "not at home");
            ensure!(ada.walk_posts_of(&odd.id, 10).await?.len() == 1, "not among its posts");
            let seen = ada.user(&odd.id).await?;
            ensure!(seen.id == odd.id && (seen.following, seen.followers) == (1, 1), "{seen:?}");
            ensure!(
                seen.relation == Relation { following: true, followed_by: true, ..Relation::default() },
                "{seen:?}"
            );
            let lists = [ada.walk_followers_of(&odd.id, 10).await?, ada.walk_followed_by(&odd.id, 10).await?];
            ensure!(lists.iter().all(|list| list.len() == 1 && list[0].id == ada.id), "{lists:?}");
            Ok(())
        })
        .await?;
        persist(DEADLINE, |_| {}, || ada.unfollow(&odd.id)).await?;
        anyhow::Ok(())
    };
    try_join_all(names.map(works)).await?;
    Ok(())
}
