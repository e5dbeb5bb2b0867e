//! Daily statistics of authors.

use anyhow::{Result, ensure};
use harness::{
    client::{Answer, AuthorDay},
    costs::Cost,
    deployment::Deployment,
    wait::eventually,
};
use reqwest::Method;

use crate::refused;

/// The sum of some days: a test may run over midnight.
fn sum(days: &[AuthorDay]) -> [i64; 5] {
    let numbers = days
        .iter()
        .map(|it| [it.posts, it.likes_received, it.comments_received, it.followers_gained, it.followers_lost]);
    numbers.fold([0; 5], |sum, more| [0, 1, 2, 3, 4].map(|at| sum[at] + more[at]))
}

#[tokio::test]
async fn an_author_sees_what_each_day_has_brought() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    let post = ada.post("counted", None).await?.value.id;
    bob.follow(&ada.id).await?;
    bob.like(&post).await?;
    // An end undoes nothing, and to begin again is nothing new.
    bob.unlike(&post).await?;
    bob.like(&post).await?;
    bob.comment(&post, "counted, too", None).await?;
    bob.unfollow(&ada.id).await?;
    ada.delete_post(&post).await?;
    eventually("everything is counted", async || {
        let days = ada.stats(None, None).await?.days;
        ensure!(days.len() == 7 && sum(&days) == [1, 1, 1, 1, 1], "{days:?}");
        Ok(())
    })
    .await?;
    ensure!(sum(&bob.stats(None, None).await?.days) == [0; 5], "bob has received nothing");
    let week = ada.stats(None, None).await?.days;
    let last = &week[6].day;
    let one = ada.stats(Some(last), Some(last)).await?.days;
    ensure!(one.len() == 1 && one[0].day == *last, "{one:?}");
    Ok(())
}

#[tokio::test]
async fn days_that_make_no_sense_are_refused() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    for (query, code) in [
        ("from=2026-02-30", "invalid_day"),
        ("to=tomorrow", "invalid_day"),
        ("from=", "invalid_day"),
        ("from=2026-11-26&from=2026-11-27", "invalid_day"),
        ("from=2026-11-27&to=2026-11-26", "days_reversed"),
        ("from=2026-01-01&to=2026-12-31", "too_many_days"),
        ("from=2015-01-01&to=2015-01-02", "statistics_not_kept"),
    ] {
        let request = ada.request(Method::GET, &format!("/v1/me/stats?{query}"));
        refused(request, 400, code).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_week_is_one_read() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    // The first request may also ask which tables are read.
    ada.stats(None, None).await?;
    let answer = Answer::to(ada.request(Method::GET, "/v1/me/stats")).await?;
    if let Some(cost) = Cost::of(&answer)? {
        ensure!(cost.write_units == 0.0 && cost.read_units <= 4.0, "{cost:?}");
    }
    Ok(())
}
