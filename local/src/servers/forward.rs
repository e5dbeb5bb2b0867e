//! Forwards a request to another server.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

/// The largest request that is forwarded: the limit of DynamoDB, which is the highest of the three servers.
pub(super) const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The server that requests are forwarded to.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    url: String,
    client: reqwest::Client,
}

impl Upstream {
    pub(super) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), client: reqwest::Client::new() }
    }

    pub(super) async fn forward(&self, mut headers: HeaderMap, body: Bytes) -> Response {
        headers.remove("host");
        let sent = self.client.post(&self.url).headers(headers).body(body).send().await;
        match sent {
            Ok(answer) => {
                let (status, headers) = (answer.status(), answer.headers().clone());
                let mut response = Response::new(Body::from(answer.bytes().await.unwrap_or_default()));
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                response
            }
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        }
    }
}
