//! The Lambda function `edit-post`.

use tidings::{http, runtime::Runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let conversations = &runtime.conversations()?;
    let clock = &runtime.clock;
    http::serve(&runtime, async |call| edit_post::handle(conversations, clock, call).await).await
}
