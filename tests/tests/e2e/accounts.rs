//! Moderation, and the end of an account: take-downs, suspensions, exports, and the erasure of everything.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{
    client::{Post, ProfileInput, User},
    deployment::{Deployment, unique, unique_handle},
    dev_client::DevClient,
    stack::{Options, Stack},
    wait::{eventually, within},
};
use serde_json::{Value, json};

use crate::{applied, home_becomes, refusal};

/// How long an erasure may take whose delay is a second.
const ERASED_WITHIN: Duration = Duration::from_secs(60);

fn ids(posts: &[Post]) -> Vec<&str> {
    posts.iter().map(|post| post.id.as_str()).collect()
}

async fn moderate(dev: &DevClient, request: Value) -> Result<u64> {
    let answer = dev.invoke("Moderate", &request).await?;
    answer["version"].as_u64().context("no version")
}

#[tokio::test]
async fn only_its_author_sees_a_post_that_was_taken_down_until_it_is_restored() -> Result<()> {
    let Some(deployment) = Deployment::shared_local("only_its_author_sees_a_post_that_was_taken_down")? else {
        return Ok(());
    };
    let (ada, bob, dev) = (deployment.member("ada").await?, deployment.member("bob").await?, deployment.dev());
    let tag = unique();
    bob.follow(&ada.id).await?;
    let post = ada.post(&format!("doubtful #{tag}"), None).await?.value.id;
    bob.like(&post).await?;
    home_becomes(&bob, &[&post]).await?;

    let version = moderate(&dev, json!({ "take_down": { "post": post } })).await?;
    home_becomes(&bob, &[]).await?;
    for order in ["ranked", "personalized"] {
        ensure!(bob.walk_home_by(order, 10).await?.is_empty(), "{order}");
    }
    ensure!(bob.walk_posts_of(&ada.id, 10).await?.is_empty() && bob.walk_posts_with(&tag, 10).await?.is_empty());
    eventually("it does not trend", async || {
        ensure!(!ids(&bob.walk_trending(100).await?).contains(&post.as_str()));
        Ok(())
    })
    .await?;
    assert_eq!(refusal(bob.get_post(&post).await)?, (404, "post_not_found".to_owned()));
    assert_eq!(refusal(bob.comment(&post, "why?", None).await)?, (404, "post_not_found".to_owned()));
    assert_eq!(refusal(bob.walk_comments(&post, "oldest", 10).await)?, (404, "post_not_found".to_owned()));

    let own = ada.at_least(version).walk_home(10).await?;
    ensure!(own.iter().any(|shown| shown.id == post && shown.taken_down), "the author sees it marked: {own:?}");
    assert_eq!(refusal(ada.edit_post(&post, "harmless").await)?, (403, "post_taken_down".to_owned()));
    assert_eq!(refusal(ada.like(&post).await)?, (403, "post_taken_down".to_owned()));

    moderate(&dev, json!({ "restore": { "post": post } })).await?;
    home_becomes(&bob, &[&post]).await?;
    let restored = bob.get_post(&post).await?;
    ensure!((restored.taken_down, restored.likes, restored.version) == (false, 1, 3), "{restored:?}");
    eventually("it trends again", async || {
        ensure!(ids(&bob.walk_trending(100).await?).contains(&post.as_str()));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_suspended_user_reads_and_is_not_read() -> Result<()> {
    let Some(deployment) = Deployment::shared_local("a_suspended_user_reads_and_is_not_read")? else { return Ok(()) };
    let (ada, bob, dev) = (deployment.member("ada").await?, deployment.member("bob").await?, deployment.dev());
    bob.follow(&ada.id).await?;
    ada.follow(&bob.id).await?;
    let of_ada = ada.post("of ada", None).await?.value.id;
    let of_bob = bob.post("of bob", None).await?.value.id;
    ada.comment(&of_bob, "a comment", None).await?;
    home_becomes(&bob, &[&of_bob, &of_ada]).await?;

    let version = moderate(&dev, json!({ "suspend": { "user": ada.id } })).await?;
    applied(&ada, version).await?;
    home_becomes(&bob, &[&of_bob]).await?;
    assert_eq!(refusal(bob.user(&ada.id).await)?, (404, "user_not_found".to_owned()));
    assert_eq!(refusal(bob.walk_posts_of(&ada.id, 10).await)?, (404, "user_not_found".to_owned()));
    assert_eq!(refusal(bob.get_post(&of_ada).await)?, (404, "post_not_found".to_owned()));
    ensure!(bob.walk_comments(&of_bob, "oldest", 10).await?.is_empty(), "comments of a suspended user are hidden");
    ensure!(
        bob.walk_followers_of(&bob.id, 10).await?.is_empty() && bob.walk_followed_by(&bob.id, 10).await?.is_empty()
    );
    let eve = deployment.member("eve").await?;
    assert_eq!(refusal(eve.follow(&ada.id).await)?, (404, "user_not_found".to_owned()));

    ensure!(ada.profile().await?.suspended && ids(&ada.walk_home(10).await?) == [of_bob.as_str(), &of_ada]);
    let refused = (403, "account_suspended".to_owned());
    assert_eq!(refusal(ada.post("still here", None).await)?, refused);
    assert_eq!(refusal(ada.like(&of_bob).await)?, refused);
    assert_eq!(refusal(ada.unfollow(&bob.id).await)?, refused);
    assert_eq!(refusal(ada.turn_off("like").await)?, refused);
    ensure!(bob.notifications(20, None).await?.notifications.is_empty(), "what a suspended user did concerns nobody");
    let profile = ProfileInput { handle: unique_handle(), display_name: "Ada".to_owned(), avatar_url: None };
    assert_eq!(refusal(ada.put_profile(&profile).await)?, refused);

    moderate(&dev, json!({ "reinstate": { "user": ada.id } })).await?;
    home_becomes(&bob, &[&of_bob, &of_ada]).await?;
    ensure!(!ada.profile().await?.suspended && ada.post("back", None).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn an_export_has_the_log_with_what_it_made() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let post = ada.post("a post", None).await?.value.id;
    ada.comment(&post, "a comment", None).await?;
    ada.follow(&bob.id).await?;
    bob.follow(&ada.id).await?;
    let whole = ada.walk_export(100).await?;
    assert_eq!(ada.walk_export(2).await?, whole);
    let made: Vec<_> = whole.iter().filter_map(|entry| entry.made.as_ref()?["text"].as_str()).collect();
    assert_eq!(made, ["a post", "a comment"]);
    for (kind, of) in [("follow", &bob.id), ("follower", &bob.id)] {
        ensure!(whole.iter().any(|entry| entry.kind == kind && entry.data["of"] == **of), "{kind}: {whole:?}");
    }
    Ok(())
}

/// The keys of the items, in any table, that belong to the user, and everything that sounds like the user.
async fn left_of(dev: &DevClient, user: &User, said: &[&str]) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for table in ["Commands", "Timelines", "Viewers", "Cards", "SearchIndex"] {
        let mut start = Value::Null;
        loop {
            let mut scan = json!({ "TableName": format!("tidings-{table}"), "ConsistentRead": true });
            if !start.is_null() {
                scan["ExclusiveStartKey"] = start;
            }
            let page = dev.dynamodb("Scan", &scan).await?;
            for item in page["Items"].as_array().context("a scan without items")? {
                let key = |name: &str| item[name]["S"].as_str().unwrap_or_default();
                let (pk, sk, text) = (key("PK"), key("SK"), item.to_string());
                let own = [pk, sk].iter().any(|key| key.split('#').any(|part| part == user.id));
                let row = table == "Timelines" && key("author") == user.id;
                if own || row || said.iter().any(|said| text.contains(said)) {
                    left.push(format!("{table} {pk} {sk}"));
                }
            }
            start = page["LastEvaluatedKey"].clone();
            if start.is_null() {
                break;
            }
        }
    }
    Ok(left)
}

#[tokio::test]
async fn a_scan_of_all_tables_after_a_deletion_finds_only_its_last_event() -> Result<()> {
    if !Deployment::starts_stacks("a_scan_of_all_tables_after_a_deletion_finds_only_its_last_event") {
        return Ok(());
    }
    let parameters = vec![("ErasureDelaySeconds".to_owned(), "1".to_owned())];
    let options = Options { parameters, check_access: true, ..Options::default() };
    let stack = tokio::task::spawn_blocking(|| Stack::start(options)).await??;
    let deployment = Deployment::at(stack.url())?;
    let dev = deployment.dev();
    let bob = deployment.member("bob").await?;
    // Letters and digits only, so that the id is in keys unchanged.
    let ada = deployment.user(&unique()).await?;
    let (handle, secret) = (unique_handle(), unique());
    ada.put_profile(&ProfileInput { handle: handle.clone(), display_name: format!("Ada {secret}"), avatar_url: None })
        .await?;
    ada.follow(&bob.id).await?;
    bob.follow(&ada.id).await?;
    let of_bob = bob.post("of bob", None).await?.value.id;
    let of_ada = ada.post(&format!("of ada {secret} #t{secret}"), None).await?.value.id;
    ada.comment(&of_bob, &format!("by ada {secret}"), Some("key")).await?;
    ada.like(&of_bob).await?;
    bob.like(&of_ada).await?;
    bob.comment(&of_ada, &format!("to ada {secret}"), None).await?;
    bob.post(&format!("I like @{handle}"), None).await?;
    ada.turn_off("like").await?;
    eventually("ada is notified", async || {
        let notified = ada.notifications(20, None).await?.notifications;
        ensure!(notified.len() == 3, "{notified:?}");
        Ok(())
    })
    .await?;
    dev.idle(ERASED_WITHIN).await?;

    let version = ada.delete_account().await?.version;
    assert_eq!(ada.delete_account().await?.version, version, "a second deletion changes nothing");
    assert_eq!(refusal(ada.post("again", None).await)?, (403, "account_deleted".to_owned()));
    assert_eq!(refusal(ada.profile().await)?, (404, "profile_not_found".to_owned()));
    eventually("bob sees nothing of it", async || {
        let home = bob.walk_home(20).await?;
        ensure!(home.len() == 2 && home.iter().all(|post| post.author.id == bob.id), "{home:?}");
        ensure!(bob.notifications(20, None).await?.notifications.is_empty());
        Ok(())
    })
    .await?;
    let end = format!("Commands USER#{} EVENT#{version:012}", ada.id);
    within(ERASED_WITHIN, "only the end of the log is left", async || {
        let left = left_of(&dev, &ada, &[&secret]).await?;
        ensure!(left == [end.as_str()], "{left:?}");
        anyhow::Ok(())
    })
    .await?;
    dev.idle(ERASED_WITHIN).await?;
    let left = left_of(&dev, &ada, &[&secret]).await?;
    ensure!(left == [end.as_str()], "something came back: {left:?}");

    let profile = bob.profile().await?;
    ensure!((profile.followers, profile.following) == (0, 0), "{profile:?}");
    let post = bob.get_post(&of_bob).await?;
    ensure!((post.likes, post.comments) == (0, 0), "{post:?}");
    let taken = ProfileInput { handle, display_name: "Bob".to_owned(), avatar_url: None };
    assert_eq!(refusal(bob.put_profile(&taken).await)?, (409, "handle_taken".to_owned()), "for 30 days");
    Ok(())
}
