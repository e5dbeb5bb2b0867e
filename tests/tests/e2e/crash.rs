//! `kill -9` of the whole stack and of single functions during work. Everything that was acknowledged is still there,
//! everything is projected in the end, and no process survives its stack.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{
    deployment::Deployment,
    process::{is_alive, kill_now},
    stack::{Options, Stack},
    wait::eventually,
};
use rand::seq::IndexedRandom;
use tempfile::TempDir;
use tokio::task::{block_in_place, spawn_blocking};

use crate::{
    home_becomes,
    load::{self, Unanswered},
};

const SETTLE: Duration = Duration::from_secs(300);

/// A stack for one test. It survives being killed. Its directory is removed at the end.
async fn own_stack() -> Result<(Stack, TempDir, Deployment)> {
    let directory = tempfile::tempdir()?;
    let options = Options { data: Some(directory.path().join("data")), ..Options::default() };
    let stack = spawn_blocking(|| Stack::start(options)).await??;
    let deployment = Deployment::at(stack.url())?;
    Ok((stack, directory, deployment))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_commands_survive_the_death_of_the_whole_stack() -> Result<()> {
    if !Deployment::starts_stacks("acknowledged_commands_survive_the_death_of_the_whole_stack") {
        return Ok(());
    }
    let (mut stack, _directory, deployment) = own_stack().await?;
    let mut crowd = load::crowd(&deployment, 8, rand::random()).await?;
    for _ in 0..2 {
        let before = deployment.dev().status().await?.processes;
        ensure!(!before.is_empty(), "no function runs");
        let acting = load::start(crowd, 60, Unanswered::ReadTruth);
        // Kills when the load has begun: when the first new post is projected.
        let heard = deployment.member("listener").await?;
        heard.post("is anybody there", None).await?;
        eventually("a post under load", async || {
            ensure!(heard.walk_home(10).await?.len() == 1, "not yet");
            Ok(())
        })
        .await?;
        let running = deployment.dev().status().await?.processes;
        block_in_place(|| stack.kill())?;
        eventually("functions die with their stack", async || {
            let orphans: Vec<_> = before.iter().chain(&running).filter(|process| is_alive(process.pid)).collect();
            ensure!(orphans.is_empty(), "{orphans:?}");
            Ok(())
        })
        .await?;
        block_in_place(|| stack.restart())?;
        crowd = load::finish(acting).await?;
        deployment.dev().settle(SETTLE).await?;
        load::judge(&crowd).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projections_go_on_after_a_restart() -> Result<()> {
    if !Deployment::starts_stacks("projections_go_on_after_a_restart") {
        return Ok(());
    }
    let (mut stack, _directory, deployment) = own_stack().await?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let known = bob.post("projected", None).await?.value;
    home_becomes(&bob, &[&known.id]).await?;
    deployment.dev().pause_sources(true).await?;
    ada.follow(&bob.id).await?;
    let post = bob.post("not yet projected", None).await?.value;
    ensure!(bob.home(10, None).await?.posts.len() == 1, "projected although sources are paused");
    block_in_place(|| stack.kill())?;
    block_in_place(|| stack.restart())?;
    // The same tokens are valid, because the keys are in the data directory.
    home_becomes(&bob, &[&post.id, &known.id]).await?;
    home_becomes(&ada, &[&post.id, &known.id]).await?;
    ensure!(ada.follow(&bob.id).await?.version == 2, "the follow is still there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_may_die_at_any_time() -> Result<()> {
    if !Deployment::starts_stacks("functions_may_die_at_any_time") {
        return Ok(());
    }
    let (_stack, _directory, deployment) = own_stack().await?;
    let crowd = load::crowd(&deployment, 8, rand::random()).await?;
    let mut acting = load::start(crowd, 60, Unanswered::SendAgain);
    let mut crowd = Vec::new();
    let mut killed = 0;
    // Kills a random function process in each fifth of a second, about.
    let mut deaths = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            actor = acting.join_next() => match actor {
                Some(actor) => crowd.push(actor??),
                None => break,
            },
            _ = deaths.tick() => {
                let processes = deployment.dev().status().await?.processes;
                kill_now(processes.choose(&mut rand::rng()).context("no function runs")?.pid)?;
                killed += 1;
            }
        }
    }
    ensure!(killed > 2, "only {killed} were killed");
    deployment.dev().settle(Duration::from_secs(900)).await?;
    load::judge(&crowd).await
}
