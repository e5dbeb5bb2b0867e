//! The Lambda function `deliver`.

use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await;
    let (projector, quarantine) = (&runtime.projector()?, &runtime.quarantine()?);
    runtime.run(async |batch, deadline| Ok(deliver::handle(projector, quarantine, batch, deadline).await?)).await
}
