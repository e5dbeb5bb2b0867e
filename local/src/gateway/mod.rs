//! The HTTP API of the template on one machine, and its function URL. Routing, JWT authorizer, CORS, payload format 2.0
//! and error messages work as in API Gateway's HTTP APIs, so clients and functions see here what they will see on AWS.
//! The gateway calls functions by name through [`Invoke`] and does not know what runs them. It checks every answer of a
//! function. It must listen on loopback only, because it also serves the routes in `loopback`, which need no token. A
//! function URL has the same events and answers, without routes and tokens.
//!
//! A request passes through `route`, `jwt`, `request_event`, the function, `response` and `cors`. The keys for `jwt`
//! are in `keys`; they come from the stack's own `issuer`, or from another issuer by `discovery`.

pub mod console;
mod cors;
mod crypto;
mod direct;
mod discovery;
pub mod docs;
mod issuer;
mod jwt;
mod keys;
mod loopback;
mod request_event;
mod response;
mod route;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header, request::Parts};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio::{net::TcpListener, time::timeout};

use crate::{
    http_server::{self, Patience},
    invoke::Invoke,
    limited::RequestRate,
    metrics::Metrics,
    template::model::{Function, FunctionUrl, HttpApi, MetricId},
};
use cors::Cors;
pub use direct::DirectApi;
pub use issuer::LocalIssuer;
use jwt::Authorizer;
use response::message;
use route::{Match, Routes};

/// The largest body of a request in bytes: the quota of HTTP APIs.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// The largest event of a function in bytes: the quota of Lambda.
const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;
/// How many bytes of a body that is too large the gateway still reads, so that the client receives the answer.
const DRAIN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long HTTP APIs wait for a function.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// An HTTP API that is ready to serve.
pub struct Gateway {
    router: Router,
}

struct Api<I> {
    front: Front,
    routes: Routes,
    cors: Option<Cors>,
    authorizer: Option<Authorizer>,
    invoker: I,
    integration_timeout: Duration,
    /// The rate beyond which requests are refused, if there is one.
    rate: Option<RequestRate>,
}

/// What clients call, as CloudWatch names it.
enum Front {
    /// The HTTP API with this id.
    HttpApi(String),
    /// The function URL of the function with this physical name.
    FunctionUrl(String),
}

impl Gateway {
    /// The API with the routes of `functions`. If the API's authorizer names the URL of `issuer`, `issuer` makes the
    /// tokens of `POST /dev/token`. Otherwise the gateway fetches the keys of the issuer that the authorizer names.
    /// `dev` has more routes for this machine only, which need no token. Requests beyond `rate` are refused.
    ///
    /// # Errors
    /// If two routes contradict each other.
    pub fn new(
        api: &HttpApi,
        functions: &[Function],
        issuer: LocalIssuer,
        invoker: impl Invoke,
        dev: Router,
        rate: Option<RequestRate>,
    ) -> anyhow::Result<Self> {
        Self::with_timeout(api, functions, issuer, invoker, dev, rate, INTEGRATION_TIMEOUT)
    }

    fn with_timeout(
        api: &HttpApi,
        functions: &[Function],
        issuer: LocalIssuer,
        invoker: impl Invoke,
        dev: Router,
        rate: Option<RequestRate>,
        integration_timeout: Duration,
    ) -> anyhow::Result<Self> {
        let served = Api {
            front: Front::HttpApi(api.name.clone()),
            routes: Routes::new(functions)?,
            cors: api.cors.as_ref().map(Cors::new),
            authorizer: api.authorizer.as_ref().map(|authorizer| Authorizer::new(authorizer, &issuer)),
            invoker,
            integration_timeout,
            rate,
        };
        let dev = loopback::router(issuer, api.authorizer.clone(), dev);
        Ok(Self { router: Router::new().fallback(handle).with_state(Arc::new(served)).merge(dev) })
    }

    /// The function URL of one of `functions`. It passes every request to the function, and checks no token.
    ///
    /// # Errors
    /// If no function has the name that the URL refers to.
    pub fn of_function(url: &FunctionUrl, functions: &[Function], invoker: impl Invoke) -> anyhow::Result<Self> {
        let function = functions.iter().find(|function| function.physical_name == url.function);
        let function =
            function.with_context(|| format!("a function URL is of {}, which is no function", url.function))?;
        let served = Api {
            front: Front::FunctionUrl(function.physical_name.clone()),
            routes: Routes::all_to(&function.name),
            cors: url.cors.as_ref().map(Cors::new),
            authorizer: None,
            invoker,
            // A function URL waits as long as the function may run.
            integration_timeout: Duration::MAX,
            rate: None,
        };
        Ok(Self { router: Router::new().fallback(handle).with_state(Arc::new(served)) })
    }

    /// Serves the API on `listener` until `shutdown` completes and the requests in progress are answered.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send + 'static) {
        http_server::serve(listener, self.router, Patience::LOCAL, shutdown).await;
    }
}

async fn handle<I: Invoke>(
    State(api): State<Arc<Api<I>>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    let begun = Instant::now();
    let request_id = BASE64_STANDARD.encode(rand::random::<[u8; 11]>());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = match api.cors.as_ref().and_then(|cors| cors.preflight(&request)) {
        Some(answer) => answer,
        None => {
            let mut response = api.answer(request, peer, &request_id).await;
            if let Some(cors) = &api.cors {
                cors.decorate(origin.as_ref(), response.headers_mut());
            }
            response
        }
    };
    if let Some(metrics) = api.invoker.metrics() {
        record(metrics, &api.front, response.status(), begun.elapsed());
    }
    if let Ok(id) = HeaderValue::try_from(request_id) {
        let name = match api.front {
            Front::HttpApi(_) => "apigw-requestid",
            Front::FunctionUrl(_) => {
                remap(response.headers_mut());
                "x-amzn-requestid"
            }
        };
        response.headers_mut().insert(name, id);
    }
    response
}

/// Function URLs have another name for a header that a function sets. AWS documents none of it; several clients of
/// function URLs cope with it.
fn remap(headers: &mut HeaderMap) {
    if let Some(challenge) = headers.remove(header::WWW_AUTHENTICATE) {
        headers.insert("x-amzn-remapped-www-authenticate", challenge);
    }
}

/// Records what API Gateway, or Lambda for a function URL, records of an answer.
fn record(metrics: &Metrics, front: &Front, status: StatusCode, took: Duration) {
    let (namespace, dimension, [all, of_4xx, of_5xx, latency]) = match front {
        Front::HttpApi(id) => ("AWS/ApiGateway", ("ApiId", id), ["Count", "4xx", "5xx", "Latency"]),
        Front::FunctionUrl(function) => (
            "AWS/Lambda",
            ("FunctionName", function),
            ["UrlRequestCount", "Url4xxCount", "Url5xxCount", "UrlRequestLatency"],
        ),
    };
    let metric = |name| MetricId::new(namespace, name, [(dimension.0, dimension.1.clone())]);
    metrics.record(metric(all), "Count", 1.0);
    for (name, counts) in [(of_4xx, status.is_client_error()), (of_5xx, status.is_server_error())] {
        metrics.record(metric(name), "Count", if counts { 1.0 } else { 0.0 });
    }
    metrics.record(metric(latency), "Milliseconds", took.as_secs_f64() * 1000.0);
}

impl<I: Invoke> Api<I> {
    async fn answer(&self, request: Request<Body>, peer: SocketAddr, request_id: &str) -> Response {
        let (parts, body) = request.into_parts();
        // A client may read the answer only after it has sent the whole body.
        let body = read(body).await;
        let route = self.route(&parts);
        let key = route.as_ref().ok().map(|route| route.key);
        if self.rate.as_ref().is_some_and(|rate| !rate.admits(key)) {
            return message(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
        }
        let route = match route {
            Ok(route) => route,
            Err((status, text)) => return message(status, text),
        };
        let now = OffsetDateTime::now_utc();
        let claims = match &self.authorizer {
            Some(authorizer) => {
                let header = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
                match authorizer.authorize(header, now.unix_timestamp()).await {
                    Ok(claims) => Some(claims),
                    Err(denied) => return unauthorized(&denied),
                }
            }
            None => None,
        };
        let body = match body {
            Ok(Some(body)) => body,
            Ok(None) => return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
            Err(error) => {
                tracing::debug!(%error, "the client ended the request early");
                return message(StatusCode::BAD_REQUEST, "Bad Request");
            }
        };
        self.forward(&parts, &body, &route, claims.as_ref(), peer, request_id).await
    }

    /// The route of a request, or the answer that there is none.
    fn route(&self, parts: &Parts) -> Result<Match<'_>, (StatusCode, &'static str)> {
        match self.routes.find(parts.method.as_str(), parts.uri.path()) {
            Ok(Some(route)) => Ok(route),
            Ok(None) => Err((StatusCode::NOT_FOUND, "Not Found")),
            Err(route::NotUtf8) => Err((StatusCode::BAD_REQUEST, "Bad Request")),
        }
    }

    /// Invokes the route's function with a request whose caller is known.
    async fn forward(
        &self,
        parts: &Parts,
        body: &Bytes,
        route: &Match<'_>,
        claims: Option<&Map<String, Value>>,
        peer: SocketAddr,
        request_id: &str,
    ) -> Response {
        let (now, is_function_url) = (OffsetDateTime::now_utc(), matches!(self.front, Front::FunctionUrl(_)));
        let context = request_event::Context { request_id, now, peer, route, is_function_url, claims };
        self.invoke(route.function, parts, body, &context).await
    }

    async fn invoke(
        &self,
        function: &str,
        parts: &Parts,
        body: &Bytes,
        context: &request_event::Context<'_>,
    ) -> Response {
        let payload = Bytes::from(request_event::request_event(parts, body, context).to_string());
        if payload.len() > EVENT_BYTES_MAX {
            return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        // A separate task, because the function must go on when the client disconnects or the gateway stops waiting.
        let (invoker, name) = (self.invoker.clone(), function.to_owned());
        let invocation = tokio::spawn(async move { invoker.invoke(&name, payload).await });
        let error = match timeout(self.integration_timeout, invocation).await {
            Ok(Ok(Ok(output))) => match response::from_function(&output) {
                Ok(response) => return response,
                Err(malformed) => malformed.to_string(),
            },
            Ok(Ok(Err(error))) => {
                tracing::warn!(function, request_id = context.request_id, %error, "{} failed", context.route.key);
                return response::from_error(&error, context.is_function_url);
            }
            Ok(Err(panic)) => panic.to_string(),
            Err(_) => {
                tracing::warn!(function, request_id = context.request_id, "{} took too long", context.route.key);
                return message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
            }
        };
        tracing::error!(function, request_id = context.request_id, error, "{} failed", context.route.key);
        message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }
}

fn unauthorized(denied: &jwt::Denied) -> Response {
    let mut response = message(StatusCode::UNAUTHORIZED, "Unauthorized");
    if let Ok(challenge) = HeaderValue::try_from(denied.challenge()) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The whole body, or `None` if it is larger than [`BODY_BYTES_MAX`].
async fn read(body: Body) -> Result<Option<Bytes>, axum::Error> {
    let mut stream = body.into_data_stream();
    let mut whole = BytesMut::new();
    let mut length = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        length += chunk.len();
        if length <= BODY_BYTES_MAX {
            whole.extend_from_slice(&chunk);
        } else if length > DRAIN_BYTES_MAX {
            break;
        }
    }
    Ok((length <= BODY_BYTES_MAX).then(|| whole.freeze()))
}
