//! The Lambda function `get-feed`.

use tidings::{http, runtime::Runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let keys = &runtime.cursor_keys()?;
    let feeds = &runtime.feeds()?;
    http::serve(&runtime, async |call| get_feed::handle(feeds, keys, call).await).await
}
