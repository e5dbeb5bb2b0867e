//! The Lambda function `update-profile`.

use tidings::{http, runtime::Runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await;
    let (commands, clock) = (&runtime.commands()?, &runtime.clock);
    http::serve(runtime.meter.as_ref(), async |call| update_profile::handle(commands, clock, call).await).await
}
