//! The development issuer: an OpenID provider in the stack itself, so that a newcomer needs no other. It has one key
//! pair in the data directory, so tokens stay valid after a restart. Who can read this file can act as any user, so
//! only the file's owner may read it. The issuer gives a token for any user to every caller, so only this machine may
//! reach it.
//!
//! It signs with ES256, because an ES256 key is made within milliseconds. The gateway on AWS accepts only RSA
//! signatures. This difference does not reach the functions, which see claims and no signatures.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, anyhow};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};

use super::crypto;

/// Issues tokens, and publishes the key to check them with.
pub struct LocalIssuer {
    url: String,
    key_id: String,
    key: EncodingKey,
    jwks: Value,
}

impl LocalIssuer {
    /// An issuer with this `url`. Its key is in the file `key_file`, which is created with mode 0600 if it does not
    /// exist. Without a file, the key is lost with the process.
    ///
    /// # Errors
    /// If the file can be neither read nor created, or does not contain a key.
    pub fn open(key_file: Option<&Path>, url: &str) -> anyhow::Result<Self> {
        crypto::install();
        let pkcs8 = match key_file {
            Some(path) => read_or_make(path)?,
            None => new_key()?,
        };
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &SystemRandom::new());
        let pair = pair.map_err(|error| match key_file {
            Some(path) => anyhow!("{} holds no ES256 key: {error}", path.display()),
            None => anyhow!("cannot use a new ES256 key: {error}"),
        })?;
        // An uncompressed point: the byte 4, then 32 bytes each for x and y.
        let point = pair.public_key().as_ref();
        let (x, y) = point.get(1..33).zip(point.get(33..65)).context("the public key is not a point of P-256")?;
        let (x, y) = (BASE64_URL_SAFE_NO_PAD.encode(x), BASE64_URL_SAFE_NO_PAD.encode(y));
        // RFC 7638: the digest of the required members, sorted and without white space.
        let thumbprint = digest(&SHA256, format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes());
        let key_id = BASE64_URL_SAFE_NO_PAD.encode(thumbprint);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": key_id, "x": x, "y": y });
        let jwks = json!({ "keys": [jwk] });
        Ok(Self { url: url.to_owned(), key_id, key: EncodingKey::from_ec_der(&pkcs8), jwks })
    }

    /// The name of the issuer in tokens (`iss`).
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A token for the user `subject` and for `audience`, valid from `now_s` until `expires_s` (epoch seconds).
    ///
    /// # Errors
    /// If signing fails.
    pub fn token(&self, subject: &str, audience: &str, now_s: i64, expires_s: i64) -> anyhow::Result<String> {
        let claims = json!({ "iss": self.url, "aud": audience, "sub": subject, "iat": now_s, "exp": expires_s });
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::ES256) };
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }

    /// The public key as a JWKS document.
    pub fn jwks(&self) -> &Value {
        &self.jwks
    }

    /// The document at `/.well-known/openid-configuration`. It has no login URL, because there is no login.
    pub fn configuration(&self) -> Value {
        json!({
            "issuer": self.url,
            "jwks_uri": format!("{}/.well-known/jwks.json", self.url),
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }
}

fn new_key() -> anyhow::Result<Vec<u8>> {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    Ok(pkcs8.map_err(|_| anyhow!("the system gives no random numbers"))?.as_ref().to_vec())
}

fn read_or_make(path: &Path) -> anyhow::Result<Vec<u8>> {
    match fs::read(path) {
        Ok(pkcs8) => return Ok(pkcs8),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let pkcs8 = new_key()?;
    // Written under another name first, so that a crash cannot leave half a key.
    let unfinished = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&pkcs8)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(pkcs8)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{LocalIssuer, fs};
    use crate::gateway::keys::{Forged, KeySet};

    #[test]
    fn the_key_is_kept_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("issuer-key.pk8");
        let first = LocalIssuer::open(Some(&file), "http://a").unwrap();
        let token = first.token("ada", "tidings", 0, 10).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        let second = LocalIssuer::open(Some(&file), "http://b").unwrap();
        assert_eq!(first.jwks(), second.jwks());
        let claims = KeySet::parse(second.jwks()).unwrap().verify(&token).unwrap();
        assert_eq!(claims["sub"], "ada");
        assert_eq!(claims["iss"], "http://a");

        let stranger = LocalIssuer::open(None, "http://a").unwrap();
        let verdict = KeySet::parse(stranger.jwks()).unwrap().verify(&token);
        assert_eq!(verdict, Err(Forged::UnknownKey));
    }

    #[test]
    fn a_file_that_holds_no_key_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("issuer-key.pk8");
        fs::write(&file, "nonsense").unwrap();
        let error = LocalIssuer::open(Some(&file), "http://a").err().unwrap();
        assert!(error.to_string().contains("issuer-key.pk8 holds no ES256 key"), "{error}");
        let nowhere = directory.path().join("missing/issuer-key.pk8");
        assert!(LocalIssuer::open(Some(&nowhere), "http://a").is_err());
    }
}
