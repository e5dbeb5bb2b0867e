//! Responses in payload format 2.0.

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD},
};
use ring::digest::{SHA256, digest};
use serde::Serialize;

use super::{
    VERSION_HEADER,
    encoding::{self, COMPRESSED_BYTES_MIN, GZIP},
};
use crate::model::Version;

/// Bytes of the hash in an entity tag: two different documents of one client have the same one with a probability of
/// 2⁻⁹⁶.
const TAG_BYTES: usize = 12;
/// `Cache-Control` of the answers to queries: whoever asked may keep the answer, and has to ask again before using it.
const OWN_AND_CHECKED: &str = "private, no-cache";
/// `Cache-Control` of all other answers.
const NOT_KEPT: &str = "no-store";

/// A response to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    status_code: u16,
    headers: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// Whether the body is bytes in base64, as API Gateway takes bytes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_base64_encoded: bool,
}

impl Response {
    /// A response with a JSON document.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        Self::document(status, "application/json", body)
    }

    /// A response with a JSON document of this media type.
    pub(super) fn document(status: u16, media_type: &str, body: &impl Serialize) -> Self {
        match serde_json::to_string(body) {
            Ok(body) => Self { body: Some(body), ..Self::empty(status) }.header("content-type", media_type),
            Err(error) => {
                tracing::error!(%error, "a response cannot be written as JSON");
                Self::empty(500)
            }
        }
    }

    /// A response without a body, 204.
    pub fn no_content() -> Self {
        Self::empty(204)
    }

    fn empty(status: u16) -> Self {
        Self { status_code: status, headers: BTreeMap::new(), body: None, is_base64_encoded: false }
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

    /// The response with an entity tag. `shown` is what the body shows, without what differs in every answer, such as
    /// cursors. If the client has the body already, as its `If-None-Match` tells, the response is 304 without a body
    /// (RFC 9110, section 13.1.2).
    pub fn tagged(self, shown: &impl Serialize, if_none_match: Option<&str>) -> Self {
        let Ok(shown) = serde_json::to_vec(shown) else { return self };
        let tag = format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(&digest(&SHA256, &shown).as_ref()[..TAG_BYTES]));
        let has = |known: &str| known == "*" || known.trim_start_matches("W/") == tag.trim_start_matches("W/");
        if if_none_match.is_some_and(|known| known.split(',').map(str::trim).any(has)) {
            return Self::empty(304).header("etag", tag);
        }
        self.header("etag", tag)
    }

    /// The response with the header `Cache-Control`. Every answer is about its caller, so nobody else may keep it.
    pub(super) fn cache_control(self, method: &str) -> Self {
        let is_kept = method == "GET" && matches!(self.status_code, 200 | 304);
        self.header("cache-control", if is_kept { OWN_AND_CHECKED } else { NOT_KEPT })
    }

    /// The response in gzip, if the client takes it and the body is long enough to gain by it.
    pub(super) fn encoded(self, takes_gzip: bool) -> Self {
        if self.body.as_ref().is_none_or(|body| body.len() < COMPRESSED_BYTES_MIN) {
            return self;
        }
        let mut response = self.header("vary", "accept-encoding");
        let compressed = response.body.as_ref().filter(|_| takes_gzip).and_then(|body| encoding::gzip(body.as_bytes()));
        if let Some(compressed) = compressed {
            response.body = Some(BASE64.encode(compressed));
            response.is_base64_encoded = true;
            response.headers.insert("content-encoding", GZIP.to_owned());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use serde_json::{Value, json};

    use super::*;

    fn answer(shown: &str, if_none_match: Option<&str>) -> Value {
        let response = Response::json(200, &json!({"shown": shown})).tagged(&shown, if_none_match);
        serde_json::to_value(response).unwrap()
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let first = answer("a", None);
        let tag = first["headers"]["etag"].as_str().unwrap();
        assert!(tag.starts_with("W/\"") && first["body"].is_string(), "{first}");
        for known in [tag, "*", tag.trim_start_matches("W/"), &format!("\"x\", {tag}")] {
            let again = answer("a", Some(known));
            assert_eq!((&again["statusCode"], &again["headers"]["etag"]), (&json!(304), &json!(tag)), "{known}");
            assert!(again.get("body").is_none() && again["headers"].get("content-type").is_none(), "{again}");
        }
        for other in [answer("b", Some(tag)), answer("a", Some("\"x\"")), answer("a", Some(""))] {
            assert_eq!(other["statusCode"], 200);
        }
    }

    #[test]
    fn only_answers_to_queries_may_be_kept_and_only_by_the_caller() {
        let kept = |response: Response, method: &str| {
            serde_json::to_value(response.cache_control(method)).unwrap()["headers"]["cache-control"].clone()
        };
        assert_eq!(kept(Response::json(200, &1), "GET"), OWN_AND_CHECKED);
        assert_eq!(kept(Response::json(404, &1), "GET"), NOT_KEPT);
        assert_eq!(kept(Response::json(200, &1), "PUT"), NOT_KEPT);
        assert_eq!(kept(Response::no_content(), "DELETE"), NOT_KEPT);
    }

    #[test]
    fn long_bodies_are_compressed_for_clients_that_take_gzip() {
        let text = "Grüße 🎉 ".repeat(COMPRESSED_BYTES_MIN / 8);
        let plain = serde_json::to_value(Response::json(200, &text).encoded(false)).unwrap();
        assert_eq!((&plain["headers"]["vary"], plain.get("isBase64Encoded")), (&json!("accept-encoding"), None));
        let response = serde_json::to_value(Response::json(200, &text).encoded(true)).unwrap();
        assert_eq!(response["isBase64Encoded"], true);
        assert_eq!(response["headers"]["content-encoding"], "gzip");
        assert_eq!(response["headers"]["content-type"], "application/json");
        let bytes = BASE64.decode(response["body"].as_str().unwrap()).unwrap();
        assert!(bytes.len() < text.len() / 8, "{} of {} bytes", bytes.len(), text.len());
        let mut body = String::new();
        GzDecoder::new(bytes.as_slice()).read_to_string(&mut body).unwrap();
        assert_eq!(Some(body.as_str()), plain["body"].as_str());
    }

    #[test]
    fn short_and_missing_bodies_stay_as_they_are() {
        for response in [Response::json(200, &"short"), Response::no_content()] {
            assert_eq!(response.clone().encoded(true), response);
        }
    }
}
