//! The Lambda Runtime API, version 2018-06-01: the four routes by which a function process fetches an invocation and
//! returns its answer. One listener serves all processes. A process is recognized by the path `/<function>/<instance>`
//! in its `AWS_LAMBDA_RUNTIME_API`; nobody can guess the last part. Two processes must never get the same invocation.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, Request, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
    serve::ListenerExt as _,
};
use bytes::Bytes;
use serde_json::json;

use super::{
    PAYLOAD_BYTES_MAX,
    pool::{Instance, Invocation, Pool},
};
use crate::invoke::InvokeError;

/// How much of a body is read before its size is checked. An answer that is a little too large gets a clear error and
/// not a broken connection.
const BODY_BYTES_READ_MAX: usize = 4 * PAYLOAD_BYTES_MAX;

type Pools = Arc<HashMap<String, Arc<Pool>>>;

/// Serves the API until the task is aborted.
pub(super) async fn serve(listener: tokio::net::TcpListener, pools: HashMap<String, Arc<Pool>>) {
    let api = Router::new()
        .route("/{function}/{instance}/2018-06-01/runtime/invocation/next", get(next))
        .route("/{function}/{instance}/2018-06-01/runtime/invocation/{request}/response", post(response))
        .route("/{function}/{instance}/2018-06-01/runtime/invocation/{request}/error", post(error))
        .route("/{function}/{instance}/2018-06-01/runtime/init/error", post(init_error))
        .with_state(Arc::new(pools));
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "Runtime API connection without TCP_NODELAY");
        }
    });
    if let Err(error) = axum::serve(listener, api).await {
        tracing::error!(%error, "the Lambda Runtime API has ended");
    }
}

fn find(pools: &Pools, function: &str, instance: &str) -> Option<(Arc<Pool>, Arc<Instance>)> {
    let pool = pools.get(function)?;
    Some((Arc::clone(pool), pool.instance(instance)?))
}

fn refuse_stranger() -> Response {
    refuse(StatusCode::FORBIDDEN, "InvalidInstance", "this is not a running process")
}

fn refuse(status: StatusCode, error_type: &str, message: &str) -> Response {
    (status, axum::Json(json!({ "errorType": error_type, "errorMessage": message }))).into_response()
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, axum::Json(json!({ "status": "OK" }))).into_response()
}

/// Waits until there is an invocation for this process.
async fn next(State(pools): State<Pools>, Path((function, instance)): Path<(String, String)>) -> Response {
    let Some((pool, instance)) = find(&pools, &function, &instance) else {
        return refuse_stranger();
    };
    let Some(invocation) = pool.next(&instance).await else {
        return refuse(StatusCode::FORBIDDEN, "InvalidStateTransition", "the previous invocation is not answered");
    };
    invocation_response(&invocation)
        .unwrap_or_else(|error| refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", &error.to_string()))
}

fn invocation_response(invocation: &Invocation) -> Result<Response, axum::http::Error> {
    Response::builder()
        .header("content-type", HeaderValue::from_static("application/json"))
        .header("lambda-runtime-aws-request-id", &invocation.request_id)
        .header("lambda-runtime-deadline-ms", invocation.deadline_epoch_ms)
        .header("lambda-runtime-invoked-function-arn", &invocation.function_arn)
        .header("lambda-runtime-trace-id", &invocation.trace_id)
        .body(Body::from(invocation.payload.clone()))
}

async fn response(
    State(pools): State<Pools>,
    Path((function, instance, request_id)): Path<(String, String, String)>,
    request: Request<Body>,
) -> Response {
    let Some((pool, instance)) = find(&pools, &function, &instance) else {
        return refuse_stranger();
    };
    let body = read(request).await;
    let too_large = body.is_none();
    let answer = body.ok_or_else(|| {
        let message =
            format!("Response payload size exceeded maximum allowed payload size ({PAYLOAD_BYTES_MAX} bytes).");
        let document = json!({ "errorType": "Function.ResponseSizeTooLarge", "errorMessage": message });
        InvokeError::Function(document.to_string())
    });
    match (pool.answer(&instance, &request_id, answer), too_large) {
        (false, _) => refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", "there is no such invocation"),
        (true, true) => refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "the answer is too large"),
        (true, false) => accepted(),
    }
}

async fn error(
    State(pools): State<Pools>,
    Path((function, instance, request_id)): Path<(String, String, String)>,
    request: Request<Body>,
) -> Response {
    let Some((pool, instance)) = find(&pools, &function, &instance) else {
        return refuse_stranger();
    };
    if pool.answer(&instance, &request_id, Err(InvokeError::Function(read_error(request).await))) {
        accepted()
    } else {
        refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", "there is no such invocation")
    }
}

/// The process reports why it cannot start. It ends next, and the pool then returns this report.
async fn init_error(
    State(pools): State<Pools>,
    Path((function, instance)): Path<(String, String)>,
    request: Request<Body>,
) -> Response {
    let Some((_, instance)) = find(&pools, &function, &instance) else {
        return refuse_stranger();
    };
    instance.set_init_error(read_error(request).await);
    accepted()
}

/// The body, or `None` if it is too large or the connection breaks.
async fn read(request: Request<Body>) -> Option<Bytes> {
    let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_READ_MAX).await.ok()?;
    (body.len() <= PAYLOAD_BYTES_MAX).then_some(body)
}

async fn read_error(request: Request<Body>) -> String {
    read(request).await.map_or_else(
        || "an error document that is too large".to_owned(),
        |body| String::from_utf8_lossy(&body).into_owned(),
    )
}
