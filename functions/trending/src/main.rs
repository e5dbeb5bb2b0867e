//! The Lambda function `trending`.

use aws_lambda_events::kinesis::KinesisEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let runtime = Runtime::start().await;
    let cards = &runtime.card_sets()?;
    run(service_fn(async |event: LambdaEvent<KinesisEvent>| {
        let deadline = runtime.deadline(event.context.deadline);
        Ok::<_, Error>(trending::handle(cards, event.payload, deadline).await?)
    }))
    .await
}
