//! Random commands by several users at once. Then everything is compared with the reference model (INV-2).

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{
    deployment::Deployment,
    stack::{Options, Stack},
    wait::eventually,
};

use crate::load::{self, Unanswered};

#[tokio::test]
async fn after_random_commands_everything_is_as_the_model_says() -> Result<()> {
    let deployment = Deployment::shared()?;
    let crowd = load::crowd(&deployment, 12, rand::random()).await?;
    let crowd = load::finish(load::start(crowd, 40, Unanswered::SendAgain)).await?;
    eventually("everything is as the model says", async || load::judge(&crowd).await).await
}

#[tokio::test]
async fn records_delivered_twice_and_out_of_order_change_nothing() -> Result<()> {
    if !Deployment::starts_stacks("records_delivered_twice_and_out_of_order_change_nothing") {
        return Ok(());
    }
    // Some users of the crowd become celebrities on the way.
    let parameters = [("CelebrityFollowers", "5"), ("CelebrityListSeconds", "1")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let options = Options {
        duplicate_records: true,
        reorder_records: true,
        check_access: true,
        parameters,
        ..Options::default()
    };
    let stack = tokio::task::spawn_blocking(|| Stack::start(options)).await??;
    let deployment = Deployment::at(stack.url())?;
    let mut crowd = load::crowd(&deployment, 10, rand::random()).await?;
    for _ in 0..3 {
        crowd = load::finish(load::start(crowd, 25, Unanswered::SendAgain)).await?;
        // Compares at rest, several times: a late record must not undo what was right.
        deployment.dev().settle(Duration::from_secs(300)).await?;
        load::judge(&crowd).await?;
    }
    let put_aside = deployment.dev().put_aside().await?;
    ensure!(put_aside.is_empty(), "{put_aside:?}");
    Ok(())
}
