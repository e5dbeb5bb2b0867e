//! The Lambda function `deliver`.

use aws_lambda_events::sqs::SqsEvent;
use deliver::Deliverer;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let runtime = Runtime::start().await;
    let deliverer = &Deliverer {
        projector: runtime.projector()?,
        quarantine: runtime.quarantine()?,
        publisher: runtime.publisher()?,
    };
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(deliver::handle(deliverer, event.payload).await?)
    }))
    .await
}
