//! The Lambda function `trending`.

use tidings::runtime::{self, Runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await;
    let (cards, clock) = (&runtime.cards()?, &runtime.clock);
    runtime::run(async |batch| Ok(trending::handle(cards, clock, batch).await?)).await
}
