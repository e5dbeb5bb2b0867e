//! The Lambda function `fanout`.

use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await;
    let projector = &runtime.projector()?;
    runtime.run(async |batch, deadline| Ok(fanout::handle(projector, batch, deadline).await?)).await
}
