//! The Lambda function `update-profile`.

use tidings::{
    http::{self, Callers},
    runtime::Runtime,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let (commands, reserved, clock) = (&runtime.commands()?, &runtime.reserved_handles()?, &runtime.clock);
    http::serve(&runtime, Callers::Api, async |call| update_profile::handle(commands, reserved, clock, call).await)
        .await
}
