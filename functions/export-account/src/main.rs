//! The Lambda function `export-account`.

use tidings::{
    http::{self, Callers},
    runtime::Runtime,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let (commands, keys, clock) = (&runtime.commands()?, &runtime.cursor_keys()?, &runtime.clock);
    http::serve(&runtime, Callers::Api, async |call| export_account::handle(commands, keys, clock, call).await).await
}
