//! The Lambda function `demote-author`.

use demote_author::Demoter;
use tidings::runtime::{Runtime, one_line};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let demoter = &Demoter {
        commands: runtime.commands()?,
        read_models: runtime.read_models()?,
        cards: runtime.cards()?,
        celebrities: runtime.celebrities()?,
        work_queue: runtime.work_queue()?,
        clock: runtime.clock.clone(),
    };
    runtime.run(async |request, _| demote_author::handle(demoter, request).await.map_err(one_line)).await
}
