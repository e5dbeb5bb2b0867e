//! The Lambda function `trending`.

use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await;
    let (cards, clock) = (&runtime.card_sets()?, &runtime.clock);
    runtime.run(async |batch, deadline| Ok(trending::handle(cards, clock, batch, deadline).await?)).await
}
