//! The JWT authorizer of HTTP APIs: decides whether a request may pass, and which claims the function receives. It
//! checks everything that AWS documents: the signature by a key of the issuer, `iss`, `aud` (or `client_id` without
//! it), `exp`, `nbf` and `iat`.

use serde_json::{Map, Value};

use super::{
    discovery::RemoteKeys,
    issuer::LocalIssuer,
    keys::{Forged, KeySet},
};
use crate::template::model::JwtAuthorizer;

/// Checks tokens.
pub(super) struct Authorizer {
    issuer: String,
    audience: Vec<String>,
    keys: Keys,
}

enum Keys {
    /// The keys of the stack's own issuer.
    Own(KeySet),
    /// The keys of another issuer.
    Remote(Box<RemoteKeys>),
}

/// Why a request may not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Denied {
    /// The request has no token.
    NoToken,
    /// The token is not valid, with the reason.
    InvalidToken(&'static str),
}

impl Denied {
    /// The `www-authenticate` header of the response, as HTTP APIs send it.
    pub(super) fn challenge(&self) -> String {
        match self {
            Self::NoToken => "Bearer".to_owned(),
            Self::InvalidToken(why) => {
                format!(r#"Bearer scope="" error="invalid_token" error_description="{why}""#)
            }
        }
    }
}

impl Authorizer {
    /// The authorizer of a template. It uses the keys of `own` if the template names that issuer.
    pub(super) fn new(configuration: &JwtAuthorizer, own: &LocalIssuer) -> Self {
        let keys = match KeySet::parse(own.jwks()) {
            Some(keys) if configuration.issuer == own.url() => Keys::Own(keys),
            _ => Keys::Remote(Box::new(RemoteKeys::new(&configuration.issuer))),
        };
        Self { issuer: configuration.issuer.clone(), audience: configuration.audience.clone(), keys }
    }

    /// The claims of the token in an `Authorization` header, with or without `Bearer ` before it. The token must be
    /// valid at `now_s` (epoch seconds).
    pub(super) async fn authorize(&self, header: Option<&[u8]>, now_s: i64) -> Result<Map<String, Value>, Denied> {
        let header = std::str::from_utf8(header.unwrap_or_default()).unwrap_or_default().trim();
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => header,
        };
        if token.is_empty() || token.eq_ignore_ascii_case("bearer") {
            return Err(Denied::NoToken);
        }
        let claims = self.verify(token).await?;
        self.check(&claims, now_s).map_err(Denied::InvalidToken)?;
        Ok(claims)
    }

    async fn verify(&self, token: &str) -> Result<Map<String, Value>, Denied> {
        let verdict = match &self.keys {
            Keys::Own(keys) => keys.verify(token),
            Keys::Remote(remote) => {
                let none = Denied::InvalidToken("the keys of the issuer cannot be fetched");
                let Some(keys) = remote.get().await else {
                    return Err(none);
                };
                match keys.verify(token) {
                    // The issuer may have made a new key since the last fetch.
                    Err(Forged::UnknownKey) => match remote.newer_than(&keys).await {
                        Some(newer) => newer.verify(token),
                        None => Err(Forged::UnknownKey),
                    },
                    verdict => verdict,
                }
            }
        };
        verdict.map_err(|forged| match forged {
            Forged::Malformed(why) => Denied::InvalidToken(why),
            Forged::UnknownKey => Denied::InvalidToken("the token is signed by an unknown key"),
        })
    }

    fn check(&self, claims: &Map<String, Value>, now_s: i64) -> Result<(), &'static str> {
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer.as_str()) {
            return Err("the token does not have a valid issuer");
        }
        // `client_id` counts only if there is no `aud`.
        let audience = match claims.get("aud").or_else(|| claims.get("client_id")) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![one.as_str()],
            _ => Vec::new(),
        };
        if !audience.iter().any(|one| self.audience.iter().any(|allowed| allowed == one)) {
            return Err("the token does not have a valid audience");
        }
        // Numeric dates may have a fraction.
        let seconds = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or("the token has a date that is not a number"),
        };
        let now = now_s as f64;
        if seconds("exp")?.ok_or("the token has no expiry")? <= now {
            return Err("the token has expired");
        }
        if seconds("nbf")?.is_some_and(|begin| begin > now) {
            return Err("the token is not valid yet");
        }
        if seconds("iat")?.is_some_and(|issued| issued > now) {
            return Err("the token was issued in the future");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
