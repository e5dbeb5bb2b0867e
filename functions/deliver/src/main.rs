//! The Lambda function `deliver`.

use deliver::Deliverer;
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let deliverer = &Deliverer {
        projectors: runtime.projectors()?,
        rebuilder: runtime.rebuilder()?,
        quarantine: runtime.quarantine()?,
        publisher: runtime.publisher()?,
        work_queue: runtime.work_queue()?,
        clock: runtime.clock.clone(),
    };
    runtime.run(async |batch, deadline| Ok(deliver::handle(deliverer, batch, deadline).await?)).await
}
