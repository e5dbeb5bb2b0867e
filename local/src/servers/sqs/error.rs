//! The errors that SQS reports. Each has two names: the shape of the JSON protocol, and the code of the older query
//! protocol. The SDKs choose the error type by the code, which is in a header.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Why SQS refuses a request, or one entry of a batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum SqsError {
    #[error("The specified queue does not exist.")]
    QueueDoesNotExist,
    #[error("A queue already exists with the same name and a different value for attribute {0}")]
    QueueNameExists(String),
    #[error("There should be at least one {0} in the request.")]
    EmptyBatchRequest(&'static str),
    #[error("Maximum number of entries per request are 10. You have sent {0}.")]
    TooManyEntriesInBatchRequest(usize),
    #[error("Id {0} repeated.")]
    BatchEntryIdsNotDistinct(String),
    #[error(
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. \
         It can be at most 80 letters long."
    )]
    InvalidBatchEntryId,
    #[error("Batch requests cannot be longer than 1048576 bytes. You have sent {0} bytes.")]
    BatchRequestTooLong(usize),
    #[error("Unknown Attribute {0}.")]
    InvalidAttributeName(String),
    #[error("Invalid value for the parameter {0}.")]
    InvalidAttributeValue(String),
    #[error(
        "Invalid characters found. \
         Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
    )]
    InvalidMessageContents,
    #[error("{0}")]
    InvalidParameterValue(String),
    #[error("The request must contain the parameter {0}.")]
    MissingParameter(&'static str),
    #[error("The input receipt handle is invalid.")]
    ReceiptHandleIsInvalid,
    #[error(
        "Value for parameter ReceiptHandle is invalid. \
         Reason: Message does not exist or is not available for visibility timeout change."
    )]
    MessageNotInflight,
    #[error("Only one PurgeQueue operation on {0} is allowed every 60 seconds.")]
    PurgeQueueInProgress(String),
    #[error("The resource that you specified for the {0} parameter doesn't exist.")]
    ResourceNotFound(&'static str),
    #[error("The local SQS server does not support the operation {0}.")]
    UnknownOperation(String),
    #[error("The request body is not valid for this operation: {0}")]
    Serialization(String),
    #[error("The queue database failed: {0}")]
    Storage(#[from] rusqlite::Error),
    #[error("The queue server failed: {0}")]
    Internal(String),
}

impl SqsError {
    /// The text "Value `value` for parameter `name` is invalid. Reason: `reason`", as SQS words it.
    pub(super) fn invalid(name: &str, value: impl std::fmt::Display, reason: &str) -> Self {
        Self::InvalidParameterValue(format!("Value {value} for parameter {name} is invalid. Reason: {reason}"))
    }

    /// The name of the shape, as in `__type` and in the result of a batch entry.
    pub(super) fn shape(&self) -> &'static str {
        match self {
            Self::QueueDoesNotExist => "QueueDoesNotExist",
            Self::QueueNameExists(_) => "QueueNameExists",
            Self::EmptyBatchRequest(_) => "EmptyBatchRequest",
            Self::TooManyEntriesInBatchRequest(_) => "TooManyEntriesInBatchRequest",
            Self::BatchEntryIdsNotDistinct(_) => "BatchEntryIdsNotDistinct",
            Self::InvalidBatchEntryId => "InvalidBatchEntryId",
            Self::BatchRequestTooLong(_) => "BatchRequestTooLong",
            Self::InvalidAttributeName(_) => "InvalidAttributeName",
            Self::InvalidAttributeValue(_) => "InvalidAttributeValue",
            Self::InvalidMessageContents => "InvalidMessageContents",
            Self::InvalidParameterValue(_) => "InvalidParameterValue",
            Self::MissingParameter(_) => "MissingParameter",
            Self::ReceiptHandleIsInvalid => "ReceiptHandleIsInvalid",
            Self::MessageNotInflight => "MessageNotInflight",
            Self::PurgeQueueInProgress(_) => "PurgeQueueInProgress",
            Self::ResourceNotFound(_) => "ResourceNotFoundException",
            Self::UnknownOperation(_) => "UnknownOperationException",
            Self::Serialization(_) => "SerializationException",
            Self::Storage(_) | Self::Internal(_) => "InternalFailure",
        }
    }

    /// Whether the error is the caller's fault, not this server's.
    pub(super) fn is_senders_fault(&self) -> bool {
        !matches!(self, Self::Storage(_) | Self::Internal(_))
    }

    fn query_code(&self) -> String {
        match self {
            Self::QueueDoesNotExist => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
            Self::QueueNameExists(_) => "QueueAlreadyExists".to_owned(),
            Self::EmptyBatchRequest(_)
            | Self::TooManyEntriesInBatchRequest(_)
            | Self::BatchEntryIdsNotDistinct(_)
            | Self::InvalidBatchEntryId
            | Self::BatchRequestTooLong(_)
            | Self::MessageNotInflight
            | Self::PurgeQueueInProgress(_) => format!("AWS.SimpleQueueService.{}", self.shape()),
            _ => self.shape().to_owned(),
        }
    }

    /// HTTP status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        if self.is_senders_fault() { StatusCode::BAD_REQUEST } else { StatusCode::INTERNAL_SERVER_ERROR }
    }

    /// The answer's JSON document.
    pub(super) fn document(&self) -> String {
        let namespace = match self {
            Self::UnknownOperation(_) | Self::Serialization(_) => "com.amazon.coral.service",
            _ => "com.amazonaws.sqs",
        };
        json!({ "__type": format!("{namespace}#{}", self.shape()), "message": self.to_string() }).to_string()
    }

    /// Value of the header `x-amzn-query-error`.
    pub(super) fn query_error(&self) -> String {
        format!("{};{}", self.query_code(), if self.is_senders_fault() { "Sender" } else { "Receiver" })
    }
}

impl IntoResponse for SqsError {
    fn into_response(self) -> Response {
        if !self.is_senders_fault() {
            tracing::error!(error = %self, "SQS request failed");
        }
        let mut response = (self.status(), self.document()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
        if let Ok(value) = HeaderValue::from_str(&self.query_error()) {
            headers.insert(HeaderName::from_static("x-amzn-query-error"), value);
        }
        response
    }
}
