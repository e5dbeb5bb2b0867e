//! The Lambda function `trending`.

use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let (cards, notices, clock) = (&runtime.card_sets()?, &runtime.notice_sets()?, &runtime.clock);
    runtime.run(async |batch, deadline| Ok(trending::handle(cards, notices, clock, batch, deadline).await?)).await
}
