//! The Lambda function `publish-events`.

use aws_lambda_events::dynamodb::Event;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let runtime = Runtime::start().await;
    let (bus, quarantine) = (&runtime.bus()?, &runtime.quarantine()?);
    run(service_fn(async |event: LambdaEvent<Event>| {
        Ok::<_, Error>(publish_events::handle(bus, quarantine, event.payload).await?)
    }))
    .await
}
