//! Responses in payload format 2.0.

use std::collections::BTreeMap;

use serde::Serialize;

use super::VERSION_HEADER;
use crate::model::Version;

/// A response to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    status_code: u16,
    headers: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

impl Response {
    /// A response with a JSON document.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        Self::document(status, "application/json", body)
    }

    /// A response with a JSON document of this media type.
    pub(super) fn document(status: u16, media_type: &str, body: &impl Serialize) -> Self {
        match serde_json::to_string(body) {
            Ok(body) => Self { status_code: status, headers: BTreeMap::new(), body: Some(body) }
                .header("content-type", media_type),
            Err(error) => {
                tracing::error!(%error, "a response cannot be written as JSON");
                Self { status_code: 500, ..Self::no_content() }
            }
        }
    }

    /// A response without a body, 204.
    pub fn no_content() -> Self {
        Self { status_code: 204, headers: BTreeMap::new(), body: None }
    }

    /// The response with this header. The name is in lower case.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    /// The response with the version of the caller's log that holds the command's effect.
    pub fn version(self, version: Version) -> Self {
        self.header(VERSION_HEADER, version.to_string())
    }
}
