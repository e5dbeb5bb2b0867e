//! The Lambda function `recover`.

use recover::Recoverer;
use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let recoverer = &Recoverer::new(&runtime)?;
    runtime.run(async |batch, deadline| Ok(recover::handle(recoverer, batch, deadline).await?)).await
}
