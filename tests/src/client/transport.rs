//! Another way for requests than HTTP: into a simulated world.

use std::{fmt, future::Future, pin::Pin};

use reqwest::{Request, RequestBuilder, StatusCode, header::HeaderMap};

use super::{Answer, ApiError};

/// What a transport brings back: status, headers and body; or why there is nothing.
pub type Transported = Result<(StatusCode, HeaderMap, String), String>;

/// Takes requests to a deployment and brings back answers.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends a request of the user whose id is `user`.
    fn send<'a>(&'a self, user: &'a str, request: Request) -> Pin<Box<dyn Future<Output = Transported> + Send + 'a>>;
}

/// Sends a request and returns the answer. The answer is not checked against the contract: end-to-end tests do that,
/// and a simulated world has thousands of answers in each second.
pub(super) async fn send(transport: &dyn Transport, user: &str, request: RequestBuilder) -> Result<Answer, ApiError> {
    let request = request.build().map_err(|error| ApiError::transport("building a request", error))?;
    let name = format!("{} {}", request.method(), request.url().path());
    let sent = transport.send(user, request).await;
    let (status, headers, body) = sent.map_err(|error| ApiError::transport(&name, error))?;
    Ok(Answer { request: name, status, headers, body })
}
