//! HTTP as API Gateway brings it: requests (payload format 2.0), responses, and problems.

pub mod problem;
mod request;
mod response;
pub mod view;

use std::future::Future;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_runtime::{LambdaEvent, service_fn};
pub use request::Call;
pub use response::Response;

use crate::{
    error::Error,
    store::{Cost, Meter},
};

/// Name of the header that tells which version of the caller's log holds a command's effect.
pub const VERSION_HEADER: &str = "tidings-version";

/// Name of the header by which a query asks for the effects of the caller's commands up to a version.
pub const MIN_VERSION_HEADER: &str = "tidings-min-version";

/// Name of the header that tells what a request cost, where that is shown: round trips to DynamoDB one after the other,
/// calls, and capacity units, as a dictionary (RFC 9651).
const COST_HEADER: &str = "tidings-cost";

/// Answers requests with `handler` until Lambda ends the process; with a `meter`, tells what each cost.
///
/// # Errors
/// If the Runtime API cannot be reached.
pub async fn serve<H, F>(meter: Option<&Meter>, handler: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Call) -> F,
    F: Future<Output = Result<Response, Error>>,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(|event: LambdaEvent<ApiGatewayV2httpRequest>| async {
        Ok::<_, lambda_runtime::Error>(answer(meter, event.payload, handler).await)
    }))
    .await
}

/// Answers one request with `handler`; with a `meter`, tells what it cost.
///
/// Errors become problem documents: Lambda's runtime takes an error as a failed invocation, which callers see as a bare
/// 500.
pub async fn answer<H, F>(meter: Option<&Meter>, request: ApiGatewayV2httpRequest, handler: H) -> Response
where
    H: FnOnce(Call) -> F,
    F: Future<Output = Result<Response, Error>>,
{
    if let Some(meter) = meter {
        meter.reset();
    }
    let answer = match Call::new(request) {
        // Boxed, or the type of all the futures within is too deep for the compiler.
        Ok(call) => Box::pin(handler(call)).await,
        Err(rejection) => Err(rejection.into()),
    };
    let response = answer.unwrap_or_else(problem::response);
    match meter {
        Some(meter) => response.header(COST_HEADER, dictionary(meter.cost())),
        None => response,
    }
}

fn dictionary(cost: Cost) -> String {
    let Cost { round_trips, calls, read_units, write_units } = cost;
    format!("round_trips={round_trips}, calls={calls}, read_units={read_units:.1}, write_units={write_units:.1}")
}
