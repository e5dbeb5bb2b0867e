//! The routes that only the local gateway has: `/dev/…`, and the documents of its own issuer. They need no token, so
//! they answer only to this machine (`crate::loopback`). The gateway listens on loopback.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;

use super::{issuer::LocalIssuer, response::message};
use crate::{json, loopback::only_this_machine, template::model::JwtAuthorizer};

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
    let request: TokenRequest = match json::object(&body) {
        Ok(request) => request,
        Err(error) => {
            let text = format!(r#"the body must be a JSON object such as {{"user":"ada"}}: {error}"#);
            return message(StatusCode::BAD_REQUEST, &text);
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
