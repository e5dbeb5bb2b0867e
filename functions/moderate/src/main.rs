//! The Lambda function `moderate`.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use moderate::Request;
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let runtime = Runtime::start().await;
    let (commands, clock) = (&runtime.commands()?, &runtime.clock);
    run(service_fn(async |event: LambdaEvent<Request>| {
        Ok::<_, Error>(moderate::handle(commands, clock, event.payload).await?)
    }))
    .await
}
