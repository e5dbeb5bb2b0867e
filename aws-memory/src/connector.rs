//! An HTTP client for the AWS SDKs that sends nothing: it calls a [`Server`] in this process.

use std::{fmt, sync::Arc};

use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::Value;

/// A service, by the prefix of `X-Amz-Target`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names of AWS's services")]
pub enum Service {
    DynamoDb,
    DynamoDbStreams,
    Kinesis,
    Sqs,
}

/// A call of a service.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which service.
    pub service: Service,
    /// Which operation, as `GetItem`.
    pub operation: String,
    /// JSON document.
    pub body: Bytes,
}

/// What a service answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON document.
    pub body: Bytes,
    /// Of an error of SQS: the header `x-amzn-query-error`, by which the SDK chooses the error's type.
    pub query_error: Option<String>,
}

/// The request has not reached the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("connection refused")]
pub struct Refused;

/// Answers requests of the SDKs.
pub trait Server: Send + Sync + 'static {
    /// Answers one request. The SDK drops the future when it no longer waits for the answer.
    fn call(self: Arc<Self>, request: Request) -> BoxFuture<'static, Result<Answer, Refused>>;
}

impl Answer {
    /// A success or, above 299, an error document of the service.
    pub fn new(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string().into(), query_error: None }
    }

    /// An error of the caller, 400, or of the service, 500, by its code.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::new(status, &serde_json::json!({"__type": code, "message": message}))
    }

    /// The document; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Service {
    /// The service and operation that the header `X-Amz-Target` names.
    fn parse(target: &str) -> Option<(Self, &str)> {
        let (prefix, operation) = target.split_once('.')?;
        let service = match prefix {
            "DynamoDB_20120810" => Self::DynamoDb,
            "DynamoDBStreams_20120810" => Self::DynamoDbStreams,
            "Kinesis_20131202" => Self::Kinesis,
            "AmazonSQS" => Self::Sqs,
            _ => return None,
        };
        Some((service, operation))
    }
}

#[derive(Clone)]
pub(crate) struct InProcess(Arc<dyn Server>);

impl InProcess {
    pub(crate) fn new(server: Arc<dyn Server>) -> Self {
        Self(server)
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl HttpClient for InProcess {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let Some((service, operation)) = Service::parse(target) else {
            let error = format!("no service here answers {target:?}");
            return HttpConnectorFuture::ready(Err(ConnectorError::other(error.into(), None)));
        };
        let body = request.body().bytes().map(Bytes::copy_from_slice).unwrap_or_default();
        let request = Request { service, operation: operation.to_owned(), body };
        let answer = Arc::clone(&self.0).call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await.map_err(|refused| ConnectorError::io(refused.into()))?;
            let status =
                StatusCode::try_from(answer.status).map_err(|error| ConnectorError::other(error.into(), None))?;
            let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
            response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
            if let Some(error) = answer.query_error {
                response.headers_mut().insert("x-amzn-query-error", error);
            }
            Ok(response)
        })
    }
}
