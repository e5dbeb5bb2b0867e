//! The Lambda function `deliver`.

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let runtime = Runtime::start().await;
    let (projector, quarantine) = (&runtime.projector()?, &runtime.quarantine()?);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(deliver::handle(projector, quarantine, event.payload).await?)
    }))
    .await
}
