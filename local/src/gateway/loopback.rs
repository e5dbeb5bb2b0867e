//! The routes that only the local gateway has: `/dev/…`, and the documents of its own issuer. They need no token, so
//! they answer only to this machine. The gateway listens on loopback, and besides that the `Host` must be a loopback
//! name. Otherwise a web page could reach these routes by a host name of its own that resolves to 127.0.0.1. An
//! `Origin`, if there is one, must be a loopback name, too.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;

use super::{issuer::LocalIssuer, response::message};
use crate::template::model::JwtAuthorizer;

/// How long a token is valid if the request does not say.
const TOKEN_LIFE_S: i64 = 24 * 60 * 60;

/// What tokens are made with.
struct Tokens {
    issuer: LocalIssuer,
    /// `None` if the API has no authorizer.
    authorizer: Option<JwtAuthorizer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    /// The `sub` of the token. Every value is accepted, because tests need invalid ones.
    user: String,
    /// Seconds from now. A negative number makes a token that has expired.
    expires_in: Option<i64>,
}

/// The routes `/dev/token`, the issuer's documents, and the routes in `more`. Only this machine may call them.
pub(super) fn router(issuer: LocalIssuer, authorizer: Option<JwtAuthorizer>, more: Router) -> Router {
    let is_issuer = authorizer.as_ref().is_some_and(|authorizer| authorizer.issuer == issuer.url());
    let mut router = Router::new().route("/dev/token", post(token));
    if is_issuer {
        router = router
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/.well-known/jwks.json", get(jwks));
    }
    let router = router.with_state(Arc::new(Tokens { issuer, authorizer })).merge(more);
    router.route_layer(middleware::from_fn(only_this_machine))
}

async fn token(State(tokens): State<Arc<Tokens>>, body: Bytes) -> Response {
    let request: TokenRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            return message(StatusCode::BAD_REQUEST, &format!(r#"expected {{"user":"ada"}}: {error}"#));
        }
    };
    let Some(authorizer) = &tokens.authorizer else {
        return message(StatusCode::NOT_FOUND, "the template has no authorizer, so it needs no tokens");
    };
    if authorizer.issuer != tokens.issuer.url() {
        let text = format!("tokens are issued by {}, as the template's parameters say", authorizer.issuer);
        return message(StatusCode::NOT_FOUND, &text);
    }
    let audience = authorizer.audience.first().map_or("", String::as_str);
    let now_s = OffsetDateTime::now_utc().unix_timestamp();
    let expires_s = now_s.saturating_add(request.expires_in.unwrap_or(TOKEN_LIFE_S));
    match tokens.issuer.token(&request.user, audience, now_s, expires_s) {
        Ok(token) => Json(json!({ "token": token })).into_response(),
        Err(error) => {
            tracing::error!("cannot sign a token: {error:#}");
            message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
    }
}

async fn configuration(State(tokens): State<Arc<Tokens>>) -> Response {
    Json(tokens.issuer.configuration()).into_response()
}

async fn jwks(State(tokens): State<Arc<Tokens>>) -> Response {
    Json(tokens.issuer.jwks().clone()).into_response()
}

async fn only_this_machine(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let from_here = is_loopback(headers, &header::HOST)
        && (!headers.contains_key(header::ORIGIN) || is_loopback(headers, &header::ORIGIN));
    if from_here { next.run(request).await } else { message(StatusCode::FORBIDDEN, "Forbidden") }
}

/// Whether a header names this machine, for example `localhost:3000` or `http://127.0.0.1:3000`.
fn is_loopback(headers: &HeaderMap, name: &HeaderName) -> bool {
    let Some(text) = headers.get(name).and_then(|value| value.to_str().ok()) else {
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
