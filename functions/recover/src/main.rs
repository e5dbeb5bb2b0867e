//! The Lambda function `recover`.

use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use recover::Recoverer;
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let runtime = Runtime::start().await;
    let recoverer = &Recoverer::new(&runtime)?;
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        Ok::<_, Error>(recover::handle(recoverer, event.payload).await?)
    }))
    .await
}
