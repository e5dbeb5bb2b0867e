//! The Lambda function `edit-post`.

use tidings::{http, query::Conversations, runtime::Runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await;
    let conversations =
        &Conversations { commands: runtime.commands()?, viewers: runtime.viewers()?, cards: runtime.cards()? };
    let clock = &runtime.clock;
    http::serve(&runtime, async |call| edit_post::handle(conversations, clock, call).await).await
}
