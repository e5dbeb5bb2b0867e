//! The Lambda function `rebuild`.

use rebuild::Operator;
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await;
    let operator = &Operator {
        commands: runtime.commands()?,
        read_models: runtime.read_models()?,
        work_queue: runtime.work_queue()?,
        clock: runtime.clock.clone(),
    };
    runtime.run(async |request, _| Ok(rebuild::handle(operator, request).await?)).await
}
