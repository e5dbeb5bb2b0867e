use serde_json::{Value, json};

use super::{Server, header};

#[tokio::test]
async fn a_request_becomes_an_event_of_payload_format_2_0() {
    let server = Server::guarded().await;
    let token = server.token("ada").await;
    let request = server.request("PUT", "/v1/users/auth0%7Cb%2Fc%20%C3%BC/follow?a=1&b=x%20y+z&a=2&c&=d");
    let request =
        request.bearer_auth(&token).header("X-Twice", "1").header("x-twice", "2").header("user-agent", "test");
    let request = request.header("cookie", "c1=1; c2=2").header("cookie", "c3=3").header("x-forwarded-for", "10.0.0.1");
    let request = request.header("content-type", "application/json; charset=utf-8").body("{\"ü\": 1}");
    let (event, decoded) = server.event(request).await;

    let host = server.url.strip_prefix("http://").unwrap();
    let context = &event["requestContext"];
    for (path, expected) in [
        ("/version", json!("2.0")),
        ("/routeKey", json!("PUT /v1/users/{user}/follow")),
        ("/rawPath", json!("/v1/users/auth0|b/c ü/follow")),
        ("/rawQueryString", json!("a=1&b=x%20y+z&a=2&c&=d")),
        ("/cookies", json!(["c1=1", "c2=2", "c3=3"])),
        ("/headers/x-twice", json!("1,2")),
        ("/headers/cookie", Value::Null),
        ("/headers/host", json!(host)),
        ("/headers/content-length", json!("9")),
        ("/headers/x-forwarded-for", json!("10.0.0.1,127.0.0.1")),
        ("/headers/x-forwarded-proto", json!("http")),
        ("/headers/x-forwarded-port", json!(host.split_once(':').unwrap().1)),
        ("/headers/authorization", json!(format!("Bearer {token}"))),
        ("/queryStringParameters", json!({ "a": "1,2", "b": "x y z", "c": "", "": "d" })),
        ("/pathParameters", json!({ "user": "auth0|b/c ü" })),
        ("/body", json!("{\"ü\": 1}")),
        ("/isBase64Encoded", json!(false)),
        ("/requestContext/accountId", json!("000000000000")),
        ("/requestContext/apiId", json!("local")),
        ("/requestContext/domainName", json!("127.0.0.1")),
        ("/requestContext/domainPrefix", json!("127")),
        (
            "/requestContext/http",
            json!({
                "method": "PUT", "path": "/v1/users/auth0|b/c ü/follow", "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1", "userAgent": "test",
            }),
        ),
        ("/requestContext/routeKey", json!("PUT /v1/users/{user}/follow")),
        ("/requestContext/stage", json!("$default")),
        ("/requestContext/authorizer/jwt/claims/sub", json!("ada")),
        ("/requestContext/authorizer/jwt/claims/aud", json!("tidings")),
        ("/requestContext/authorizer/jwt/claims/iss", json!(server.url)),
        ("/requestContext/authorizer/jwt/scopes", Value::Null),
    ] {
        assert_eq!(event.pointer(path).unwrap_or(&Value::Null), &expected, "{path}");
    }
    // Numbers become strings here, too.
    let claims = &context["authorizer"]["jwt"]["claims"];
    let seconds = |name: &str| claims[name].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(seconds("exp") - seconds("iat"), 24 * 60 * 60);
    let epoch_ms = context["timeEpoch"].as_i64().unwrap();
    assert!((seconds("iat") * 1000..seconds("iat") * 1000 + 60_000).contains(&epoch_ms));
    let time = context["time"].as_str().unwrap();
    assert!(time.len() == 26 && time.ends_with(" +0000") && time.as_bytes()[2] == b'/', "{time}");

    assert_eq!(decoded.path_parameters["user"], "auth0|b/c ü");
    assert_eq!(decoded.query_string_parameters.first("b"), Some("x y z"));
    assert_eq!(decoded.headers["x-twice"], "1,2");
    assert_eq!(decoded.body.as_deref(), Some("{\"ü\": 1}"));
    assert_eq!(decoded.request_context.http.method, "PUT");
    assert_eq!(decoded.request_context.authorizer.unwrap().jwt.unwrap().claims["sub"], "ada");
}

#[tokio::test]
async fn an_event_has_only_the_parts_that_the_request_has() {
    let server = Server::open().await;
    let (event, decoded) = server.event(server.request("GET", "/v1/me")).await;
    for absent in ["cookies", "queryStringParameters", "pathParameters", "body"] {
        assert_eq!(event.get(absent), None, "{absent}");
    }
    assert_eq!(event["rawQueryString"], "");
    assert_eq!(event["isBase64Encoded"], false);
    assert_eq!(event["headers"]["content-length"], "0");
    assert_eq!(event["requestContext"].get("authorizer"), None);
    assert!(decoded.body.is_none() && decoded.path_parameters.is_empty());
}

#[tokio::test]
async fn bodies_are_text_under_a_text_type_and_base64_otherwise() {
    let server = Server::open().await;
    for (content_type, body, expected, is_base64) in [
        (Some("text/plain"), b"hi".as_slice(), "hi", false),
        (Some("application/problem+json"), b"{}", "{}", false),
        (None, b"hi", "hi", false),
        (None, b"\xff", "/w==", true),
        (Some("application/json"), b"\xff", "/w==", true),
        (Some("application/octet-stream"), b"hi", "aGk=", true),
        (Some("application/x-www-form-urlencoded"), b"a=1", "YT0x", true),
    ] {
        let mut request = server.request("PUT", "/v1/me").body(body);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let (event, _) = server.event(request).await;
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&json!(expected), &json!(is_base64)),
            "{content_type:?}"
        );
    }
}

#[tokio::test]
async fn headers_that_are_not_ascii_reach_the_function() {
    let server = Server::open().await;
    let value = reqwest::header::HeaderValue::from_bytes(b"caf\xe9").unwrap();
    let (event, decoded) = server.event(server.request("GET", "/v1/me").header("x-name", value)).await;
    assert_eq!(event["headers"]["x-name"], "café");
    assert_eq!(decoded.headers["x-name"], "café".as_bytes());
}

#[tokio::test]
async fn the_functions_answer_goes_to_the_client() {
    let server = Server::open().await;
    let response = server.request("GET", "/v1/me").header("x-do", "answer").send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(header(&response, "location"), Some("/x"));
    // If the template has no CORS configuration, the function's CORS headers stay.
    assert_eq!(header(&response, "access-control-allow-origin"), Some("https://evil.example"));
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(response.bytes().await.unwrap().as_ref(), [0, 255]);
}

#[tokio::test]
async fn each_route_invokes_its_own_function() {
    let server = Server::open().await;
    for (method, path, expected) in
        [("GET", "/v1/me", "Me"), ("PUT", "/v1/users/x/follow", "Follow"), ("PATCH", "/files/a/b", "Files")]
    {
        let response = server.request(method, path).send().await.unwrap();
        assert_eq!(response.json::<Value>().await.unwrap()["function"], expected, "{method} {path}");
    }
}

#[tokio::test]
async fn a_function_url_passes_everything_to_its_function_and_checks_no_token() {
    let server = Server::function_url().await;
    for (method, path) in [("GET", "/v1/me"), ("PUT", "/v1/me"), ("DELETE", "/any/%20"), ("GET", "/"), ("GET", "")] {
        let request = server.request(method, path).bearer_auth("x").header("origin", "https://app.example");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{method} {path}");
        assert_eq!(header(&response, "access-control-allow-origin"), Some("https://app.example"));
        assert!(header(&response, "x-amzn-requestid").is_some() && header(&response, "apigw-requestid").is_none());
        let answer: Value = response.json().await.unwrap();
        let event = &answer["event"];
        assert_eq!(answer["function"], "Me");
        assert_eq!(
            (&event["routeKey"], &event["requestContext"]["routeKey"]),
            (&"$default".into(), &"$default".into())
        );
        assert_eq!(event["rawPath"], if path.is_empty() { "/" } else { path });
        assert_eq!((&event["requestContext"]["authorizer"], &event["pathParameters"]), (&Value::Null, &Value::Null));
        assert_eq!(event["headers"]["authorization"], "Bearer x");
    }
    // The development routes are at the API only.
    assert_eq!(
        server.request("POST", "/dev/token").send().await.unwrap().json::<Value>().await.unwrap()["function"],
        "Me"
    );
}
