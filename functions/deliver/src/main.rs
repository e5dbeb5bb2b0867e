//! The Lambda function `deliver`.

use deliver::Deliverer;
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await;
    let deliverer = &Deliverer {
        projector: runtime.projector()?,
        quarantine: runtime.quarantine()?,
        publisher: runtime.publisher()?,
    };
    runtime.run(async |batch, deadline| Ok(deliver::handle(deliverer, batch, deadline).await?)).await
}
