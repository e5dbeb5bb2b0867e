//! The Lambda function `deliver`.

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let runtime = Runtime::start().await;
    let (projector, quarantine) = (&runtime.projector()?, &runtime.quarantine()?);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let deadline = runtime.deadline(event.context.deadline);
        Ok::<_, Error>(deliver::handle(projector, quarantine, event.payload, deadline).await?)
    }))
    .await
}
