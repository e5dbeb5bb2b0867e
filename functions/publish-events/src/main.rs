//! The Lambda function `publish-events`.

use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let (bus, quarantine, clock) = (&runtime.bus()?, &runtime.quarantine()?, &runtime.clock);
    runtime
        .run(async |batch, deadline| Ok(publish_events::handle(bus, quarantine, clock, batch, deadline).await?))
        .await
}
