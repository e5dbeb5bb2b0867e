//! The Lambda function `fanout`.

use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let projectors = &runtime.projectors()?;
    runtime.run(async |batch, deadline| Ok(fanout::handle(projectors, batch, deadline).await?)).await
}
