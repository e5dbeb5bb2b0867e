//! The Lambda function `fanout`.

use aws_lambda_events::kinesis::KinesisEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let runtime = Runtime::start().await;
    let projectors = &runtime.projectors()?;
    run(service_fn(async |event: LambdaEvent<KinesisEvent>| {
        let deadline = runtime.deadline(event.context.deadline);
        Ok::<_, Error>(fanout::handle(projectors, event.payload, deadline).await?)
    }))
    .await
}
