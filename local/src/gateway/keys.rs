//! The public keys of an issuer, from its JWKS (RFC 7517), and the check of a token's signature. Only asymmetric
//! algorithms are accepted, and each key only with the algorithms of its own kind. So a token with the algorithm
//! `none`, or an HMAC token whose key is the public key, is never valid.

use std::{
    num::NonZero,
    sync::{Mutex, PoisonError},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use lru::LruCache;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::crypto;
use crate::json;

/// How many tokens are known to be signed. To check the signature with each request took 6 % of the stack's time for a
/// page (docs/benchmarks.md).
const SIGNED_MAX: NonZero<usize> = NonZero::new(1000).unwrap();

/// The keys of one issuer.
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// The claims of tokens that one of the keys has signed. Whether they are valid at present is not in it.
    signed: Mutex<LruCache<String, Map<String, Value>>>,
}

struct Key {
    id: String,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why a token is not from this issuer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Forged {
    /// The token is not a JWT, or its signature does not match.
    Malformed(&'static str),
    /// The token names a key that this set does not have.
    UnknownKey,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// The usable keys of a JWKS document. Keys of other kinds are ignored, as RFC 7517 requires. `None` if the JSON is
    /// not a JWKS document.
    pub(super) fn parse(jwks: &Value) -> Option<Self> {
        let keys = jwks.get("keys")?.as_array()?;
        crypto::install();
        let keys = keys.iter().filter(|key| key.is_object());
        let keys = keys.filter_map(|key| Key::new(&serde_json::from_value(key.clone()).ok()?)).collect();
        Some(Self { keys, signed: Mutex::new(LruCache::new(SIGNED_MAX)) })
    }

    /// The claims of `token`, if one of these keys signed it.
    pub(super) fn verify(&self, token: &str) -> Result<Map<String, Value>, Forged> {
        let signed = || self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = signed().get(token) {
            return Ok(claims.clone());
        }
        let claims = self.check(token)?;
        signed().put(token.to_owned(), claims.clone());
        Ok(claims)
    }

    /// The same by the signature.
    fn check(&self, token: &str) -> Result<Map<String, Value>, Forged> {
        let encoded = token.split('.').next().unwrap_or_default();
        let header: Option<Header> =
            BASE64_URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|header| json::object(&header).ok());
        let header = header.ok_or(Forged::Malformed("the token is malformed"))?;
        if header.crit.is_some() {
            return Err(Forged::Malformed("the token has critical extensions"));
        }
        let algorithm: Algorithm =
            header.alg.parse().map_err(|_| Forged::Malformed("the token's algorithm is not allowed"))?;
        let key_id = header.kid.ok_or(Forged::Malformed("the token names no key"))?;
        let key = self.keys.iter().find(|key| key.id == key_id).ok_or(Forged::UnknownKey)?;
        if !key.algorithms.contains(&algorithm) {
            return Err(Forged::Malformed("the token's algorithm is not allowed"));
        }
        // Only the signature is checked here. The authorizer checks the claims, because it knows the time.
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        jsonwebtoken::decode(token, &key.key, &validation)
            .map(|token| token.claims)
            .map_err(|_| Forged::Malformed("the token's signature is not valid"))
    }
}

impl Key {
    fn new(jwk: &Jwk) -> Option<Self> {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let (mut algorithms, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => (
                vec![Algorithm::RS256, Algorithm::RS384, Algorithm::RS512],
                DecodingKey::from_rsa_components(jwk.n.as_deref()?, jwk.e.as_deref()?).ok()?,
            ),
            ("EC", Some("P-256")) => {
                (vec![Algorithm::ES256], DecodingKey::from_ec_components(jwk.x.as_deref()?, jwk.y.as_deref()?).ok()?)
            }
            ("OKP", Some("Ed25519")) => {
                (vec![Algorithm::EdDSA], DecodingKey::from_ed_components(jwk.x.as_deref()?).ok()?)
            }
            _ => return None,
        };
        if let Some(only) = &jwk.alg {
            let only: Algorithm = only.parse().ok()?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        Some(Self { id: jwk.kid.clone()?, algorithms, key })
    }
}
