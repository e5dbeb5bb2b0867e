//! Checks every answer that the client gets against the HTTP contract, `openapi.yaml`. The contract must have the
//! operation, the status, the headers and the body of the answer. And if the answer is a success, the request must be
//! valid, too.

mod document;

use std::sync::{
    LazyLock,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Result;
use boon::{SchemaIndex, Schemas};
use percent_encoding::percent_decode_str;
use reqwest::{Method, Request, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use document::{Operation, Reader, Response};

/// Headers of the contract besides those that begin with `tidings-`.
const HEADERS: [&str; 3] = ["location", "retry-after", "www-authenticate"];

/// Whether answers are checked.
static HELD: AtomicBool = AtomicBool::new(true);

/// Stops checking answers. Measurements use this, because they would also measure the checks.
pub fn disregard() {
    HELD.store(false, Ordering::Relaxed);
}

/// Checks an answer against the contract of this checkout.
///
/// # Errors
/// What violates the contract, in one line.
pub(crate) fn hold(request: &Request, status: StatusCode, headers: &HeaderMap, body: &str) -> Result<(), String> {
    static CONTRACT: LazyLock<Result<Contract, String>> =
        LazyLock::new(|| Contract::of_this_checkout().map_err(|error| format!("openapi.yaml: {error:#}")));
    if !HELD.load(Ordering::Relaxed) || request.method() == Method::OPTIONS {
        return Ok(());
    }
    CONTRACT.as_ref().map_err(Clone::clone)?.check(request, status, headers, body)
}

/// An OpenAPI document, ready for checks.
struct Contract {
    operations: Vec<Operation>,
    schemas: Schemas,
}

impl Contract {
    fn of_this_checkout() -> Result<Self> {
        Self::read(&std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.yaml"))?)
    }

    fn read(yaml: &str) -> Result<Self> {
        let document: Value = serde_saphyr::from_str(yaml)?;
        let mut reader = Reader::new(&document)?;
        Ok(Self { operations: reader.operations()?, schemas: reader.schemas })
    }

    fn check(&self, request: &Request, status: StatusCode, headers: &HeaderMap, body: &str) -> Result<(), String> {
        let path = request.url().path();
        let found = self.operations.iter().find_map(|operation| {
            let values = match_path(&operation.path, path).filter(|_| operation.method == request.method().as_str())?;
            Some((operation, values))
        });
        let Some((operation, values)) = found else {
            let gateway_says =
                serde_json::from_str::<Value>(body).is_ok_and(|body| body == json!({"message": "Not Found"}));
            return match status == StatusCode::NOT_FOUND && gateway_says {
                true => Ok(()),
                false => Err("the contract has no such operation, but the answer is no 404".to_owned()),
            };
        };
        let response = operation
            .responses
            .get(&status.as_u16())
            .ok_or_else(|| format!("{} {} may not answer {status}", operation.method, operation.path))?;
        self.check_headers(response, headers)?;
        let by_gateway = serde_json::from_str::<Value>(body).is_ok_and(|body| body.get("message").is_some());
        if !by_gateway && !headers.contains_key("cache-control") {
            return Err("the header cache-control is missing".to_owned());
        }
        self.check_body(response, headers, body)?;
        if status.is_success() { self.check_request(operation, &values, request) } else { Ok(()) }
    }

    fn check_headers(&self, response: &Response, headers: &HeaderMap) -> Result<(), String> {
        for header in &response.headers {
            match headers.get(&header.name).map(|value| value.to_str().unwrap_or_default()) {
                Some(value) => self.valid(&format!("header {}", header.name), &read(value), header.schema)?,
                None if header.required => return Err(format!("the header {} is missing", header.name)),
                None => {}
            }
        }
        let known = |name: &str| response.headers.iter().any(|header| header.name == name);
        let ours = |name: &&str| name.starts_with("tidings-") || HEADERS.contains(name);
        match headers.keys().map(|name| name.as_str()).filter(ours).find(|name| !known(name)) {
            Some(unknown) => Err(format!("the contract has no header {unknown} here")),
            None => Ok(()),
        }
    }

    fn check_body(&self, response: &Response, headers: &HeaderMap, body: &str) -> Result<(), String> {
        if response.content.is_empty() {
            return if body.is_empty() { Ok(()) } else { Err("the body should be empty".to_owned()) };
        }
        let media_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        let schema = response
            .content
            .get(media_type)
            .ok_or_else(|| format!("the contract has no content of type {media_type:?} here"))?;
        let body = serde_json::from_str(body).map_err(|error| format!("the body is not JSON: {error}"))?;
        self.valid("body", &body, *schema)
    }

    fn check_request(&self, operation: &Operation, values: &[(&str, String)], request: &Request) -> Result<(), String> {
        for parameter in &operation.parameters {
            let what = format!("the request succeeded, but its {} parameter {}", parameter.place, parameter.name);
            let value = match parameter.place.as_str() {
                // The values of a path are strings, even if they look like numbers.
                "path" => values.iter().find(|(name, _)| *name == parameter.name).map(|(_, value)| json!(value)),
                "query" => {
                    // If a parameter is repeated, the first one counts.
                    let mut pairs = request.url().query_pairs();
                    pairs.find(|(name, _)| *name == parameter.name).map(|(_, value)| read(&value))
                }
                _ => {
                    let value = request.headers().get(&parameter.name).and_then(|value| value.to_str().ok());
                    value.map(read)
                }
            };
            if let Some(value) = value {
                // A string that looks like a number is a number only if the schema requires one.
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                self.valid(&what, &value, parameter.schema)
                    .or_else(|told| self.valid(&what, &Value::String(text), parameter.schema).map_err(|_| told))?;
            }
        }
        let Some(schema) = operation.body else { return Ok(()) };
        let bytes = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let body = serde_json::from_slice(bytes)
            .map_err(|error| format!("the request succeeded, but its body is not JSON: {error}"))?;
        self.valid("the request succeeded, but its body", &body, schema)
    }

    fn valid(&self, what: &str, value: &Value, schema: SchemaIndex) -> Result<(), String> {
        self.schemas.validate(value, schema).map_err(|error| {
            let told = error.to_string();
            format!("{what} violates the contract: {}", told.lines().map(str::trim).collect::<Vec<_>>().join("; "))
        })
    }
}

/// The values of the path parameters, or `None` if the path does not match.
fn match_path<'a>(template: &'a str, path: &str) -> Option<Vec<(&'a str, String)>> {
    let (mut names, mut segments) = (template.split('/'), path.split('/'));
    let mut values = Vec::new();
    loop {
        match (names.next(), segments.next()) {
            (None, None) => return Some(values),
            (Some(name), Some(segment)) => match name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(_) if segment.is_empty() => return None,
                Some(name) => values.push((name, percent_decode_str(segment).decode_utf8_lossy().into_owned())),
                None if name != segment => return None,
                None => {}
            },
            _ => return None,
        }
    }
}

/// A value in a header or a query: a number or a boolean if it looks like one, otherwise a string.
fn read(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text => text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from),
    }
}

#[cfg(test)]
mod tests;
