//! The Lambda function `delete-account`.

use tidings::{
    http::{self, Callers},
    runtime::Runtime,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let (commands, clock) = (&runtime.commands()?, &runtime.clock);
    http::serve(&runtime, Callers::Api, async |call| delete_account::handle(commands, clock, call).await).await
}
