//! One visit to every function, and to every event source but two: the queue of Recover, which only failures fill
//! (`localstack/deploy` checks that its event source is enabled), and the schedule of Audit. It takes a minute:
//! `localstack/test` and everybody who has just deployed runs only these tests. They need nothing but the HTTP API, so
//! they run against any deployment.
//!
//! Followers' homes show that PublishEvents and Fanout work, counts that Trending works, and an audience above
//! [`PUSHED_AT_ONCE`] that Deliver works. DemoteAuthor, Moderate, Audit, Recover and Rebuild have no route. The gateway
//! of the local stack, and of LocalStack, invokes them.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use harness::{
    client::{ApiError, Post, ProfileInput, Relation, User},
    deployment::{Deployment, unique, unique_handle},
    wait::{DEADLINE, eventually, persist, within},
};
use serde_json::{Value, json};

use crate::{applied, home_becomes, likes::counts_become};

/// Fanout pushes a post to so many homes by itself. For more followers, it sends a task to Deliver.
const PUSHED_AT_ONCE: usize = 100;
/// How long the work queue may take: LocalStack has one poller for it, and each of the followers has a task in it, too.
const PATIENCE: Duration = DEADLINE.saturating_mul(2);
/// How many followers join at the same time.
const JOINING: usize = 8;

fn ids(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.id.as_str()).collect()
}

#[tokio::test]
async fn every_feature_works_once() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob, eve) =
        (deployment.member("ada").await?, deployment.member("bob").await?, deployment.member("eve").await?);
    let tag = unique();

    // UpdateProfile, FollowUser, CreatePost, EditPost, DeletePost; then PublishEvents and Fanout.
    let profile = ProfileInput { handle: unique_handle(), display_name: "Bob now".to_owned(), avatar_url: None };
    bob.put_profile(&profile).await?;
    for author in [&bob, &eve] {
        ada.follow(&author.id).await?;
    }
    let edited = bob.post("a first text", None).await?.value.id;
    let gone = bob.post("soon gone", None).await?.value.id;
    let of_eve = eve.post(&format!("of eve #{tag}"), None).await?.value.id;
    let text = format!("a second text #{tag}");
    bob.edit_post(&edited, &text).await?;
    bob.delete_post(&gone).await?;
    let both = [of_eve.as_str(), &edited];
    eventually("the home shows the edited post", async || {
        let home = ada.walk_home(100).await?;
        ensure!(ids(&home) == both, "{home:?}");
        ensure!((home[1].text.as_str(), &home[1].author.handle) == (text.as_str(), &profile.handle), "{home:?}");
        Ok(())
    })
    .await?;

    // ReactToPost and CommentOnPost; then Trending.
    ada.like(&edited).await?;
    let comment = eve.comment(&edited, "a comment", None).await?.value.id;
    ada.comment(&edited, "another one", None).await?;
    counts_become(&ada, &edited, 1, 2).await?;
    let comments = ada.walk_comments(&edited, "oldest", 1).await?;
    ensure!(comments.len() == 2 && comments[0].id == comment, "{comments:?}");
    let seen = within(DEADLINE, "the follower is counted", async || {
        let seen = ada.user(&format!("@{}", profile.handle)).await?;
        ensure!(seen.followers == 1, "{seen:?}");
        Ok(seen)
    })
    .await?;
    ensure!(seen.relation == Relation { following: true, ..Relation::default() }, "{seen:?}");

    // GetFeed, GetPost and GetProfile: every feed and every list.
    for order in ["ranked", "personalized"] {
        let ranked = ada.walk_home_by(order, 1).await?;
        ensure!(ids(&ranked) == [edited.as_str(), &of_eve], "{order}: {ranked:?}");
    }
    ensure!(ids(&ada.walk_posts_with(&tag, 1).await?) == both, "the feed of the tag");
    ensure!(ids(&ada.walk_posts_of(&bob.id, 10).await?) == [edited.as_str()], "the posts of bob");
    within(DEADLINE, "the post trends", async || {
        let trending = eve.walk_trending(100).await?;
        // On a busy deployment, others may have more heat.
        ensure!(ids(&trending).contains(&edited.as_str()) || trending.len() >= 200, "it does not trend");
        anyhow::Ok(())
    })
    .await?;
    let people = [ada.walk_followers_of(&bob.id, 10).await?, bob.walk_followers_of(&eve.id, 10).await?].concat();
    ensure!(people.iter().all(|person| person.id == ada.id) && people.len() == 2, "{people:?}");
    ensure!(ada.walk_followed_by(&ada.id, 1).await?.len() == 2, "ada follows two users");

    // IssueTicket. A deployment may have no second address.
    match ada.feed_ticket().await {
        Err(ApiError::Status { code: Some(code), .. }) if code == "no_feed_url" => {}
        ticket => {
            let there = ada.with_ticket(&ticket?);
            ensure!(ids(&there.walk_home(10).await?) == both, "the home at the second address");
        }
    }

    // What clients ask often: several items at once, who likes what, and what is new.
    ensure!(ids(&ada.posts_by_id(&[&of_eve, &gone, &edited]).await?) == both, "posts by their ids");
    ensure!(ada.users_by_id(&[&eve.id, &bob.id]).await?.len() == 2, "users by their ids");
    ensure!(ids(&ada.walk_liked(10).await?) == [edited.as_str()], "the posts that ada likes");
    eventually("the post is liked by ada", async || {
        let likers = eve.walk_likers_of(&edited, 10).await?;
        ensure!(likers.len() == 1 && likers[0].id == ada.id, "{likers:?}");
        Ok(())
    })
    .await?;
    // Notifications: bob has those of his post and of his followers.
    eventually("bob is notified", async || {
        let page = bob.notifications(20, None).await?;
        let kinds: BTreeSet<_> = page.notifications.iter().map(|it| it.kind.as_str()).collect();
        ensure!(kinds == ["comment", "follow", "like"].into() && page.unread == 3, "{page:?}");
        Ok(())
    })
    .await?;
    // ReadStatistics: what was counted, for bob and for the operator.
    eventually("bob's day is counted", async || {
        let days = bob.stats(None, None).await?.days;
        let likes: i64 = days.iter().map(|it| it.likes_received).sum();
        let gained: i64 = days.iter().map(|it| it.followers_gained).sum();
        ensure!((days.len(), likes) == (7, 1) && gained >= 1, "{days:?}");
        Ok(())
    })
    .await?;
    if let Some(answer) = invoke("ReadStatistics", &json!({ "site": { "tags": 3 } })).await? {
        let posts: i64 = answer?["days"].as_array().into_iter().flatten().filter_map(|it| it["posts"].as_i64()).sum();
        ensure!(posts > 0, "no posts are counted");
    }
    bob.turn_off("like").await?;
    bob.turn_on("like").await?;
    // A group can grow for a second after the last notice.
    eventually("bob has seen all", async || {
        bob.see_notifications(&bob.notifications(1, None).await?.notifications[0].at).await?;
        let unread = bob.profile().await?.unread;
        ensure!(unread == 0, "{unread} are unread");
        Ok(())
    })
    .await?;

    let newest = ada.home(20, None).await?.newest;
    let new = bob.post("news", None).await?.value.id;
    eventually("the new post is new", async || {
        let found = ada.newer(&newest, Some(10)).await?;
        ensure!(found.new == 1 && ids(&found.posts) == [new.as_str()], "{found:?}");
        Ok(())
    })
    .await?;
    bob.delete_post(&new).await?;

    // Search: posts by their words, and users by their names. A deployment may have none.
    let found = eve.search("news", "newest", 1, None).await;
    if !matches!(&found, Err(ApiError::Status { code: Some(code), .. }) if code == "search_off") {
        eventually("the post is found", async || {
            let found = eve.walk_search(&format!("#{tag} -{}", unique()), "newest", 1).await?;
            ensure!(ids(&found) == both, "{found:?}");
            let top = eve.walk_search(&format!("#{tag} from:@{}", profile.handle), "top", 1).await?;
            ensure!(ids(&top) == [edited.as_str()], "{top:?}");
            let people = eve.walk_search_users(&profile.handle, 10).await?;
            ensure!(people.iter().any(|person| person.id == bob.id), "{people:?}");
            Ok(())
        })
        .await?;
    }

    // MuteUser and BlockUser, the reversals of all commands, and an own command before its projection.
    ada.mute(&bob.id).await?;
    let blocked = ada.block(&eve.id).await?.version;
    let exact = ada.at_least(blocked);
    ensure!(exact.walk_home(10).await?.is_empty(), "bob is muted, and eve is blocked");
    ensure!(exact.walk_mutes(10).await?.len() == 1 && exact.walk_blocks(10).await?.len() == 1, "the two lists");
    ada.unlike(&edited).await?;
    bob.delete_comment(&edited, &comment).await?;
    ada.unblock(&eve.id).await?;
    let unmuted = ada.unmute(&bob.id).await?.version;
    applied(&ada, unmuted).await?;
    counts_become(&ada, &edited, 0, 1).await?;
    home_becomes(&ada, &[&edited]).await?;
    ada.unfollow(&bob.id).await?;
    home_becomes(&ada, &[]).await?;
    Ok(())
}

#[tokio::test]
async fn a_post_reaches_an_audience_that_deliver_has_to_enumerate() -> Result<()> {
    let deployment = Deployment::shared()?;
    let author = deployment.member("author").await?;
    let join = async |_| {
        let follower = deployment.member("follower").await?;
        persist(DEADLINE, |_| {}, || follower.follow(&author.id)).await?;
        anyhow::Ok(follower)
    };
    let joining = stream::iter(0..=PUSHED_AT_ONCE).map(join).buffer_unordered(JOINING);
    let followers: Vec<User> = joining.try_collect().await?;
    let post = author.post("to all", None).await?.value.id;
    let sees = async |follower: &User| {
        within(PATIENCE, "the follower sees the post", async || {
            let home = follower.walk_home(100).await?;
            ensure!(ids(&home) == [post.as_str()], "{} sees {:?}", follower.id, ids(&home));
            anyhow::Ok(())
        })
        .await
    };
    stream::iter(&followers).map(sees).buffer_unordered(JOINING).try_collect::<()>().await?;
    let last = followers.last().context("no followers")?;
    last.unfollow(&author.id).await?;
    author.delete_post(&post).await?;
    try_join_all([&followers[0], last].map(|follower| home_becomes(follower, &[]))).await?;
    Ok(())
}

/// Only an administrator, a schedule and AWS invoke these functions. None without a gateway that invokes functions.
/// Where the services are slow, as on a busy machine, an operator tries again, and so does this.
async fn invoke(function: &str, payload: &Value) -> Result<Option<Result<Value>>> {
    let mut tries_left = 3;
    loop {
        tries_left -= 1;
        match Deployment::shared()?.dev().invoke(function, payload).await {
            Err(error) if error.to_string().contains("Not Found") => {
                eprintln!("skipped: {function} needs a gateway that invokes functions");
                return Ok(None);
            }
            Err(error) if error.to_string().contains("timed out") && tries_left > 0 => {
                eprintln!("{function}: {error:#}; trying again");
            }
            answer => return Ok(Some(answer)),
        }
    }
}

async fn home_is_empty(user: &User) -> Result<()> {
    within(PATIENCE, "the home is empty", async || {
        let home = user.walk_home(100).await?;
        ensure!(home.is_empty(), "{} sees {:?}", user.id, ids(&home));
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn an_account_is_exported_moderated_and_deleted() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    bob.follow(&ada.id).await?;
    let post = ada.post("of ada", None).await?.value.id;
    home_becomes(&bob, &[&post]).await?;
    let exported = ada.walk_export(1).await?;
    ensure!(exported.iter().any(|entry| entry.made.as_ref().is_some_and(|made| made["text"] == "of ada")));

    if let Some(answer) = invoke("Moderate", &json!({ "suspend": { "user": ada.id } })).await? {
        answer?;
        home_is_empty(&bob).await?;
    }
    ada.delete_account().await?;
    home_is_empty(&bob).await?;
    within(PATIENCE, "the follow has ended", async || {
        let following = bob.profile().await?.following;
        ensure!(following == 0, "bob follows {following}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn demote_author_refuses_an_author_who_is_no_celebrity() -> Result<()> {
    let author = Deployment::shared()?.member("author").await?;
    match invoke("DemoteAuthor", &json!({ "user": author.id })).await? {
        Some(Err(refused)) if refused.to_string().contains("is not a celebrity") => Ok(()),
        None => Ok(()),
        other => bail!("expected a refusal, got {other:?}"),
    }
}

/// A sweep is not for a visit of a minute: while others write, it looks twice at much, and may take all its time.
#[tokio::test]
async fn audit_finds_nothing_wrong_with_a_user() -> Result<()> {
    let author = Deployment::shared()?.member("author").await?;
    author.post("looked at", None).await?;
    within(DEADLINE, "the audit finds nothing", async || {
        let Some(answer) = invoke("Audit", &json!({ "user": { "user": author.id } })).await? else { return Ok(()) };
        let answer = answer?;
        ensure!(answer == json!({ "findings": [], "repairs": 0 }), "{answer}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn recover_has_nothing_to_do_without_reports() -> Result<()> {
    let Some(answer) = invoke("Recover", &json!({ "Records": [] })).await? else { return Ok(()) };
    let answer = answer?;
    ensure!(answer["batchItemFailures"] == json!([]), "{answer}");
    Ok(())
}

#[tokio::test]
async fn rebuild_tells_which_tables_are_read_and_refuses_what_it_does_not_know() -> Result<()> {
    let Some(answer) = invoke("Rebuild", &json!({ "action": "status" })).await? else { return Ok(()) };
    let status = answer?;
    ensure!(status["active"].as_str().is_some_and(|active| (3..=4).contains(&active.len())), "{status}");
    let refused = invoke("Rebuild", &json!({ "action": "start", "models": ["nothing"] })).await?;
    ensure!(refused.is_some_and(|answer| answer.is_err()), "a model that there is not was accepted");
    Ok(())
}
