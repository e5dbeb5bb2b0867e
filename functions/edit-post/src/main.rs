//! The Lambda function `edit-post`.

use tidings::{
    http::{self, Callers},
    runtime::Runtime,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let conversations = &runtime.conversations()?;
    let clock = &runtime.clock;
    http::serve(&runtime, Callers::Api, async |call| edit_post::handle(conversations, clock, call).await).await
}
