//! Notifications: likes, comments, mentions and follows that concern the caller.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{
    client::{Answer, Notification, NotificationsPage, User},
    costs::Cost,
    deployment::{Deployment, unique_handle},
    wait::{DEADLINE, within},
};
use reqwest::Method;
use serde_json::json;

use crate::{applied, costs::WHICH_TABLES, refused};

/// A notification in short: the kind, the number, and the people.
fn short(notifications: &[Notification]) -> Vec<(&str, usize, Vec<&str>)> {
    let people = |it: &Notification| it.people.iter().map(|person| person.id.as_str().to_owned()).collect::<Vec<_>>();
    let mut all: Vec<_> = notifications
        .iter()
        .map(|it| {
            let ids = people(it).into_iter().map(|id| &*id.leak()).collect();
            (it.kind.as_str(), it.count, ids)
        })
        .collect();
    all.sort_unstable();
    all
}

/// Waits until the user has these notifications, in any order.
async fn become_of(user: &User, expected: &[(&str, usize, Vec<&str>)]) -> Result<NotificationsPage> {
    within(DEADLINE, "the notifications are there", async || {
        let page = user.notifications(100, None).await?;
        ensure!(short(&page.notifications) == expected, "{page:?}");
        ensure!(page.notifications.iter().filter(|it| it.unread).count() == page.unread, "{page:?}");
        ensure!(user.profile().await?.unread == page.unread, "the profile has another number");
        anyhow::Ok(page)
    })
    .await
}

/// As [`become_of`], but also waits until the inbox has been written after the last notice, which takes a second.
async fn come_to_rest(user: &User, expected: &[(&str, usize, Vec<&str>)], unread: usize) -> Result<NotificationsPage> {
    within(DEADLINE, "the inbox rests", async || {
        let page = become_of(user, expected).await?;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let again = user.notifications(100, None).await?;
        let at = |page: &NotificationsPage| page.notifications.iter().map(|it| it.at.clone()).collect::<Vec<_>>();
        ensure!(at(&page) == at(&again) && again.unread == unread, "{page:?} and then {again:?}");
        anyhow::Ok(again)
    })
    .await
}

#[tokio::test]
async fn what_others_do_is_grouped_counted_and_seen() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob, eve) =
        (deployment.member("ada").await?, deployment.member("bob").await?, deployment.member("eve").await?);
    let handle = ada.profile().await?.handle;
    assert_eq!(ada.profile().await?.unread, 0);
    let post = ada.post("a post", None).await?.value.id;
    for user in [&bob, &ada] {
        user.like(&post).await?;
    }
    bob.comment(&post, "one", None).await?;
    let second = bob.comment(&post, "two", None).await?.value.id;
    eve.follow(&ada.id).await?;
    let mention = eve.post(&format!("Hi @{}", handle.to_uppercase()), None).await?.value.id;
    let (b, e) = (bob.id.as_str(), eve.id.as_str());
    let all = [("comment", 2, vec![b]), ("follow", 1, vec![e]), ("like", 1, vec![b]), ("mention", 1, vec![e])];
    let page = come_to_rest(&ada, &all, 4).await?;
    for it in &page.notifications {
        let subject = it.post.as_ref().map(|post| post.id.as_str());
        let expected = match it.kind.as_str() {
            "follow" => None,
            "mention" => Some(mention.as_str()),
            _ => Some(post.as_str()),
        };
        assert_eq!(subject, expected, "{it:?}");
    }
    // The newest first, page by page, each once.
    let at: Vec<_> = page.notifications.iter().map(|it| it.at.clone()).collect();
    assert!(at.is_sorted_by(|a, b| a >= b), "{at:?}");
    for limit in [1, 3] {
        let walked: Vec<_> = ada.walk_notifications(limit).await?.into_iter().map(|it| it.at).collect();
        assert_eq!(walked, at, "{limit} at a time");
    }

    // What was seen is read; an earlier mark, from another device, changes nothing.
    ada.see_notifications(&at[1]).await?;
    assert_eq!(ada.notifications(1, None).await?.unread, 1);
    ada.see_notifications(&at[0]).await?;
    ada.see_notifications(&at[3]).await?;
    assert_eq!(ada.profile().await?.unread, 0);
    // A group that grows is unread again, and the first one.
    eve.like(&post).await?;
    let grown = [("comment", 2, vec![b]), ("follow", 1, vec![e]), ("like", 2, vec![e, b]), ("mention", 1, vec![e])];
    let page = come_to_rest(&ada, &grown, 1).await?;
    assert_eq!(page.notifications[0].kind, "like");
    ada.see_notifications(&page.notifications[0].at).await?;

    // What ends is gone, and what begins again is nothing new.
    bob.unlike(&post).await?;
    bob.delete_comment(&post, &second).await?;
    eve.unfollow(&ada.id).await?;
    eve.delete_post(&mention).await?;
    become_of(&ada, &[("comment", 1, vec![b]), ("like", 1, vec![e])]).await?;
    bob.like(&post).await?;
    // It is the same like.
    come_to_rest(&ada, &[("comment", 1, vec![b]), ("like", 2, vec![e, b])], 0).await?;
    // An own post that is deleted has no notifications.
    let version = ada.delete_post(&post).await?.version;
    applied(&ada, version).await?;
    become_of(&ada, &[]).await?;
    Ok(())
}

#[tokio::test]
async fn whom_the_caller_hides_and_kinds_that_are_off_are_neither_listed_nor_counted() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob, eve) =
        (deployment.member("ada").await?, deployment.member("bob").await?, deployment.member("eve").await?);
    let post = ada.post("a post", None).await?.value.id;
    for user in [&bob, &eve] {
        user.like(&post).await?;
        user.follow(&ada.id).await?;
    }
    let (b, e) = (bob.id.as_str(), eve.id.as_str());
    within(DEADLINE, "all are there", async || {
        let found = ada.notifications(20, None).await?.notifications;
        ensure!(found.len() == 2 && found.iter().all(|it| it.count == 2), "{found:?}");
        anyhow::Ok(())
    })
    .await?;
    let muted = ada.mute(b).await?.version;
    let exact = ada.at_least(muted).notifications(20, None).await?;
    assert_eq!(short(&exact.notifications), [("follow", 1, vec![e]), ("like", 1, vec![e])]);
    assert_eq!(exact.unread, 2);
    ada.turn_off("follow").await?;
    ada.turn_off("follow").await?;
    become_of(&ada, &[("like", 1, vec![e])]).await?;
    let off = ada.send(ada.request(Method::GET, "/v1/me/notifications/off")).await?;
    assert_eq!(off.json::<serde_json::Value>()?, json!({ "kinds": ["follow"] }));
    ada.turn_on("follow").await?;
    let blocked = eve.block(&ada.id).await?.version;
    applied(&eve, blocked).await?;
    become_of(&ada, &[]).await?;
    ada.unmute(b).await?;
    become_of(&ada, &[("follow", 1, vec![b]), ("like", 1, vec![b])]).await?;
    Ok(())
}

#[tokio::test]
async fn bad_input_is_refused() -> Result<()> {
    let deployment = Deployment::shared()?;
    let ada = deployment.member("ada").await?;
    let seen = |up_to: &str| ada.request(Method::PUT, "/v1/me/notifications/seen").json(&json!({ "up_to": up_to }));
    for malformed in ["", "yesterday", "2026-13-01T00:00:00.000Z", "1700000000000"] {
        refused(seen(malformed), 422, "up_to_invalid").await?;
    }
    refused(seen("2999-01-01T00:00:00.000Z"), 422, "up_to_in_future").await?;
    let body = ada.request(Method::PUT, "/v1/me/notifications/seen");
    refused(body.json(&json!({ "up_to": 1 })), 400, "malformed_body").await?;
    for method in [Method::PUT, Method::DELETE] {
        for kind in ["reblog", "Like", "like,follow"] {
            let request = ada.request(method.clone(), &format!("/v1/me/notifications/off/{kind}"));
            refused(request, 400, "unknown_kind").await?;
        }
    }
    let list = |query: &[(&str, &str)]| ada.request(Method::GET, "/v1/me/notifications").query(query);
    refused(list(&[("limit", "0")]), 400, "invalid_limit").await?;
    refused(list(&[("cursor", "x")]), 400, "invalid_cursor").await?;
    refused(list(&[]).header("Tidings-Min-Version", "9"), 400, "version_unknown").await?;
    // Without a profile, there is nothing to say about notifications.
    let nobody = deployment.user(&unique_handle()).await?;
    let request = nobody.request(Method::PUT, "/v1/me/notifications/off/like");
    refused(request, 409, "profile_required").await?;
    let request = nobody.request(Method::PUT, "/v1/me/notifications/seen");
    refused(request.json(&json!({ "up_to": "2026-11-24T09:31:00.000Z" })), 409, "profile_required").await?;
    assert!(nobody.notifications(20, None).await?.notifications.is_empty());
    Ok(())
}

/// What a page costs, with a few groups, and what it costs to find out that nothing is unread.
#[tokio::test]
async fn notifications_cost_little() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    for number in 0..5 {
        let post = ada.post(&format!("number {number}"), None).await?.value.id;
        bob.like(&post).await?;
    }
    let page = within(DEADLINE, "all are there", async || {
        let page = ada.notifications(20, None).await?;
        ensure!(page.unread == 5, "{page:?}");
        anyhow::Ok(page)
    })
    .await?;
    let cost = async |method: Method, path: &str| -> Result<Option<Cost>> {
        let mut request = ada.request(method, path);
        if path.ends_with("/seen") {
            request = request.json(&json!({ "up_to": page.notifications[0].at }));
        }
        Cost::of(&Answer::to(request).await?)
    };
    let list = "/v1/me/notifications";
    let Some(unread) = cost(Method::GET, list).await? else { return Ok(()) };
    // Viewer item, inbox and settings; for each group its notices and its post; one like query and one card.
    assert!(unread.round_trips <= 3 && unread.read_units <= 1.5 + 5.0 + 1.0 + WHICH_TABLES, "{unread:?}");
    let Some(seen) = cost(Method::PUT, "/v1/me/notifications/seen").await? else { return Ok(()) };
    assert!(seen.round_trips == 2 && seen.read_units <= 1.0 && seen.write_units <= 1.0, "{seen:?}");
    let Some(own) = cost(Method::GET, "/v1/me").await? else { return Ok(()) };
    assert!(own.round_trips == 1 && own.read_units <= 4.0 + WHICH_TABLES && own.write_units == 0.0, "{own:?}");
    for method in [Method::PUT, Method::DELETE] {
        let Some(turned) = cost(method, "/v1/me/notifications/off/like").await? else { return Ok(()) };
        assert!(turned.round_trips == 2 && turned.read_units <= 1.0 && turned.write_units <= 1.0, "{turned:?}");
    }
    Ok(())
}
