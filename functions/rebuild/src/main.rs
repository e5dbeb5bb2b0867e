//! The Lambda function `rebuild`.

use rebuild::Operator;
use tidings::runtime::{Runtime, one_line};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let operator = &Operator {
        commands: runtime.commands()?,
        read_models: runtime.read_models()?,
        work_queue: runtime.work_queue()?,
        clock: runtime.clock.clone(),
    };
    runtime.run(async |request, _| rebuild::handle(operator, request).await.map_err(one_line)).await
}
