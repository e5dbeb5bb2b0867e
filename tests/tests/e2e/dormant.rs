//! Homes that nobody reads get no rows, and whoever comes back sees no difference. Half a minute without a visit is
//! long here.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use harness::{
    deployment::Deployment,
    stack::{Options, Stack},
    wait::{DEADLINE, within},
};
use tokio::time::sleep;

use crate::{copied, home_becomes};

/// 26 seconds.
const DAYS: &str = "0.0003";
/// After this time without a visit, a push leaves a home out.
const DORMANT_AFTER: Duration = Duration::from_secs(28);

#[tokio::test]
async fn a_home_that_nobody_reads_gets_no_rows_and_is_complete_for_whoever_returns() -> Result<()> {
    if !Deployment::starts_stacks("a_home_that_nobody_reads_gets_no_rows_and_is_complete_for_whoever_returns") {
        return Ok(());
    }
    let parameters = vec![("DormantDays".to_owned(), DAYS.to_owned())];
    let options = Options { parameters, check_access: true, ..Options::default() };
    let stack = tokio::task::spawn_blocking(|| Stack::start(options)).await??;
    let deployment = Deployment::at(stack.url())?;
    let dev = deployment.dev();
    let (ada, bob) = (deployment.member("ada").await?, deployment.member("bob").await?);
    ada.follow(&bob.id).await?;
    let first = bob.post("first", None).await?.value.id;
    home_becomes(&ada, &[&first]).await?;
    let newest = ada.home(20, None).await?.newest;
    sleep(DORMANT_AFTER).await;

    let second = bob.post("second", None).await?.value.id;

    within(DEADLINE, "the home is left out", async || {
        ensure!(dev.metric("RowsLeftOut").await? >= 1.0, "no row was left out");
        anyhow::Ok(())
    })
    .await?;
    ensure!(copied(&dev, &ada).await? == BTreeSet::from([first.clone()]), "the home is read by nobody");
    let new = ada.newer(&newest, None).await?;
    ensure!(new.new == 1, "{new:?}");
    home_becomes(&ada, &[&second, &first]).await?;

    let third = bob.post("third", None).await?.value.id;
    within(DEADLINE, "the home is complete", async || {
        ensure!(dev.metric("HomesCompleted").await? >= 1.0, "no home was completed");
        anyhow::Ok(())
    })
    .await?;
    let all = [third, second, first];
    ensure!(copied(&dev, &ada).await? == all.iter().cloned().collect(), "all rows are copied");
    home_becomes(&ada, &all.each_ref().map(String::as_str)).await?;
    Ok(())
}
