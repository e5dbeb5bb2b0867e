//! HTTP behind API Gateway and function URLs (payload format 2.0): requests, responses, errors as problems, JSON
//! documents, and walks from page to page.

mod edge_route;
mod encoding;
mod members;
pub mod problem;
mod request;
mod response;
mod statistics;
mod text_body;
mod ticket;
pub mod view;
mod walk;

use std::future::Future;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
pub use edge_route::{change_edge, wanted_edge};
pub use members::{Members, Optional};
pub use request::Call;
pub use response::Response;
pub use statistics::{AuthorDaysView, SiteDaysView};
pub use text_body::text_body;
pub use walk::PageWalk;

use crate::{
    error::Error,
    model::Clock,
    query::cursor::CursorKeys,
    runtime::Runtime,
    store::{Cost, Meter},
    trace::{self, TraceId},
};

/// The response header of commands: the version of the caller's log that holds the command's effect.
pub const VERSION_HEADER: &str = "tidings-version";

/// The request header of queries: the answer has to show the effects of the caller's commands up to this version.
pub const MIN_VERSION_HEADER: &str = "tidings-min-version";

/// The response header with the cost of a request, where the deployment shows costs: consecutive round trips to
/// DynamoDB, calls, and capacity units, as a dictionary (RFC 9651).
const COST_HEADER: &str = "tidings-cost";

/// Whose requests a function answers.
#[derive(Debug, Clone, Copy)]
pub enum Callers<'a> {
    /// Those that have passed the authorizer of the HTTP API.
    Api,
    /// Besides these, at a function URL, those of whoever has a ticket.
    ApiOrTicket {
        /// What tickets are signed with.
        keys: &'a CursorKeys,
        /// The time.
        clock: &'a Clock,
    },
}

impl Callers<'_> {
    fn call(self, request: ApiGatewayV2httpRequest) -> Result<Call, Error> {
        match self {
            // Behind the API, the authorizer is always there, and a client cannot add it.
            Self::ApiOrTicket { keys, clock } if request.request_context.authorizer.is_none() => {
                ticket::call(request, keys, clock.now())
            }
            Self::Api | Self::ApiOrTicket { .. } => Ok(Call::new(request)?),
        }
    }
}

/// Answers requests of these callers with `handler` until Lambda ends the process. If the runtime has a meter, every
/// response tells what it cost.
///
/// # Errors
/// If the Runtime API cannot be reached.
pub async fn serve<H, F>(runtime: &Runtime, callers: Callers<'_>, handler: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Call) -> F,
    F: Future<Output = Result<Response, Error>>,
{
    let handler = &handler;
    let meter = runtime.meter.as_ref();
    runtime.run(async |request, _| Ok(answer(meter, callers, request, handler).await)).await
}

/// Answers one request of these callers with `handler`. With a `meter`, the response tells what the request cost.
///
/// Every error becomes a response with a problem document. Lambda's runtime would turn an error into a failed
/// invocation, which callers see as a bare 500.
pub async fn answer<H, F>(
    meter: Option<&Meter>,
    callers: Callers<'_>,
    request: ApiGatewayV2httpRequest,
    handler: H,
) -> Response
where
    H: FnOnce(Call) -> F,
    F: Future<Output = Result<Response, Error>>,
{
    if let Some(meter) = meter {
        meter.reset();
    }
    // API Gateway and function URLs give every request this header.
    let header = request.headers.get("x-amzn-trace-id").and_then(|header| header.to_str().ok());
    let trace = header.and_then(TraceId::from_aws_header);
    let method = request.request_context.http.method.to_string();
    let accepted = request.headers.get("accept-encoding").and_then(|header| header.to_str().ok());
    let takes_gzip = accepted.is_some_and(encoding::accepts_gzip);
    let answer = match callers.call(request) {
        // Boxed, because the nested type of the futures is too deep for the compiler.
        Ok(call) => Box::pin(trace::within(trace, handler(call))).await,
        Err(error) => Err(error),
    };
    let response = answer.unwrap_or_else(problem::response).cache_control(&method).encoded(takes_gzip);
    match meter {
        Some(meter) => response.header(COST_HEADER, dictionary(meter.cost())),
        None => response,
    }
}

fn dictionary(cost: Cost) -> String {
    let Cost { round_trips, calls, read_units, write_units } = cost;
    format!("round_trips={round_trips}, calls={calls}, read_units={read_units:.1}, write_units={write_units:.1}")
}
