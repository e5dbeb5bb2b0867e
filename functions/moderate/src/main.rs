//! The Lambda function `moderate`.

use tidings::runtime::{Runtime, one_line};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let (commands, clock) = (&runtime.commands()?, &runtime.clock);
    runtime.run(async |request, _| moderate::handle(commands, clock, request).await.map_err(one_line)).await
}
