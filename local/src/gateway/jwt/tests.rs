//! Tests of which tokens are valid. The time is always 1000 s after 1970.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, routing::get};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};

use super::{Authorizer, Denied, JwtAuthorizer, KeySet, Keys, LocalIssuer};
use crate::gateway::crypto;

const NOW_S: i64 = 1000;
const ISSUER: &str = "http://issuer";

/// The public half of an RSA key whose private half was thrown away.
const RSA_MODULUS: &str = "\
    5Kzp_-4oF70EBG54zIZ5pBM-QRE7yLrw3rE-kHfrtsdK6Adkx0Jfauv0ELlGb9IdUr38zn-k2z2U3NQg7bCMSSuWYRLFD3P_lxdyG_tpqGPuNc\
    RMnsbV5UUpMxnJOppO33j3BA8koR7GZ_5rifV7rJHTjry_TSNOI3Mn0yi68hjeKPNp4lipotLZ7ZE_Xaqlcex7yut2bqF9Gi3fVuxvbnmSg_6s\
    56X21p4iRoUOUdCeLgm0spgJMn_LRw7KJJH8pKTbicTCJTLgBMep05ZJHLjb7ARRdo8uc2HYQWGmjwqFsKE6nqO5Uz4TrKu4dFaDQGlwWgJAIk\
    rk6DuvaNwA6Q";
/// A token that was signed with RS256 by this key.
const RSA_TOKEN: &str = "\
    eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwOi8vaXNzdWVyIiwiYXVkIjoidGlkaW5ncyIsInN1YiI6ImFkYSIsImlhd\
    CI6MTAwMCwiZXhwIjoyMDAwfQ.jX2_pDUTbuCeZuZHT88qQ7gqW46_9L4h0NkBjbF8QByUe3wz3jz-JdPBSRvfihaK9LV8b6_LkpHZCOAYc4Yl\
    LANLrwVE70LTIOMm7KwZG2ALWbSxXxBbC1pzofiRv2ywCunmUATPLOdFFB838OAi36WaFV5VIMgeFoKRHh5eVEqyWo075_AxAdgzDMvb0o8H0D\
    TOw_oMU5X2-1bFd5h33f0tEQYfHUUTWK9-5ampImJQ7FEhiIKfDZnKPwdf1i00rA3gqgVrDiwu-Jt5jZ9MCOSYfT5nmQm8YFu_sckoV0uOklv8\
    Z3XMJ1Ax0YF2fwDHxYbpUON4jWuVotIlYq0S7w";

/// An Ed25519 key with its id.
struct Ed25519 {
    key: EncodingKey,
    jwk: Value,
    id: String,
}

impl Ed25519 {
    fn new(id: &str) -> Self {
        crypto::install();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": x });
        Self { key: EncodingKey::from_ed_der(pkcs8.as_ref()), jwk, id: id.to_owned() }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

fn configuration(issuer: &str) -> JwtAuthorizer {
    JwtAuthorizer { issuer: issuer.to_owned(), audience: vec!["tidings".to_owned(), "other".to_owned()] }
}

fn authorizer(keys: &[Value]) -> Authorizer {
    let JwtAuthorizer { issuer, audience } = configuration(ISSUER);
    Authorizer { issuer, audience, keys: Keys::Own(KeySet::parse(&json!({ "keys": keys })).unwrap()) }
}

fn good_claims() -> Value {
    json!({ "iss": ISSUER, "aud": "tidings", "sub": "ada", "iat": 1000, "nbf": 1000, "exp": 1001 })
}

async fn ask(authorizer: &Authorizer, header: &str) -> Result<String, Denied> {
    let claims = authorizer.authorize(Some(header.as_bytes()), NOW_S).await?;
    Ok(claims["sub"].as_str().unwrap().to_owned())
}

fn denied(why: &'static str) -> Result<String, Denied> {
    Err(Denied::InvalidToken(why))
}

#[tokio::test]
async fn a_token_passes_with_bearer_before_it_and_without() {
    let key = Ed25519::new("1");
    let authorizer = authorizer(std::slice::from_ref(&key.jwk));
    let token = key.sign(&good_claims());
    for header in [format!("Bearer {token}"), format!("bearer  {token} "), token] {
        assert_eq!(ask(&authorizer, &header).await, Ok("ada".to_owned()), "{header}");
    }
    for header in ["", " ", "Bearer", "Bearer "] {
        assert_eq!(ask(&authorizer, header).await, Err(Denied::NoToken), "{header}");
    }
    assert_eq!(authorizer.authorize(None, NOW_S).await, Err(Denied::NoToken));
    for header in ["nonsense", "Basic YTpi", "Bearer a.b.c", "Bearer ..", "\u{fc}"] {
        assert_eq!(ask(&authorizer, header).await, denied("the token is malformed"), "{header}");
    }
}

#[tokio::test]
async fn a_token_that_has_passed_expires_all_the_same() {
    let key = Ed25519::new("1");
    let authorizer = authorizer(std::slice::from_ref(&key.jwk));
    let token = key.sign(&good_claims());
    for _ in 0..2 {
        assert_eq!(ask(&authorizer, &token).await, Ok("ada".to_owned()));
    }
    let expired = authorizer.authorize(Some(token.as_bytes()), NOW_S + 1).await;
    assert_eq!(expired, Err(Denied::InvalidToken("the token has expired")));
    assert_eq!(ask(&authorizer, &format!("{token}A")).await, denied("the token's signature is not valid"));
}

#[tokio::test]
async fn every_claim_that_aws_checks_is_checked() {
    let key = Ed25519::new("1");
    let authorizer = authorizer(std::slice::from_ref(&key.jwk));
    let good = Ok("ada".to_owned());
    for (name, value, expected) in [
        ("iss", json!("http://issuer/"), denied("the token does not have a valid issuer")),
        ("iss", json!(null), denied("the token does not have a valid issuer")),
        ("aud", json!("tidings2"), denied("the token does not have a valid audience")),
        ("aud", json!([]), denied("the token does not have a valid audience")),
        ("aud", json!(["x", "other"]), good.clone()),
        ("exp", json!(1000), denied("the token has expired")),
        ("exp", json!(1000.5), good.clone()),
        ("exp", json!("2000"), denied("the token has a date that is not a number")),
        ("nbf", json!(1001), denied("the token is not valid yet")),
        ("iat", json!(1001), denied("the token was issued in the future")),
    ] {
        let mut claims = good_claims();
        claims[name] = value.clone();
        assert_eq!(ask(&authorizer, &key.sign(&claims)).await, expected, "{name} = {value}");
    }
    for (name, expected) in [
        ("iss", denied("the token does not have a valid issuer")),
        ("aud", denied("the token does not have a valid audience")),
        ("exp", denied("the token has no expiry")),
        ("nbf", good.clone()),
        ("iat", good),
    ] {
        let mut claims = good_claims();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(ask(&authorizer, &key.sign(&claims)).await, expected, "without {name}");
    }
}

#[tokio::test]
async fn the_client_id_counts_where_there_is_no_audience() {
    let key = Ed25519::new("1");
    let authorizer = authorizer(std::slice::from_ref(&key.jwk));
    let mut claims = good_claims();
    claims["client_id"] = json!("tidings");
    claims["aud"] = json!("wrong");
    assert!(ask(&authorizer, &key.sign(&claims)).await.is_err());
    claims.as_object_mut().unwrap().remove("aud");
    assert!(ask(&authorizer, &key.sign(&claims)).await.is_ok());
}

#[tokio::test]
async fn a_token_with_anything_changed_does_not_pass() {
    let own = LocalIssuer::open(None, ISSUER).unwrap();
    let authorizer = Authorizer::new(&configuration(ISSUER), &own);
    let token = own.token("ada", "tidings", NOW_S, NOW_S + 1).unwrap();
    assert_eq!(ask(&authorizer, &token).await, Ok("ada".to_owned()));
    // The last character of each part may have unused bits, so this test leaves it alone.
    let ends: Vec<usize> = token.match_indices('.').map(|(at, _)| at).chain([token.len()]).collect();
    for at in (0..token.len()).filter(|at| !ends.contains(at) && !ends.contains(&(at + 1))) {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(ask(&authorizer, &changed).await.is_err(), "{changed}");
    }
    let (unsigned, _) = token.rsplit_once('.').unwrap();
    assert!(ask(&authorizer, unsigned).await.is_err());
    assert!(ask(&authorizer, &format!("{unsigned}.")).await.is_err());
}

#[tokio::test]
async fn rsa_signatures_pass_only_under_the_algorithm_of_their_key() {
    let jwk =
        |alg: Value| json!({ "kty": "RSA", "kid": "rsa", "use": "sig", "alg": alg, "n": RSA_MODULUS, "e": "AQAB" });
    assert_eq!(ask(&authorizer(&[jwk(json!("RS256"))]), RSA_TOKEN).await, Ok("ada".to_owned()));
    assert_eq!(ask(&authorizer(&[jwk(json!(null))]), RSA_TOKEN).await, Ok("ada".to_owned()));
    let expected = denied("the token's algorithm is not allowed");
    assert_eq!(ask(&authorizer(&[jwk(json!("RS512"))]), RSA_TOKEN).await, expected);
    // Unusable keys do not disturb the usable ones.
    let others = [
        json!({ "kty": "oct", "kid": "rsa", "k": "AAAA" }),
        json!({ "kty": "EC", "kid": "x", "crv": "P-521" }),
        json!(7),
    ];
    let keys = [others.to_vec(), vec![jwk(json!(null))]].concat();
    assert_eq!(ask(&authorizer(&keys), RSA_TOKEN).await, Ok("ada".to_owned()));
}

#[tokio::test]
async fn no_token_passes_without_an_asymmetric_signature() {
    let key = Ed25519::new("1");
    let secret = json!({ "kty": "oct", "kid": "2", "alg": "HS256", "k": "c2VjcmV0" });
    let authorizer = authorizer(&[key.jwk.clone(), secret]);
    let encode = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = encode(&good_claims());
    for algorithm in ["none", "None", "NONE", ""] {
        let header = encode(&json!({ "alg": algorithm, "kid": "1" }));
        for token in [format!("{header}.{claims}."), format!("{header}.{claims}.AAAA")] {
            assert_eq!(ask(&authorizer, &token).await, denied("the token's algorithm is not allowed"), "{algorithm}");
        }
    }
    // One key is a public key that serves as an HMAC secret, the other a secret that the issuer published by mistake.
    let public = BASE64_URL_SAFE_NO_PAD.decode(key.jwk["x"].as_str().unwrap()).unwrap();
    for (kid, secret) in [("1", public.as_slice()), ("2", b"secret".as_slice())] {
        let signed = format!("{}.{claims}", encode(&json!({ "alg": "HS256", "kid": kid })));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        let token = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag));
        assert!(ask(&authorizer, &token).await.is_err(), "{kid}");
    }
}

#[tokio::test]
async fn a_token_must_name_its_key_and_nothing_that_is_not_understood() {
    let key = Ed25519::new("1");
    let authorizer = authorizer(std::slice::from_ref(&key.jwk));
    let sign = |header: Header| jsonwebtoken::encode(&header, &good_claims(), &key.key).unwrap();
    assert_eq!(ask(&authorizer, &sign(Header::new(Algorithm::EdDSA))).await, denied("the token names no key"));
    let stranger = Header { kid: Some("2".to_owned()), ..Header::new(Algorithm::EdDSA) };
    assert_eq!(ask(&authorizer, &sign(stranger)).await, denied("the token is signed by an unknown key"));
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"1","crit":["b64"],"b64":false}"#);
    let token = format!("{header}.e30.AAAA");
    assert_eq!(ask(&authorizer, &token).await, denied("the token has critical extensions"));
}

/// An issuer on its own port. `keys` can be changed, and `fetches` counts the requests for them.
async fn remote(keys: Arc<Mutex<Vec<Value>>>, fetches: Arc<AtomicUsize>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let configuration = json!({ "jwks_uri": format!("{url}/keys") });
    let jwks = move || {
        fetches.fetch_add(1, Ordering::SeqCst);
        let keys = keys.lock().unwrap().clone();
        async move { Json(json!({ "keys": keys })) }
    };
    let router = Router::new().route("/keys", get(jwks));
    let router = router.route("/.well-known/openid-configuration", get(async || Json(configuration)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn keys_of_another_issuer_are_fetched_kept_and_fetched_again_for_a_new_key() {
    let (first, second) = (Ed25519::new("1"), Ed25519::new("2"));
    let keys = Arc::new(Mutex::new(vec![first.jwk.clone()]));
    let fetches = Arc::new(AtomicUsize::new(0));
    let url = remote(Arc::clone(&keys), Arc::clone(&fetches)).await;
    let authorizer = Authorizer::new(&configuration(&url), &LocalIssuer::open(None, ISSUER).unwrap());
    let mut claims = good_claims();
    claims["iss"] = json!(url);

    for _ in 0..3 {
        assert_eq!(ask(&authorizer, &first.sign(&claims)).await, Ok("ada".to_owned()));
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    keys.lock().unwrap().push(second.jwk.clone());
    assert_eq!(ask(&authorizer, &second.sign(&claims)).await, Ok("ada".to_owned()));
    assert_eq!(fetches.load(Ordering::SeqCst), 2);
    // Made-up key ids do not make the gateway fetch the keys each time.
    for _ in 0..3 {
        let token = Ed25519::new("made up").sign(&claims);
        assert_eq!(ask(&authorizer, &token).await, denied("the token is signed by an unknown key"));
    }
    assert!(fetches.load(Ordering::SeqCst) <= 3);
}

#[tokio::test]
async fn no_token_passes_without_the_issuers_keys() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let authorizer = Authorizer::new(&configuration(&url), &LocalIssuer::open(None, ISSUER).unwrap());
    let token = Ed25519::new("1").sign(&good_claims());
    assert_eq!(ask(&authorizer, &token).await, denied("the keys of the issuer cannot be fetched"));
}
