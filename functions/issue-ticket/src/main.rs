//! The Lambda function `issue-ticket`.

use tidings::{
    http::{self, Callers},
    runtime::Runtime,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let runtime = Runtime::start().await?;
    let office = &runtime.ticket_office()?;
    http::serve(&runtime, Callers::Api, async |call| issue_ticket::handle(office, &call)).await
}
