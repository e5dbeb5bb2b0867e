//! The development issuer: the stack's own OpenID provider, so that a newcomer needs none. Its one key pair lives in the
//! data directory, so tokens outlive a restart; whoever reads that file can be anybody, so only its owner may. It gives a
//! token for any name to whoever asks, and must never be reachable from anywhere but this machine.
//!
//! It signs with ES256, for which a key is made in no time. The gateway on AWS takes RSA signatures only, which is a
//! matter between it and the issuer: functions see claims, not signatures.

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

/// Issues tokens, and publishes the key that they are checked with.
pub struct LocalIssuer {
    url: String,
    key_id: String,
    key: EncodingKey,
    jwks: Value,
}

impl LocalIssuer {
    /// An issuer that calls itself `url`, with the key in the file `key_file`, which is made (mode 0600) if it is not
    /// there; without a file, with a key that is forgotten.
    ///
    /// # Errors
    /// If the file cannot be read or made, or holds something else.
    pub fn open(key_file: Option<&Path>, url: &str) -> anyhow::Result<Self> {
        let pkcs8 = match key_file {
            Some(path) => read_or_make(path)?,
            None => new_key()?,
        };
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &SystemRandom::new());
        let pair = pair.map_err(|error| match key_file {
            Some(path) => anyhow!("{} holds no ES256 key: {error}", path.display()),
            None => anyhow!("cannot use a new ES256 key: {error}"),
        })?;
        // An uncompressed point: a byte 4, then 32 bytes each of x and y.
        let point = pair.public_key().as_ref();
        let (x, y) = point.get(1..33).zip(point.get(33..65)).context("the public key is not a point of P-256")?;
        let (x, y) = (BASE64_URL_SAFE_NO_PAD.encode(x), BASE64_URL_SAFE_NO_PAD.encode(y));
        // RFC 7638: the digest of the required members, sorted, without white space.
        let thumbprint = digest(&SHA256, format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes());
        let key_id = BASE64_URL_SAFE_NO_PAD.encode(thumbprint);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": key_id, "x": x, "y": y });
        let jwks = json!({ "keys": [jwk] });
        Ok(Self { url: url.to_owned(), key_id, key: EncodingKey::from_ec_der(&pkcs8), jwks })
    }

    /// What the issuer calls itself in tokens (`iss`).
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A token that says to `audience` that its bearer is `subject`, from `now_s` until `expires_s` (epoch seconds).
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

    /// The document at `/.well-known/openid-configuration`, as far as it goes: there is nowhere to log in.
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
    // Under another name first: a process that dies in between must not leave half a key.
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
