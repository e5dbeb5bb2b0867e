//! The Lambda function `search`.

use tidings::{
    http::{self, Callers},
    runtime::Runtime,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let keys = &runtime.cursor_keys()?;
    let searches = &runtime.search()?;
    http::serve(&runtime, Callers::Api, async |call| search::handle(searches, keys, call).await).await
}
