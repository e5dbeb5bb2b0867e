//! A DynamoDB that answers from memory. First it passes reads on to a real table and records the answers. Once
//! [`Recorded::seal`] was called, it knows nothing else. So whoever is measured waits for no other program, and
//! everybody who asks for the same items gets the same bytes.

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, StatusCode},
    serve::ListenerExt as _,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// The header with the name of the operation.
const TARGET: &str = "x-amz-target";
/// What a recorded answer keeps of its headers.
const KEPT: [&str; 2] = ["content-type", "x-amz-crc32"];

/// The server. It ends with this value.
#[derive(Debug)]
pub struct Recorded {
    /// Where it listens.
    pub url: String,
    answers: Arc<Answers>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Answers {
    by_request: Mutex<HashMap<String, (HeaderMap, Bytes)>>,
    /// The real DynamoDB, until the recording is complete.
    source: Mutex<Option<String>>,
    http: reqwest::Client,
}

impl Recorded {
    /// Records what the DynamoDB at `source` answers.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn start(source: &str) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let source = Mutex::new(Some(source.to_owned()));
        let answers = Arc::new(Answers { by_request: Mutex::default(), source, http: reqwest::Client::new() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&answers));
        // A connection that cannot be without delay is only slower.
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { url, answers, server })
    }

    /// Ends the recording. What is not recorded fails from now on.
    pub fn seal(&self) {
        *self.answers.source.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(answers): State<Arc<Answers>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let answer = match answers.find(&headers, body).await {
        Ok((headers, bytes)) => (headers, bytes),
        Err(error) => {
            eprintln!("the recorded DynamoDB: {error:#}");
            // An error that SDKs do not try again.
            let document =
                json!({ "__type": "com.amazon.coral.validate#ValidationException", "message": "not recorded" });
            let mut response = Response::new(Body::from(document.to_string()));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return response;
        }
    };
    let mut response = Response::new(Body::from(answer.1));
    *response.headers_mut() = answer.0;
    response
}

impl Answers {
    async fn find(&self, headers: &HeaderMap, body: Bytes) -> Result<(HeaderMap, Bytes)> {
        let target = headers.get(TARGET).context("no operation")?.to_str()?;
        let request = canonical(target, &body)?;
        if let Some(known) = self.by_request.lock().unwrap_or_else(PoisonError::into_inner).get(&request) {
            return Ok(known.clone());
        }
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let source = source.with_context(|| format!("this was not recorded: {request}"))?;
        let mut passed_on = self.http.post(source).body(body);
        for name in ["content-type", TARGET, "authorization", "x-amz-date"] {
            passed_on = passed_on.header(name, headers.get(name).with_context(|| format!("no header {name}"))?);
        }
        let answer = passed_on.send().await?.error_for_status()?;
        let kept = KEPT.iter().filter_map(|name| Some((name.parse().ok()?, answer.headers().get(*name)?.clone())));
        let kept: HeaderMap = kept.collect();
        let bytes = answer.bytes().await?;
        let mut known = self.by_request.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(known.entry(request).or_insert((kept, bytes)).clone())
    }
}

/// A text that is the same for two requests if they ask for the same items. Of the bounds of sort keys in queries, only
/// what stands before a `#` counts: bounds move with the time.
fn canonical(target: &str, body: &[u8]) -> Result<String> {
    let mut request: Value = serde_json::from_slice(body)?;
    if let Some(condition) = request["KeyConditionExpression"].as_str() {
        let partition = condition.split_once('=').and_then(|(_, value)| value.split_whitespace().next());
        let partition = partition.context("a query without a partition")?;
        let values = request["ExpressionAttributeValues"].as_object().context("a query without values")?;
        let kind = |value: &Value| Some(value["S"].as_str()?.split_once('#')?.0.to_owned());
        let kinds: BTreeSet<_> = values.values().filter_map(kind).collect();
        let table = &request["TableName"];
        request = json!([table, values.get(partition), kinds, request["Limit"], request["ScanIndexForward"]]);
    }
    Ok(format!("{target} {}", sorted(&request)))
}

/// A text of the value without the order of members, and of keys in a list.
fn sorted(value: &Value) -> String {
    let mut parts: Vec<_> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| format!("{name:?}:{}", sorted(value))).collect(),
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => return other.to_string(),
    };
    parts.sort_unstable();
    format!("{{{}}}", parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_and_the_time_do_not_matter() {
        let batch = |keys: Value| canonical("BatchGetItem", json!({ "RequestItems": keys }).to_string().as_bytes());
        let (a, b) =
            (json!({ "PK": { "S": "a" }, "SK": { "S": "x" } }), json!({ "SK": { "S": "x" }, "PK": { "S": "b" } }));
        assert_eq!(batch(json!([a, b])).unwrap(), batch(json!([b, a])).unwrap());
        assert_ne!(batch(json!([a])).unwrap(), batch(json!([b])).unwrap());
        let query = |partition: &str, first: &str| {
            let query = json!({
                "TableName": "t",
                "KeyConditionExpression": "PK = :pk AND SK >= :first",
                "ExpressionAttributeValues": { ":pk": { "S": partition }, ":first": { "S": first } },
            });
            canonical("Query", query.to_string().as_bytes()).unwrap()
        };
        assert_eq!(query("a", "1"), query("a", "2"));
        assert_eq!(query("a", "LIKES#1"), query("a", "LIKES#2"));
        assert_ne!(query("a", "1"), query("b", "1"));
        assert_ne!(query("a", "LIKES#1"), query("a", "EVENT#1"));
    }
}
