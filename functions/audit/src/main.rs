//! The Lambda function `audit`.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let runtime = Runtime::start().await;
    let sweeper = &runtime.sweeper()?;
    run(service_fn(async |event: LambdaEvent<Value>| Ok::<_, Error>(audit::handle(sweeper, event.payload).await?)))
        .await
}
