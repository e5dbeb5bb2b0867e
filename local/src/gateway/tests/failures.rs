use std::time::Duration;

use super::{BODY_BYTES_MAX, Server, message};

#[tokio::test]
async fn a_request_without_a_route_is_not_found() {
    let server = Server::guarded().await;
    for (method, path) in
        [("GET", "/"), ("GET", "/v1/me/"), ("POST", "/v1/me"), ("GET", "/v1/users//follow"), ("GET", "/dev/x")]
    {
        let response = server.request(method, path).send().await.unwrap();
        assert_eq!(message(response).await, (404, "Not Found".to_owned()), "{method} {path}");
    }
    let response = server.request("PUT", "/v1/users/%FF/follow").send().await.unwrap();
    assert_eq!(message(response).await, (400, "Bad Request".to_owned()));
}

#[tokio::test]
async fn failures_of_functions_look_as_on_aws_and_reveal_nothing() {
    let server = Server::open().await;
    for (action, status, expected) in [
        ("fail", 500, "Internal Server Error"),
        ("crash", 500, "Internal Server Error"),
        ("time out", 500, "Internal Server Error"),
        ("be unavailable", 500, "Internal Server Error"),
        ("answer nonsense", 500, "Internal Server Error"),
        ("throttle", 503, "Service Unavailable"),
    ] {
        let response = server.request("GET", "/v1/me").header("x-do", action).send().await.unwrap();
        assert_eq!(message(response).await, (status, expected.to_owned()), "{action}");
    }
}

#[tokio::test]
async fn failures_at_a_function_url_have_other_statuses() {
    let server = Server::function_url().await;
    for (action, status) in [("fail", 502), ("crash", 502), ("time out", 502), ("throttle", 429)] {
        let response = server.request("GET", "/v1/me").header("x-do", action).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{action}");
    }
}

#[tokio::test]
async fn the_gateway_stops_waiting_for_a_slow_function_which_does_not_stop() {
    let server = Server::impatient().await;
    let response = server.request("GET", "/v1/me").header("x-do", "be slow").send().await.unwrap();
    assert_eq!(message(response).await, (503, "Service Unavailable".to_owned()));
    server.echo.release.notify_one();
    tokio::time::timeout(Duration::from_secs(10), server.echo.finished.notified()).await.unwrap();
}

#[tokio::test]
async fn bodies_beyond_the_limits_are_refused() {
    let server = Server::open().await;
    let send = |bytes: usize, content_type: &str| {
        server.request("PUT", "/v1/me").header("content-type", content_type).body(vec![b'x'; bytes]).send()
    };
    let too_large = (413, "Request Entity Too Large".to_owned());
    assert_eq!(message(send(BODY_BYTES_MAX + 1, "text/plain").await.unwrap()).await, too_large);
    // The body is below the gateway's limit, but the event around it is above Lambda's limit of 6 MiB.
    assert_eq!(message(send(6 * 1024 * 1024, "text/plain").await.unwrap()).await, too_large);
    assert_eq!(message(send(5 * 1024 * 1024, "image/png").await.unwrap()).await, too_large);
    assert_eq!(send(2 * 1024 * 1024, "text/plain").await.unwrap().status(), 200);
}
