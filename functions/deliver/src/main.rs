//! The Lambda function `deliver`.

use aws_lambda_events::sqs::SqsEvent;
use deliver::Deliverer;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let runtime = Runtime::start().await;
    let deliverer = &Deliverer {
        projectors: runtime.projectors()?,
        rebuilder: runtime.rebuilder()?,
        quarantine: runtime.quarantine()?,
    };
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let deadline = runtime.deadline(event.context.deadline);
        Ok::<_, Error>(deliver::handle(deliverer, event.payload, deadline).await?)
    }))
    .await
}
