//! The Lambda function `read-statistics`.

use tidings::runtime::Runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let (statistics, meter) = (&runtime.statistics()?, runtime.meter.as_ref());
    runtime.run(async |event, _| Ok(read_statistics::handle(statistics, meter, event).await?)).await
}
