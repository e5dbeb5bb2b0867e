//! Cross-origin requests as HTTP APIs handle them. The gateway answers preflight requests itself, without a token and
//! for any path. It sets the CORS headers of all other responses and drops those that a function sets. Only requests
//! with an allowed `Origin` get CORS headers.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};

use crate::template::model;

/// The CORS configuration of an API.
#[derive(Debug)]
pub(super) struct Cors(model::Cors);

impl Cors {
    pub(super) fn new(configuration: &model::Cors) -> Self {
        Self(configuration.clone())
    }

    /// The answer to a preflight request, or `None` if the request is not a preflight request.
    pub(super) fn preflight(&self, request: &Request<Body>) -> Option<Response> {
        let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let origin = request.headers().get(header::ORIGIN)?;
        if request.method() != Method::OPTIONS || !asks {
            return None;
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        if self.allow(origin, response.headers_mut()) {
            let headers = response.headers_mut();
            set_list(headers, header::ACCESS_CONTROL_ALLOW_METHODS, &self.0.allow_methods);
            set_list(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, &self.0.allow_headers);
            if let Some(age) = self.0.max_age {
                headers.insert(header::ACCESS_CONTROL_MAX_AGE, age.as_secs().into());
            }
        }
        Some(response)
    }

    /// Sets the CORS headers of the response to a request from `origin`.
    pub(super) fn decorate(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let is_cors = |name: &&HeaderName| name.as_str().starts_with("access-control-");
        for name in headers.keys().filter(is_cors).cloned().collect::<Vec<_>>() {
            headers.remove(name);
        }
        if let Some(origin) = origin
            && self.allow(origin, headers)
        {
            set_list(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &self.0.expose_headers);
        }
    }

    /// Whether `origin` is allowed. If it is, adds the header that says so.
    fn allow(&self, origin: &HeaderValue, headers: &mut HeaderMap) -> bool {
        let Ok(text) = origin.to_str() else { return false };
        let matches = |allowed: &&String| match allowed.strip_suffix('*') {
            // `*`, `https://*` and `http://*` are the only patterns that HTTP APIs have.
            Some(prefix) => text.starts_with(prefix),
            None => *allowed == text,
        };
        let Some(allowed) = self.0.allow_origins.iter().find(matches) else {
            return false;
        };
        if allowed == "*" && !self.0.allow_credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if self.0.allow_credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        true
    }
}

fn set_list(headers: &mut HeaderMap, name: HeaderName, items: &[String]) {
    if let Ok(value) = HeaderValue::try_from(items.join(","))
        && !items.is_empty()
    {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Body, Cors, HeaderMap, HeaderValue, Request, model};

    fn cors(origins: &[&str], allow_credentials: bool) -> Cors {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        Cors::new(&model::Cors {
            allow_origins: list(origins),
            allow_methods: list(&["GET", "POST"]),
            allow_headers: list(&["Authorization"]),
            expose_headers: list(&["Location"]),
            allow_credentials,
            max_age: Some(Duration::from_secs(600)),
        })
    }

    fn allowed(cors: &Cors, origin: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        cors.decorate(Some(&HeaderValue::from_str(origin).unwrap()), &mut headers);
        Some(headers.get("access-control-allow-origin")?.to_str().unwrap().to_owned())
    }

    #[test]
    fn origins_are_allowed_by_name_scheme_or_all() {
        let named = cors(&["https://a.example", "http://localhost:8080"], false);
        assert_eq!(allowed(&named, "https://a.example").as_deref(), Some("https://a.example"));
        assert_eq!(allowed(&named, "https://b.example"), None);
        assert_eq!(allowed(&named, "https://a.example.evil"), None);
        let scheme = cors(&["https://*"], false);
        assert_eq!(allowed(&scheme, "https://b.example").as_deref(), Some("https://b.example"));
        assert_eq!(allowed(&scheme, "http://b.example"), None);
        assert_eq!(allowed(&cors(&["*"], false), "null").as_deref(), Some("*"));
        assert_eq!(allowed(&cors(&["*"], true), "https://a.example").as_deref(), Some("https://a.example"));
    }

    #[test]
    fn only_a_complete_preflight_request_is_answered_as_one() {
        let cors = cors(&["*"], false);
        let request = |method: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().method(method);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request.body(Body::empty()).unwrap()
        };
        let (origin, asks) = (("origin", "https://a.example"), ("access-control-request-method", "PUT"));
        assert!(cors.preflight(&request("OPTIONS", &[origin])).is_none());
        assert!(cors.preflight(&request("OPTIONS", &[asks])).is_none());
        assert!(cors.preflight(&request("GET", &[origin, asks])).is_none());
        let response = cors.preflight(&request("OPTIONS", &[origin, asks])).unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(response.status(), 204);
        assert_eq!(header("access-control-allow-origin"), Some("*"));
        assert_eq!(header("access-control-allow-methods"), Some("GET,POST"));
        assert_eq!(header("access-control-allow-headers"), Some("Authorization"));
        assert_eq!(header("access-control-max-age"), Some("600"));
    }

    #[test]
    fn cors_headers_of_a_function_are_dropped() {
        let mut headers = HeaderMap::from_iter([
            ("access-control-allow-origin".parse().unwrap(), "https://evil.example".parse().unwrap()),
            ("location".parse().unwrap(), "/x".parse().unwrap()),
        ]);
        let cors = cors(&["https://a.example"], true);
        cors.decorate(None, &mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["location"]);
        cors.decorate(Some(&"https://a.example".parse().unwrap()), &mut headers);
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert_eq!(headers["access-control-expose-headers"], "Location");
        assert_eq!(headers["vary"], "origin");
    }
}
