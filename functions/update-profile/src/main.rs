//! The Lambda function `update-profile`.

use tidings::{http, runtime::Runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let (commands, reserved, clock) = (&runtime.commands()?, &runtime.reserved_handles()?, &runtime.clock);
    http::serve(&runtime, async |call| update_profile::handle(commands, reserved, clock, call).await).await
}
