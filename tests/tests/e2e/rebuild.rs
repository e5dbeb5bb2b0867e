//! A rebuild of the read models by the real functions, with their policies in force, while people post. What it must
//! never lose is tested in `simulation`.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{
    client::{Post, User},
    deployment::Deployment,
    dev_client::DevClient,
    stack::{Options, Stack},
    wait::within,
};
use serde_json::{Value, json};
use tokio::time::sleep;

/// Longest that a rebuild may take. The waits of its phases add up to 105 s.
const PATIENCE: Duration = Duration::from_secs(400);
/// Processes use what they have read for less than this time.
const CACHES_LIVE: Duration = Duration::from_secs(5);

/// The ids of all posts in the user's home.
async fn home(user: &User) -> Result<Vec<String>> {
    Ok(user.walk_home(20).await?.into_iter().map(|post| post.id).collect())
}

/// A stack with two users, of whom one reads what the other one writes.
struct Scene {
    _stack: Stack,
    dev: DevClient,
    author: User,
    reader: User,
    /// A post with a like and a comment.
    kept: Post,
}

impl Scene {
    async fn new() -> Result<Self> {
        let parameters = vec![("CelebrityListSeconds".to_owned(), "1".to_owned())];
        let options = Options { parameters, check_access: true, ..Options::default() };
        let stack = tokio::task::spawn_blocking(|| Stack::start(options)).await??;
        let deployment = Deployment::at(stack.url())?;
        let dev = deployment.dev();
        let (author, reader) = (deployment.member("author").await?, deployment.member("reader").await?);
        reader.follow(&author.id).await?;
        let kept = author.post("kept #rebuilt", None).await?.value;
        let deleted = author.post("deleted #rebuilt", None).await?.value;
        author.delete_post(&deleted.id).await?;
        reader.like(&kept.id).await?;
        reader.comment(&kept.id, "a comment", None).await?;
        dev.settle(PATIENCE).await?;
        Ok(Self { _stack: stack, dev, author, reader, kept })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_changes_no_page() -> Result<()> {
    if !Deployment::starts_stacks("a_rebuild_changes_no_page") {
        return Ok(());
    }
    let Scene { dev, author, reader, .. } = &Scene::new().await?;
    let before = (home(reader).await?, reader.posts_with("rebuilt", 10, None).await?.posts);

    let started = dev.invoke("Rebuild", &json!({"action": "start", "segments": 3})).await?;
    ensure!(started["rebuild"]["segments"] == 3, "{started}");
    let refused = dev.invoke("Rebuild", &json!({"action": "start"})).await;
    ensure!(refused.is_err_and(|error| error.to_string().contains("is under way")), "a second one was started");
    let meanwhile = author.post("while it goes on", None).await?.value.id;
    assert_eq!(ended(dev).await?, "bbbb");
    let afterwards = author.post("after the switch", None).await?.value.id;
    dev.settle(PATIENCE).await?;

    let expected: Vec<_> = [afterwards, meanwhile].into_iter().chain(before.0).collect();
    assert_eq!(home(reader).await?, expected);
    assert_eq!(reader.posts_with("rebuilt", 10, None).await?.posts, before.1);
    for table in ["tidings-Timelines", "tidings-Viewers", "tidings-Cards", "tidings-SearchIndex"] {
        assert_eq!(dev.count_items(table).await?, 0, "{table} is not read any more");
    }
    assert_eq!(dev.put_aside().await?, []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_in_place_restores_lost_tables() -> Result<()> {
    if !Deployment::starts_stacks("a_rebuild_in_place_restores_lost_tables") {
        return Ok(());
    }
    let Scene { dev, author, reader, kept, .. } = &Scene::new().await?;
    let users = [author, reader];
    let before = pages(&users, &kept.id).await?;
    for table in ["tidings-Timelines", "tidings-Viewers", "tidings-Cards", "tidings-SearchIndex"] {
        lose(dev, table).await?;
    }
    let damaged = pages(&users, &kept.id).await;
    ensure!(damaged.is_err() || damaged.is_ok_and(|pages| pages != before), "nobody misses the tables");
    dev.invoke("Rebuild", &json!({"action": "start", "in_place": true})).await?;
    assert_eq!(ended(dev).await?, "aaa");
    dev.settle(PATIENCE).await?;
    // Pages use cards and rows from caches for some seconds.
    sleep(CACHES_LIVE).await;
    assert_eq!(pages(&users, &kept.id).await?, before);
    Ok(())
}

/// Waits until no rebuild is under way. Returns which tables are then read.
async fn ended(dev: &DevClient) -> Result<Value> {
    within(PATIENCE, "the rebuild ends", async || {
        let status: Value = dev.invoke("Rebuild", &json!({"action": "status"})).await?;
        ensure!(status["rebuild"].is_null(), "{status}");
        Ok(status["active"].clone())
    })
    .await
}

/// Deletes a table, and makes an empty one with the same definition.
async fn lose(dev: &DevClient, table: &str) -> Result<()> {
    let described = dev.dynamodb("DescribeTable", &json!({"TableName": table})).await?;
    let mut definition = json!({"TableName": table, "BillingMode": "PAY_PER_REQUEST"});
    for part in ["AttributeDefinitions", "KeySchema"] {
        definition[part] = described["Table"][part].clone();
    }
    if let Some(indexes) = described["Table"]["GlobalSecondaryIndexes"].as_array() {
        let index = |index: &Value| {
            json!({
                "IndexName": index["IndexName"], "KeySchema": index["KeySchema"], "Projection": index["Projection"],
            })
        };
        definition["GlobalSecondaryIndexes"] = indexes.iter().map(index).collect();
    }
    dev.dynamodb("DeleteTable", &json!({"TableName": table})).await?;
    dev.dynamodb("CreateTable", &definition).await?;
    Ok(())
}

/// What these users see: feeds, a post with its comments and likes, notifications, and people.
async fn pages(users: &[&User], post: &str) -> Result<Vec<String>> {
    let mut pages = Vec::new();
    for user in users {
        pages.push(format!("home {:?}", user.walk_home(2).await?));
        pages.push(format!("tag {:?}", user.walk_posts_with("rebuilt", 2).await?));
        // The score falls with time.
        let without_score = |post| Post { explain: None, ..post };
        let trending: Vec<_> = user.walk_trending(2).await?.into_iter().map(without_score).collect();
        pages.push(format!("trending {trending:?}"));
        pages.push(format!("post {:?}", user.get_post(post).await?));
        pages.push(format!("comments {:?}", user.walk_comments(post, "newest", 2).await?));
        pages.push(format!("likes {:?}", user.walk_likers_of(post, 2).await?));
        // Groups that grew at the same time may stand in any order.
        let notifications = user.walk_notifications(2).await?.into_iter();
        let mut groups: Vec<_> = notifications.map(|it| (it.kind, it.count, it.unread)).collect();
        groups.sort_unstable();
        pages.push(format!("notifications {groups:?}"));
        pages.push(format!("search {:?}", user.walk_search("kept #rebuilt", "newest", 2).await?));
        for other in users {
            pages.push(format!("posts {:?}", user.walk_posts_of(&other.id, 2).await?));
            pages.push(format!("profile {:?}", user.user(&other.id).await?));
            pages.push(format!("followers {:?}", user.walk_followers_of(&other.id, 2).await?));
        }
    }
    Ok(pages)
}
