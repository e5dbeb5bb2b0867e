//! The Lambda function `get-post`.

use tidings::{
    http::{self, Callers},
    runtime::Runtime,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let (keys, clock) = (&runtime.cursor_keys()?, &runtime.clock);
    let conversations = &runtime.conversations()?;
    http::serve(&runtime, Callers::Api, async |call| get_post::handle(conversations, keys, clock, call).await).await
}
