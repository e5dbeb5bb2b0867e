//! Turns a request into a function's event: payload format 2.0 of HTTP APIs, field by field. Where AWS's documentation
//! says nothing, the event is what AWS's gateway was observed to send: `rawPath` is decoded, cookies are not among the
//! headers, and a body is text only if its content type says so.

use std::{collections::BTreeMap, net::SocketAddr};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, macros::format_description};

use super::route::{self, Match};
use crate::aws::ACCOUNT;

/// Headers between two hops. They do not belong to the request.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What the gateway knows about a request besides the request itself.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) request_id: &'a str,
    pub(super) now: OffsetDateTime,
    pub(super) peer: SocketAddr,
    pub(super) route: &'a Match<'a>,
    /// Whether the request came to a function URL.
    pub(super) is_function_url: bool,
    /// The claims of the caller's token, if the API has an authorizer.
    pub(super) claims: Option<&'a Map<String, Value>>,
}

/// The event for a request.
pub(super) fn request_event(parts: &Parts, body: &Bytes, context: &Context<'_>) -> Value {
    let Context { request_id, now, peer, route, is_function_url, claims } = context;
    // Function URLs pass the path as it was sent (recorded events of both in public repositories).
    let decoded = if *is_function_url { None } else { route::decode(parts.uri.path()).ok() };
    let path = decoded.unwrap_or_else(|| parts.uri.path().into());
    let query = parts.uri.query().unwrap_or_default();
    let host = parts.headers.get(header::HOST).map(text).unwrap_or_default();
    let domain = host.rsplit_once(':').map_or(host.as_str(), |(domain, _)| domain);
    let mut request_context = json!({
        "accountId": ACCOUNT,
        "apiId": "local",
        "domainName": domain,
        "domainPrefix": domain.split('.').next(),
        "http": {
            "method": parts.method.as_str(),
            "path": path,
            "protocol": format!("{:?}", parts.version),
            "sourceIp": peer.ip().to_string(),
            "userAgent": parts.headers.get(header::USER_AGENT).map(text).unwrap_or_default(),
        },
        "requestId": request_id,
        "routeKey": route.key,
        "stage": "$default",
        "time": clf_time(*now),
        "timeEpoch": (now.unix_timestamp_nanos() / 1_000_000) as i64,
    });
    if let Some(claims) = claims {
        let claims: BTreeMap<_, _> = claims.iter().map(|(name, claim)| (name, claim_text(claim))).collect();
        request_context["authorizer"] = json!({ "jwt": { "claims": claims, "scopes": null } });
    }
    let mut event = json!({
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers(parts, body, *now, *peer),
        "requestContext": request_context,
        "isBase64Encoded": false,
    });
    let cookies = cookies(&parts.headers);
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !query.is_empty() {
        event["queryStringParameters"] = json!(query_parameters(query));
    }
    if !route.parameters.is_empty() {
        event["pathParameters"] = route.parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    }
    if !body.is_empty() {
        let text = if is_text(&parts.headers) { std::str::from_utf8(body).ok() } else { None };
        event["isBase64Encoded"] = json!(text.is_none());
        event["body"] = text.map_or_else(|| json!(BASE64_STANDARD.encode(body)), |text| json!(text));
    }
    event
}

/// The headers by lower-case name, and the headers that the gateway adds. Repeated headers are joined by commas.
fn headers(parts: &Parts, body: &Bytes, now: OffsetDateTime, peer: SocketAddr) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &parts.headers {
        if *name == header::COOKIE || HOP_BY_HOP.contains(&name.as_str()) {
            continue;
        }
        append(&mut headers, name.as_str(), &text(value));
    }
    let port = parts.headers.get(header::HOST).and_then(|host| Some(text(host).rsplit_once(':')?.1.to_owned()));
    append(&mut headers, "x-forwarded-for", &peer.ip().to_string());
    headers.insert("x-forwarded-port".to_owned(), port.unwrap_or_else(|| "80".to_owned()));
    headers.insert("x-forwarded-proto".to_owned(), "http".to_owned());
    headers.insert("content-length".to_owned(), body.len().to_string());
    let root = format!("Root=1-{:08x}-{:024x}", now.unix_timestamp(), rand::random::<u128>() >> 32);
    headers.entry("x-amzn-trace-id".to_owned()).or_insert(root);
    headers
}

fn append(headers: &mut BTreeMap<String, String>, name: &str, value: &str) {
    match headers.get_mut(name) {
        Some(present) => {
            present.push(',');
            present.push_str(value);
        }
        None => {
            headers.insert(name.to_owned(), value.to_owned());
        }
    }
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let split = |value| text(value).split(';').map(|cookie| cookie.trim().to_owned()).collect::<Vec<_>>();
    headers.get_all(header::COOKIE).iter().flat_map(split).filter(|cookie| !cookie.is_empty()).collect()
}

/// The decoded query parameters. Repeated parameters are joined by commas.
fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        append(&mut parameters, &decode(name), &decode(value));
    }
    parameters
}

/// Whether the function receives the body as it is. This is so if the body has no content type or a text type. All
/// other bodies, forms included, are sent as base64.
fn is_text(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE).map(text) else {
        return true;
    };
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.starts_with("text/")
        || ["application/json", "application/xml", "application/javascript"].contains(&media_type.as_str())
        || media_type.ends_with("+json")
        || media_type.ends_with("+xml")
}

/// A claim as HTTP APIs pass it on: every value is a string, and a list is its items in brackets.
fn claim_text(claim: &Value) -> String {
    match claim {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(claim_text).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}

/// The value of a header. Bytes that are not UTF-8 are read as Latin-1.
fn text(value: &http::HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// The time as in access logs: `12/Mar/2020:19:03:58 +0000`.
fn clf_time(now: OffsetDateTime) -> String {
    let format = format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    now.format(format).unwrap_or_default()
}
