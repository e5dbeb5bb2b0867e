//! The Lambda function `rebuild`.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use rebuild::{Operator, Request};
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let runtime = Runtime::start().await;
    let operator = &Operator {
        commands: runtime.commands()?,
        read_models: runtime.read_models()?,
        work_queue: runtime.work_queue()?,
        clock: runtime.clock,
    };
    run(service_fn(async |event: LambdaEvent<Request>| Ok::<_, Error>(rebuild::handle(operator, event.payload).await?)))
        .await
}
