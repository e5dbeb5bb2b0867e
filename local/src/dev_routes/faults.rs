//! Switches that disturb the stack, and the one of the demo. Whoever watches can see the stack recover.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::DevRoutes;
use crate::{json, sources::Chaos};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChaosRequest {
    duplicate_records: bool,
    reorder_records: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KillRequest {
    function: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThrottleRequest {
    function: String,
    throttled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DemoRequest {
    running: bool,
    /// The id of a user whom the users of the demo follow.
    follow: Option<String>,
}

/// `POST /dev/chaos`: event sources deliver records twice or out of order from now on, or no longer.
pub(super) async fn chaos(State(routes): State<DevRoutes>, body: Bytes) -> Response {
    let example = r#"{"duplicate_records":true,"reorder_records":false}"#;
    let request: ChaosRequest = match read(&body, example) {
        Ok(request) => request,
        Err(text) => return refuse(StatusCode::BAD_REQUEST, &text),
    };
    let ChaosRequest { duplicate_records, reorder_records } = request;
    routes.inner.sources.set_chaos(Chaos { duplicate_records, reorder_records });
    StatusCode::NO_CONTENT.into_response()
}

/// `POST /dev/kill`: kills the processes of a function.
pub(super) async fn kill(State(routes): State<DevRoutes>, body: Bytes) -> Response {
    let request: KillRequest = match read(&body, r#"{"function":"Fanout"}"#) {
        Ok(request) => request,
        Err(text) => return refuse(StatusCode::BAD_REQUEST, &text),
    };
    match routes.inner.lambda.kill(&request.function) {
        Some(killed) => Json(json!({ "killed": killed })).into_response(),
        None => unknown(&routes, &request.function),
    }
}

/// `POST /dev/throttle`: no invocation of a function runs from now on, or they run again.
pub(super) async fn throttle(State(routes): State<DevRoutes>, body: Bytes) -> Response {
    let request: ThrottleRequest = match read(&body, r#"{"function":"Fanout","throttled":true}"#) {
        Ok(request) => request,
        Err(text) => return refuse(StatusCode::BAD_REQUEST, &text),
    };
    match routes.inner.lambda.set_throttled(&request.function, request.throttled) {
        true => StatusCode::NO_CONTENT.into_response(),
        false => unknown(&routes, &request.function),
    }
}

/// `POST /dev/demo`: starts or stops the users of the demo.
pub(super) async fn demo(State(routes): State<DevRoutes>, body: Bytes) -> Response {
    let request: DemoRequest = match read(&body, r#"{"running":true}"#) {
        Ok(request) => request,
        Err(text) => return refuse(StatusCode::BAD_REQUEST, &text),
    };
    match request.running {
        true => routes.inner.demo.start(request.follow),
        false => routes.inner.demo.stop(),
    }
    StatusCode::NO_CONTENT.into_response()
}

fn read<Request: DeserializeOwned>(body: &[u8], example: &str) -> Result<Request, String> {
    json::object(body).map_err(|error| format!("the body must be a JSON object such as {example}: {error}"))
}

fn unknown(routes: &DevRoutes, function: &str) -> Response {
    let text = format!("there is no function {function}; there are {}", routes.inner.functions.join(", "));
    refuse(StatusCode::NOT_FOUND, &text)
}

fn refuse(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "message": text }))).into_response()
}
