//! Lambda's Invoke API, for callers other than the gateway and the event sources: `aws lambda invoke`, an operator's
//! tool, or another gateway. Only synchronous invocations. The API runs functions for every caller and accepts any
//! signature, so only this machine may reach it.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{PAYLOAD_BYTES_MAX, function_arn};
use crate::{
    invoke::{Invoke, InvokeError},
    template::model::Function,
};

struct Api<I> {
    /// The logical ids by all names that a function may be called by.
    names: HashMap<String, String>,
    invoker: I,
}

/// Serves `POST /2015-03-31/functions/{name}/invocations`. The name is a function's logical id, its physical name, or
/// an ARN that ends in one of these.
pub fn router(functions: &[Function], invoker: impl Invoke) -> Router {
    let called = |function: &Function| {
        [&function.name, &function.physical_name].map(|name| (name.clone(), function.name.clone()))
    };
    let names = functions.iter().flat_map(called).collect();
    Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .with_state(Arc::new(Api { names, invoker }))
}

async fn invoke<I: Invoke>(
    State(api): State<Arc<Api<I>>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let unqualified = name.rsplit_once(":function:").map_or(name.as_str(), |(_, name)| name);
    let Some(function) = api.names.get(unqualified) else {
        let message = format!("Function not found: {}", function_arn(unqualified));
        return refuse(StatusCode::NOT_FOUND, "ResourceNotFoundException", &message);
    };
    let Ok(payload) = axum::body::to_bytes(body, PAYLOAD_BYTES_MAX).await else {
        let message = format!("the payload must have at most {PAYLOAD_BYTES_MAX} bytes");
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", &message);
    };
    // Lambda treats an empty payload as an empty object.
    let payload = if payload.is_empty() { Bytes::from_static(b"{}") } else { payload };
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(&payload) {
        let message = format!("Could not parse request body into json: {error}");
        return refuse(StatusCode::BAD_REQUEST, "InvalidRequestContentException", &message);
    }
    match headers.get("x-amz-invocation-type").map(|kind| kind.as_bytes()) {
        None | Some(b"RequestResponse") => answer(api.invoker.invoke(function, payload).await),
        Some(b"DryRun") => StatusCode::NO_CONTENT.into_response(),
        Some(_) => {
            let message = "the local stack supports only the invocation types RequestResponse and DryRun";
            refuse(StatusCode::BAD_REQUEST, "InvalidParameterValueException", message)
        }
    }
}

/// The status is 200 whether the function answered or failed. A header tells the difference.
fn answer(result: Result<Bytes, InvokeError>) -> Response {
    let executed = [("content-type", "application/json"), ("x-amz-executed-version", "$LATEST")];
    let failed = |document: String| (executed, [("x-amz-function-error", "Unhandled")], document).into_response();
    match result {
        Ok(output) => (executed, output).into_response(),
        Err(InvokeError::Function(document)) => failed(document),
        Err(InvokeError::Crashed) => {
            let message = "the process ended before it answered";
            failed(json!({ "errorType": "Runtime.ExitError", "errorMessage": message }).to_string())
        }
        Err(InvokeError::TimedOut(time)) => {
            let message = format!("Task timed out after {:.2} seconds", time.as_secs_f64());
            failed(json!({ "errorType": "Sandbox.Timedout", "errorMessage": message }).to_string())
        }
        Err(error @ InvokeError::Throttled) => {
            refuse(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", &error.to_string())
        }
        Err(error @ InvokeError::Recursive(_)) => {
            refuse(StatusCode::BAD_REQUEST, "RecursiveInvocationException", &error.to_string())
        }
        Err(error @ InvokeError::Unavailable(_)) => {
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", &error.to_string())
        }
    }
}

fn refuse(status: StatusCode, error_type: &'static str, message: &str) -> Response {
    let blame = if status.is_server_error() { "Service" } else { "User" };
    (status, [("x-amzn-errortype", error_type)], Json(json!({ "Type": blame, "Message": message }))).into_response()
}
