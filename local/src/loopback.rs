//! What only this machine may call. A server on loopback can still be reached by a web page in a browser on this
//! machine. So the `Host` must be a loopback name: a page could otherwise use a host name of its own that resolves to
//! 127.0.0.1. An `Origin`, if there is one, must be a loopback name, too.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

/// A layer (`axum::middleware::from_fn`) that refuses requests of other machines and of web pages from there.
pub(crate) async fn only_this_machine(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let from_here = is_loopback(headers, &header::HOST)
        && (!headers.contains_key(header::ORIGIN) || is_loopback(headers, &header::ORIGIN));
    if from_here {
        return next.run(request).await;
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::FORBIDDEN, json, r#"{"message":"Forbidden"}"#).into_response()
}

/// Whether a header names this machine, for example `localhost:3000` or `http://127.0.0.1:3000`. A header that occurs
/// twice does not.
fn is_loopback(headers: &HeaderMap, name: &HeaderName) -> bool {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Ok(text) = value.to_str() else {
        return false;
    };
    let authority = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
    let Ok(authority) = authority.parse::<http::uri::Authority>() else {
        return false;
    };
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    !text.contains('@')
        && (host.eq_ignore_ascii_case("localhost")
            || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn named(values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::HOST, HeaderValue::from_static(value));
        }
        is_loopback(&headers, &header::HOST)
    }

    #[test]
    fn only_loopback_names_are_this_machine() {
        for good in ["localhost", "LOCALHOST:80", "127.0.0.1:3000", "127.9.9.9", "[::1]:3000", "http://localhost:3000"]
        {
            assert!(named(&[good]), "{good}");
        }
        for bad in ["", "null", "example.org", "localhost.example.org", "http://x@localhost", "10.0.0.1", "0.0.0.0"] {
            assert!(!named(&[bad]), "{bad}");
        }
        assert!(!named(&[]) && !named(&["localhost", "localhost"]) && !named(&["localhost", "example.org"]));
    }
}
