//! The Lambda function `demote-author`.

use demote_author::{Demoter, Request};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let runtime = Runtime::start().await;
    let demoter = &Demoter {
        commands: runtime.commands()?,
        read_models: runtime.read_models()?,
        cards: runtime.cards()?,
        celebrities: runtime.celebrities()?,
        work_queue: runtime.work_queue()?,
        clock: runtime.clock,
    };
    run(service_fn(async |event: LambdaEvent<Request>| {
        Ok::<_, Error>(demote_author::handle(demoter, event.payload).await?)
    }))
    .await
}
