//! The Lambda function `audit`.

use tidings::runtime::{Runtime, one_line};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let sweeper = &runtime.sweeper()?;
    runtime.run(async |event, deadline| audit::handle(sweeper, event, deadline).await.map_err(one_line)).await
}
