//! What the gateway answers itself, before any function runs: tokens, unknown routes, sizes and CORS.

use anyhow::{Result, ensure};
use harness::{client::Answer, deployment::Deployment};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

async fn refused_by_gateway(request: RequestBuilder, status: u16, message: &str) -> Result<()> {
    let answer = Answer::to(request).await?;
    let shown = format!("{}: {} {}", answer.request, answer.status, answer.body);
    ensure!(answer.status.as_u16() == status, "expected {status}, got {shown}");
    ensure!(answer.json::<Value>()? == json!({ "message": message }), "{shown}");
    Ok(())
}

#[tokio::test]
async fn every_route_needs_a_valid_token() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let routes = [
        (Method::PUT, "/v1/me"),
        (Method::GET, "/v1/me"),
        (Method::GET, "/v1/users/x"),
        (Method::GET, "/v1/users/x/posts"),
        (Method::GET, "/v1/users/x/followers"),
        (Method::GET, "/v1/users/x/following"),
        (Method::PUT, "/v1/users/x/follow"),
        (Method::DELETE, "/v1/users/x/follow"),
        (Method::POST, "/v1/posts"),
        (Method::DELETE, "/v1/posts/x"),
        (Method::GET, "/v1/feeds/home"),
    ];
    for (method, path) in routes {
        refused_by_gateway(ada.anonymous(method.clone(), path), 401, "Unauthorized").await?;
        refused_by_gateway(ada.anonymous(method, path).bearer_auth("x.y.z"), 401, "Unauthorized").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_changed_anywhere_is_refused() -> Result<()> {
    let deployment = Deployment::shared()?;
    let (ada, other) = (deployment.member("ada").await?, deployment.newcomer("bob").await?);
    let token = ada.token();
    let get = |token: &str| ada.anonymous(Method::GET, "/v1/me").bearer_auth(token);
    assert_eq!(crate::status(get(token)).await?, 200);
    let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
    let (header, payload) = signed.split_once('.').unwrap_or_default();
    let (other_signed, _) = other.token().rsplit_once('.').unwrap_or_default();
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{payload}.");
    for forged in [
        format!("{other_signed}.{signature}"),
        format!("{signed}."),
        signed.to_owned(),
        format!("{header}.{payload}A.{signature}"),
        unsigned,
        String::new(),
    ] {
        refused_by_gateway(get(&forged), 401, "Unauthorized").await?;
    }
    let basic = ada.anonymous(Method::GET, "/v1/me").header("Authorization", format!("Basic {token}"));
    refused_by_gateway(basic, 401, "Unauthorized").await
}

#[tokio::test]
async fn other_paths_and_methods_are_not_found() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    for (method, path) in [
        (Method::GET, "/nothing"),
        (Method::GET, "/v1"),
        (Method::GET, "/v1/nothing"),
        (Method::GET, "/v2/me"),
        (Method::GET, "/v1/users"),
        (Method::GET, "/v1/users/x/follow"),
        (Method::GET, "/v1/users/x/y/posts"),
        (Method::POST, "/v1/feeds/home"),
        (Method::POST, "/v1/me"),
        (Method::PUT, "/v1/posts"),
    ] {
        refused_by_gateway(ada.request(method.clone(), path), 404, "Not Found").await?;
        refused_by_gateway(ada.anonymous(method, path), 404, "Not Found").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_body_too_large_for_a_function_is_refused() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let body = vec![b'x'; 10 * 1024 * 1024 + 1];
    refused_by_gateway(ada.request(Method::POST, "/v1/posts").body(body), 413, "Request Entity Too Large").await
}

#[tokio::test]
async fn browsers_may_call_from_any_origin() -> Result<()> {
    let ada = Deployment::shared()?.member("ada").await?;
    let preflight = ada
        .anonymous(Method::OPTIONS, "/v1/posts")
        .header("Origin", "https://app.example.org")
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "authorization,content-type,idempotency-key");
    let answer = Answer::to(preflight).await?;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-max-age"), Some("86400"));
    let lists = |answer: &Answer, header: &str, names: &[&str]| {
        let value = answer.header(header).unwrap_or_default().to_ascii_lowercase();
        let listed: Vec<_> = value.split(',').map(str::trim).collect();
        assert!(names.iter().all(|name| listed.contains(name)), "{header}: {value}");
    };
    lists(&answer, "access-control-allow-methods", &["get", "post", "put", "delete"]);
    lists(&answer, "access-control-allow-headers", &["authorization", "content-type", "idempotency-key"]);

    for (request, status) in
        [(ada.request(Method::GET, "/v1/me"), 200), (ada.request(Method::GET, "/v1/feeds/home?limit=0"), 400)]
    {
        let answer = Answer::to(request.header("Origin", "https://app.example.org")).await?;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        lists(&answer, "access-control-expose-headers", &["tidings-version", "location", "retry-after"]);
    }
    Ok(())
}
