//! The Lambda function `get-profile`.

use tidings::{
    http::{self, Callers},
    runtime::Runtime,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let (keys, clock) = (&runtime.cursor_keys()?, &runtime.clock);
    let (people, notifications) = (&runtime.people()?, &runtime.notifications()?);
    http::serve(&runtime, Callers::Api, async |call| {
        get_profile::handle(people, notifications, keys, clock, call).await
    })
    .await
}
