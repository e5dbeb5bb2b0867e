//! The Lambda function `trending`.

use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await;
    let (cards, work_queue, clock) = (&runtime.card_sets()?, &runtime.work_queue()?, &runtime.clock);
    runtime.run(async |batch, deadline| Ok(trending::handle(cards, work_queue, clock, batch, deadline).await?)).await
}
