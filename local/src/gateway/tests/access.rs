use reqwest::Client;
use serde_json::{Value, json};

use super::{HttpApi, INTEGRATION_TIMEOUT, JwtAuthorizer, Server, TcpListener, header, message};

#[tokio::test]
async fn a_request_without_a_valid_token_does_not_reach_the_function() {
    let server = Server::guarded().await;
    let response = server.request("GET", "/v1/me").send().await.unwrap();
    assert_eq!(header(&response, "www-authenticate"), Some("Bearer"));
    assert_eq!(message(response).await, (401, "Unauthorized".to_owned()));

    let expired = json!({ "user": "ada", "expires_in": -1 });
    let expired =
        server.request("POST", "/dev/token").json(&expired).send().await.unwrap().json::<Value>().await.unwrap();
    let response =
        server.request("GET", "/v1/me").bearer_auth(expired["token"].as_str().unwrap()).send().await.unwrap();
    let challenge = r#"Bearer scope="" error="invalid_token" error_description="the token has expired""#;
    assert_eq!(header(&response, "www-authenticate"), Some(challenge));
    assert_eq!(message(response).await, (401, "Unauthorized".to_owned()));

    // Without a token, unknown routes and routes that need a token look the same.
    let huge = vec![b'x'; super::BODY_BYTES_MAX + 1];
    let response = server.request("PUT", "/v1/me").body(huge).send().await.unwrap();
    assert_eq!(message(response).await, (401, "Unauthorized".to_owned()));
}

#[tokio::test]
async fn a_token_is_for_the_requested_user() {
    let server = Server::guarded().await;
    for user in ["ada", "", "@x", "a\u{0}b", "auth0|ü"] {
        let token = server.token(user).await;
        let (event, _) = server.event(server.request("GET", "/v1/me").bearer_auth(token)).await;
        assert_eq!(event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"], user);
    }
    for bad in ["", "{}", r#"{"user":7}"#, r#"{"user":"a","admin":true}"#] {
        let response = server.request("POST", "/dev/token").body(bad).send().await.unwrap();
        assert_eq!(response.status(), 400, "{bad}");
    }
}

#[tokio::test]
async fn the_own_issuer_can_be_discovered_by_another_gateway() {
    let first = Server::guarded().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let authorizer = JwtAuthorizer { issuer: first.url.clone(), audience: vec!["tidings".to_owned()] };
    let api = HttpApi { name: "api".to_owned(), cors: None, authorizer: Some(authorizer), throttle: None };
    let second = Server::serve(listener, url, api, INTEGRATION_TIMEOUT);

    let token = first.token("ada").await;
    let response = second.request("GET", "/v1/me").bearer_auth(token).send().await.unwrap();
    assert_eq!(response.status(), 200);
    // The stack is not the issuer, and names the issuer.
    let response = second.request("POST", "/dev/token").json(&json!({ "user": "ada" })).send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert!(response.text().await.unwrap().contains(&first.url));
    assert_eq!(second.request("GET", "/.well-known/jwks.json").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_development_routes_answer_this_machine_only() {
    let server = Server::guarded().await;
    let ask = |host: &str, origin: Option<&str>| {
        let mut request = server.request("GET", "/dev/more").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.send()
    };
    for host in ["localhost", "LOCALHOST:3000", "127.0.0.1:3000", "127.9.9.9", "[::1]:3000"] {
        assert_eq!(ask(host, None).await.unwrap().text().await.unwrap(), "more", "{host}");
    }
    for host in
        ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost@evil.example"]
    {
        assert_eq!(ask(host, None).await.unwrap().status(), 403, "{host}");
    }
    assert_eq!(ask("localhost", Some("http://localhost:8080")).await.unwrap().status(), 200);
    for origin in ["https://evil.example", "null"] {
        assert_eq!(ask("localhost", Some(origin)).await.unwrap().status(), 403, "{origin}");
    }
    let stranger = server.request("POST", "/dev/token").header("host", "evil.example").json(&json!({ "user": "ada" }));
    assert_eq!(stranger.send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn preflight_requests_need_no_token_and_no_route() {
    let server = Server::guarded().await;
    let ask = |origin: &'static str| {
        let request = server.request("OPTIONS", "/no/such/route").header("origin", origin);
        request.header("access-control-request-method", "PUT").send()
    };
    let response = ask("https://app.example").await.unwrap();
    assert_eq!(response.status(), 204);
    assert_eq!(header(&response, "access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(header(&response, "access-control-allow-methods"), Some("GET,PUT"));
    assert_eq!(header(&response, "access-control-max-age"), Some("60"));
    let response = ask("https://evil.example").await.unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "access-control-allow-origin")), (204, None));
}

#[tokio::test]
async fn cors_headers_are_for_allowed_origins_only() {
    let server = Server::guarded().await;
    let token = server.token("ada").await;
    let ask = |origin: Option<&'static str>| {
        let mut request = server.request("GET", "/v1/me").bearer_auth(&token).header("x-do", "answer");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.send()
    };
    let response = ask(Some("https://app.example")).await.unwrap();
    assert_eq!(header(&response, "access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(header(&response, "access-control-expose-headers"), Some("Location"));
    for origin in [None, Some("https://evil.example")] {
        let response = ask(origin).await.unwrap();
        assert_eq!(header(&response, "access-control-allow-origin"), None, "{origin:?}");
    }
    // A page of an allowed origin can read why its request was refused.
    let response = Client::new()
        .get(format!("{}/v1/me", server.url))
        .header("origin", "https://app.example")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(header(&response, "access-control-allow-origin"), Some("https://app.example"));
}

#[tokio::test]
async fn without_cors_in_the_template_preflight_requests_are_ordinary_requests() {
    let server = Server::open().await;
    let request = server.request("OPTIONS", "/v1/me").header("origin", "https://app.example");
    let response = request.header("access-control-request-method", "PUT").send().await.unwrap();
    assert_eq!(header(&response, "access-control-allow-origin"), None);
    assert_eq!(message(response).await, (404, "Not Found".to_owned()));
}
