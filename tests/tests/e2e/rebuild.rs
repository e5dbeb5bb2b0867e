//! A rebuild of the read models by the real functions, with their policies in force, while people post. What it must
//! never lose is tested in `simulation`.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{
    client::User,
    deployment::Deployment,
    stack::{Options, Stack},
    wait::within,
};
use serde_json::{Value, json};

/// Longest that the rebuild may take. The waits of its phases add up to 105 s.
const PATIENCE: Duration = Duration::from_secs(400);

/// The ids of all posts in the user's home.
async fn home(user: &User) -> Result<Vec<String>> {
    Ok(user.walk_home(20).await?.into_iter().map(|post| post.id).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_changes_no_page_and_loses_no_post() -> Result<()> {
    if !Deployment::starts_stacks("a_rebuild_changes_no_page_and_loses_no_post") {
        return Ok(());
    }
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
    dev.settle(PATIENCE).await?;
    let before = (home(&reader).await?, reader.posts_with("rebuilt", 10, None).await?.posts);

    let started = dev.invoke("Rebuild", &json!({"action": "start", "segments": 3})).await?;
    ensure!(started["rebuild"]["phase"] == "clear", "{started}");
    let refused = dev.invoke("Rebuild", &json!({"action": "start"})).await;
    ensure!(refused.is_err_and(|error| error.to_string().contains("is under way")), "a second one was started");
    let meanwhile = author.post("while it goes on", None).await?.value.id;
    within(PATIENCE, "the rebuild ends", async || {
        let status: Value = dev.invoke("Rebuild", &json!({"action": "status"})).await?;
        ensure!(status["rebuild"].is_null(), "{status}");
        ensure!(status["active"] == "bbb", "{status}");
        anyhow::Ok(())
    })
    .await?;
    let afterwards = author.post("after the switch", None).await?.value.id;
    dev.settle(PATIENCE).await?;

    let expected: Vec<_> = [afterwards, meanwhile].into_iter().chain(before.0).collect();
    assert_eq!(home(&reader).await?, expected);
    assert_eq!(reader.posts_with("rebuilt", 10, None).await?.posts, before.1);
    for table in ["tidings-Timelines", "tidings-Viewers", "tidings-Cards"] {
        assert_eq!(dev.count_items(table).await?, 0, "{table} is not read any more");
    }
    assert_eq!(dev.put_aside().await?, []);
    Ok(())
}
