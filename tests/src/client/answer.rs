//! An answer of the API, or the reason why there is none. An answer keeps everything, so that a failing test can print
//! it.

use std::fmt::Display;

use reqwest::{RequestBuilder, StatusCode, header::HeaderMap};
use serde::de::DeserializeOwned;

use crate::contract;

/// A request that did not succeed as the caller needed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is no answer: the connection failed, or it broke before the whole answer had arrived. The command may have
    /// been accepted.
    #[error("{request}: {source}")]
    Transport {
        /// The method and the path.
        request: String,
        /// The error of the connection.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer has another status than expected.
    #[error("{request}: unexpected {status}: {body}")]
    Status {
        /// The method and the path.
        request: String,
        /// The status.
        status: StatusCode,
        /// The `code` of the problem document, if the body is one.
        code: Option<String>,
        /// The whole body.
        body: String,
    },
    /// The status is as expected, but the body or a header violates the contract.
    #[error("{request}: {reason}: {body}")]
    Malformed {
        /// The method and the path.
        request: String,
        /// The violation.
        reason: String,
        /// The whole body.
        body: String,
    },
}

impl ApiError {
    /// No answer to this request. `request` is its method and path.
    pub(super) fn transport(request: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Transport { request: request.to_owned(), source: source.into() }
    }

    /// Whether the request may have had its effect, because the answer does not exclude it.
    pub fn is_unknown(&self) -> bool {
        let Self::Status { status, code, .. } = self else { return true };
        status.is_server_error() && code.as_deref() != Some("busy")
    }

    /// Whether the same request may succeed later: there was no answer, or the gateway throttled it, or the server
    /// failed. The code `internal` is not transient: a function reports a bug with it, and a retry would hide the bug.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Status { status, code, .. } => {
                (status.is_server_error() && code.as_deref() != Some("internal"))
                    || (*status == StatusCode::TOO_MANY_REQUESTS && code.is_none())
            }
            Self::Malformed { .. } => false,
        }
    }
}

/// An answer of the API with any status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The method and the path of the request.
    pub request: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// Sends `request`, reads the whole answer, and checks it against the contract.
    pub async fn to(request: RequestBuilder) -> Result<Self, ApiError> {
        let (client, request) = request.build_split();
        let transport = |request: &str, error: reqwest::Error| ApiError::transport(request, error);
        let request = request.map_err(|error| transport("building a request", error))?;
        let name = format!("{} {}", request.method(), request.url().path());
        // The check needs the request, too. A streamed body cannot be cloned, but no test sends one.
        let sent = request.try_clone();
        let response = client.execute(request).await.map_err(|error| transport(&name, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.text().await.map_err(|error| transport(&name, error))?;
        let answer = Self { request: name, status, headers, body };
        if let Some(sent) = sent {
            let held = contract::hold(&sent, answer.status, &answer.headers, &answer.body);
            held.map_err(|reason| answer.malformed(&format_args!("{} {reason}", answer.status)))?;
        }
        Ok(answer)
    }

    /// Returns the answer if it has `status`. Otherwise returns an error with the whole answer.
    pub fn expect(self, status: StatusCode) -> Result<Self, ApiError> {
        if self.status == status {
            return Ok(self);
        }
        let code = self.problem_code();
        Err(ApiError::Status { request: self.request, status: self.status, code, body: self.body })
    }

    /// The body as JSON of type `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_str(&self.body).map_err(|error| self.malformed(&error))
    }

    /// The text of a header, if the answer has the header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The version of the caller's event log. Every command answers with it.
    pub fn version(&self) -> Result<u64, ApiError> {
        let value = self.header("tidings-version").ok_or_else(|| self.malformed(&"no Tidings-Version"))?;
        value.parse().map_err(|error| self.malformed(&format!("Tidings-Version {value:?}: {error}")))
    }

    /// The `code` of an `application/problem+json` body.
    pub fn problem_code(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        Some(body.get("code")?.as_str()?.to_owned())
    }

    fn malformed(&self, reason: &dyn Display) -> ApiError {
        ApiError::Malformed { request: self.request.clone(), reason: reason.to_string(), body: self.body.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_code_decide_whether_a_failure_is_transient() {
        let error = |status, code: Option<&str>| ApiError::Status {
            request: String::new(),
            status,
            code: code.map(str::to_owned),
            body: String::new(),
        };
        assert!(error(StatusCode::INTERNAL_SERVER_ERROR, None).is_transient());
        assert!(error(StatusCode::SERVICE_UNAVAILABLE, Some("busy")).is_transient());
        assert!(!error(StatusCode::INTERNAL_SERVER_ERROR, Some("internal")).is_transient());
        assert!(!error(StatusCode::CONFLICT, Some("handle_taken")).is_transient());
        assert!(error(StatusCode::TOO_MANY_REQUESTS, None).is_transient(), "by the gateway");
        assert!(!error(StatusCode::TOO_MANY_REQUESTS, Some("rate_limited")).is_transient());
        assert!(error(StatusCode::SERVICE_UNAVAILABLE, None).is_unknown());
        assert!(error(StatusCode::SERVICE_UNAVAILABLE, Some("unavailable")).is_unknown());
        assert!(!error(StatusCode::SERVICE_UNAVAILABLE, Some("busy")).is_unknown());
        assert!(!error(StatusCode::CONFLICT, Some("handle_taken")).is_unknown());
    }
}
