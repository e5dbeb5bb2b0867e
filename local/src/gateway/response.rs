//! Turns a function's answer (payload format 2.0) into an HTTP response. Has the gateway's own messages for a function
//! that does not answer or whose answer is malformed.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::invoke::InvokeError;

/// Headers that the gateway always sets itself.
const NOT_THE_FUNCTIONS: [HeaderName; 4] =
    [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE];

/// A function's answer is not in payload format 2.0.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed response of the function: {0}")]
pub(super) struct Malformed(String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: Value,
    headers: Option<serde_json::Map<String, Value>>,
    cookies: Option<Vec<String>>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

/// The HTTP response for a function's answer. An answer without a `statusCode` is the body of a 200 response.
pub(super) fn from_function(output: &[u8]) -> Result<Response, Malformed> {
    let malformed = |error: &dyn std::fmt::Display| Malformed(error.to_string());
    let output: Value = serde_json::from_slice(output).map_err(|error| malformed(&error))?;
    if output.get("statusCode").is_none() {
        let body = match output {
            Value::String(text) => text,
            other => other.to_string(),
        };
        return Ok(json_response(StatusCode::OK, body));
    }
    let answer: Answer = serde_json::from_value(output).map_err(|error| malformed(&error))?;
    let status = match &answer.status_code {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    let status = status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .filter(|status| !status.is_informational())
        .ok_or_else(|| Malformed(format!("{} is no HTTP status", answer.status_code)))?;
    let body = answer.body.unwrap_or_default();
    let body = match answer.is_base64_encoded {
        Some(true) => BASE64_STANDARD.decode(body).map_err(|error| malformed(&error))?,
        _ => body.into_bytes(),
    };
    let mut headers = HeaderMap::new();
    if !body.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=UTF-8"));
    }
    for (name, value) in answer.headers.unwrap_or_default() {
        let value = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let name = HeaderName::try_from(name).map_err(|error| malformed(&error))?;
        let value = HeaderValue::try_from(value).map_err(|error| malformed(&error))?;
        if !NOT_THE_FUNCTIONS.contains(&name) {
            headers.insert(name, value);
        }
    }
    for cookie in answer.cookies.unwrap_or_default() {
        headers.append(header::SET_COOKIE, HeaderValue::try_from(cookie).map_err(|error| malformed(&error))?);
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The response of an HTTP API, or of a function URL, for a function that did not answer.
pub(super) fn from_error(error: &InvokeError, is_function_url: bool) -> Response {
    match error {
        // Lambda Developer Guide, "Throttling function URLs".
        InvokeError::Throttled if is_function_url => message(StatusCode::TOO_MANY_REQUESTS, "Rate Exceeded."),
        InvokeError::Throttled => message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        _ if is_function_url => message(StatusCode::BAD_GATEWAY, "Internal Server Error"),
        // A client of an HTTP API cannot tell apart the errors of a function, not even its timeout.
        InvokeError::Function(_)
        | InvokeError::Crashed
        | InvokeError::TimedOut(_)
        | InvokeError::Recursive(_)
        | InvokeError::Unavailable(_) => message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
    }
}

/// A message of the gateway itself, for example `{"message":"Not Found"}`.
pub(super) fn message(status: StatusCode, text: &str) -> Response {
    json_response(status, json!({ "message": text }).to_string())
}

fn json_response(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Response, from_function};

    async fn read(response: Response) -> (u16, Vec<(String, String)>, Vec<u8>) {
        let status = response.status().as_u16();
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        let headers = response.headers().iter().map(header).collect();
        (status, headers, axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
    }

    async fn answer(output: Value) -> (u16, Vec<(String, String)>, Vec<u8>) {
        read(from_function(output.to_string().as_bytes()).unwrap()).await
    }

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[tokio::test]
    async fn status_headers_cookies_and_body_go_to_the_client() {
        let output = json!({
            "statusCode": 201, "headers": { "Location": "/x", "X-Number": 7, "Content-Length": "999" },
            "cookies": ["a=1", "b=2; HttpOnly"], "body": "ü", "multiValueHeaders": { "x-many": ["1", "2"] },
        });
        let expected = headers(&[
            ("content-type", "text/plain;charset=UTF-8"),
            ("location", "/x"),
            ("x-number", "7"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2; HttpOnly"),
        ]);
        assert_eq!(answer(output).await, (201, expected, "ü".as_bytes().to_vec()));
        let output = json!({
            "statusCode": "200", "isBase64Encoded": true, "body": "AP8=", "headers": { "content-type": "image/png" },
        });
        assert_eq!(answer(output).await, (200, headers(&[("content-type", "image/png")]), vec![0, 255]));
        assert_eq!(answer(json!({ "statusCode": 204 })).await, (204, vec![], vec![]));
        assert_eq!(answer(json!({ "statusCode": 204, "body": null, "headers": null })).await, (204, vec![], vec![]));
    }

    #[tokio::test]
    async fn without_a_status_code_the_answer_is_the_body_of_a_200() {
        let json_type = headers(&[("content-type", "application/json")]);
        for (output, body) in [
            (json!({ "message": "hi" }), r#"{"message":"hi"}"#),
            (json!("hi"), "hi"),
            (json!([1, 2]), "[1,2]"),
            (json!(null), "null"),
        ] {
            assert_eq!(answer(output).await, (200, json_type.clone(), body.as_bytes().to_vec()));
        }
    }

    #[test]
    fn an_answer_in_another_format_is_malformed() {
        for output in [
            json!({ "statusCode": 99 }),
            json!({ "statusCode": 100 }),
            json!({ "statusCode": 1000 }),
            json!({ "statusCode": "ok" }),
            json!({ "statusCode": null }),
            json!({ "statusCode": 200, "body": { "not": "a string" } }),
            json!({ "statusCode": 200, "body": "%%%", "isBase64Encoded": true }),
            json!({ "statusCode": 200, "headers": { "bad name": "x" } }),
            json!({ "statusCode": 200, "headers": { "x": "line\nbreak" } }),
            json!({ "statusCode": 200, "cookies": "a=1" }),
        ] {
            assert!(from_function(output.to_string().as_bytes()).is_err(), "{output}");
        }
        assert!(from_function(b"").is_err());
        assert!(from_function(b"<html>").is_err());
    }
}
