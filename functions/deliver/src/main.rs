//! The Lambda function `deliver`.

use tidings::runtime::{self, Runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await;
    let (projector, quarantine) = (&runtime.projector()?, &runtime.quarantine()?);
    runtime::run(async |batch| Ok(deliver::handle(projector, quarantine, batch).await?)).await
}
