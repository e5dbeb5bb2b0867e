//! The Lambda function `block-user`.

use tidings::{
    http::{self, Callers},
    runtime::Runtime,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let (commands, clock) = (&runtime.commands()?, &runtime.clock);
    http::serve(&runtime, Callers::Api, async |call| block_user::handle(commands, clock, call).await).await
}
