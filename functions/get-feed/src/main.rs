//! The Lambda function `get-feed`.

use tidings::{
    http::{self, Callers},
    runtime::Runtime,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let keys = &runtime.cursor_keys()?;
    let feeds = &runtime.feeds()?;
    let callers = Callers::ApiOrTicket { keys, clock: &runtime.clock };
    http::serve(&runtime, callers, async |call| get_feed::handle(feeds, keys, call).await).await
}
