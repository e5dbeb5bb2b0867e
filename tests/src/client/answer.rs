//! What came back, or why nothing did. An answer keeps everything, so that a failing test can tell the whole story.

use std::fmt::Display;

use reqwest::{RequestBuilder, StatusCode, header::HeaderMap};
use serde::de::DeserializeOwned;

use crate::contract;

/// A request that did not end as the caller needed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer: the connection failed, or broke before the whole answer had arrived. The command may have happened.
    #[error("{request}: {source}")]
    Transport {
        /// Method and path.
        request: String,
        /// What broke.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer with a status other than the expected one.
    #[error("{request}: unexpected {status}: {body}")]
    Status {
        /// Method and path.
        request: String,
        /// The status.
        status: StatusCode,
        /// `code` of the problem document, if it is one.
        code: Option<String>,
        /// The whole body.
        body: String,
    },
    /// The expected status with a body or header that is not what the contract says.
    #[error("{request}: {reason}: {body}")]
    Malformed {
        /// Method and path.
        request: String,
        /// What is wrong.
        reason: String,
        /// The whole body.
        body: String,
    },
}

impl ApiError {
    /// No answer to this request, whose method and path are given.
    pub(super) fn transport(request: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Transport { request: request.to_owned(), source: source.into() }
    }

    /// Whether the request may have taken effect all the same: nobody says that it did not.
    pub fn is_unknown(&self) -> bool {
        let Self::Status { status, code, .. } = self else { return true };
        status.is_server_error() && code.as_deref() != Some("busy")
    }

    /// Whether the same request may succeed later: no answer, throttled, or a server's error. `internal` is not: it
    /// is a function's own word for a bug, and trying again would hide it.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Status { status, code, .. } => {
                (status.is_server_error() && code.as_deref() != Some("internal"))
                    || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Malformed { .. } => false,
        }
    }
}

/// An answer of the API, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Method and path of what it answers.
    pub request: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// Sends `request`, reads the whole answer, and holds it against the contract.
    pub async fn to(request: RequestBuilder) -> Result<Self, ApiError> {
        let (client, request) = request.build_split();
        let transport = |request: &str, error: reqwest::Error| ApiError::transport(request, error);
        let request = request.map_err(|error| transport("building a request", error))?;
        let name = format!("{} {}", request.method(), request.url().path());
        // What was sent is compared, too; a body that is a stream has no copy, and no test sends one.
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

    /// The answer itself if it has `status`, else an error that tells the whole story.
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

    /// A header's text, if the header is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The caller's event log version, which every command answers with.
    pub fn version(&self) -> Result<u64, ApiError> {
        let value = self.header("tidings-version").ok_or_else(|| self.malformed(&"no Tidings-Version"))?;
        value.parse().map_err(|error| self.malformed(&format!("Tidings-Version {value:?}: {error}")))
    }

    /// `code` of an `application/problem+json` body.
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
    fn what_a_failure_means_follows_from_its_status_and_code() {
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
        assert!(error(StatusCode::SERVICE_UNAVAILABLE, None).is_unknown());
        assert!(error(StatusCode::SERVICE_UNAVAILABLE, Some("unavailable")).is_unknown());
        assert!(!error(StatusCode::SERVICE_UNAVAILABLE, Some("busy")).is_unknown());
        assert!(!error(StatusCode::CONFLICT, Some("handle_taken")).is_unknown());
    }
}
