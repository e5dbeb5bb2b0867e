//! Tests of the gateway over HTTP. The function behind it does what the request tells it to do.

use std::{future::pending, sync::Arc, time::Duration};

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use axum::{Router, routing::get};
use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify};

use super::{BODY_BYTES_MAX, Gateway, INTEGRATION_TIMEOUT, LocalIssuer};
use crate::{
    invoke::{Invoke, InvokeError},
    template::model::{Cors, Function, FunctionUrl, HttpApi, JwtAuthorizer, Route},
};

mod access;
mod events;
mod failures;

/// Answers with the event itself, or does what the header `x-do` says.
#[derive(Clone, Default)]
struct Echo {
    /// Lets a slow function finish.
    release: Arc<Notify>,
    /// Sent when the slow function has finished.
    finished: Arc<Notify>,
}

impl Invoke for Echo {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        let event: Value = serde_json::from_slice(&payload).unwrap();
        let answer = match event["headers"]["x-do"].as_str().unwrap_or_default() {
            "fail" => return Err(InvokeError::Function(r#"{"errorMessage":"secret"}"#.to_owned())),
            "crash" => return Err(InvokeError::Crashed),
            "time out" => return Err(InvokeError::TimedOut(Duration::from_secs(10))),
            "throttle" => return Err(InvokeError::Throttled),
            "be unavailable" => return Err(InvokeError::Unavailable("no such binary".to_owned())),
            "answer nonsense" => json!({ "statusCode": 1 }),
            "be slow" => {
                self.release.notified().await;
                self.finished.notify_one();
                json!({ "statusCode": 204 })
            }
            "answer" => json!({
                "statusCode": 201,
                "headers": { "location": "/x", "access-control-allow-origin": "https://evil.example" },
                "cookies": ["a=1", "b=2"],
                "isBase64Encoded": true,
                "body": "AP8=",
            }),
            _ => json!({ "statusCode": 200, "body": json!({ "function": function, "event": event }).to_string() }),
        };
        Ok(Bytes::from(answer.to_string()))
    }
}

/// A gateway on its own port.
struct Server {
    url: String,
    client: Client,
    echo: Echo,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn function(name: &str, routes: &[(&str, &str)]) -> Function {
    let route = |(method, path): &(&str, &str)| Route { method: (*method).to_owned(), path: (*path).to_owned() };
    Function {
        physical_name: format!("tidings-{name}"),
        timeout: Duration::from_secs(10),
        routes: routes.iter().map(route).collect(),
        ..Function::named(name)
    }
}

fn cors() -> Cors {
    Cors {
        allow_origins: vec!["https://app.example".to_owned()],
        allow_methods: vec!["GET".to_owned(), "PUT".to_owned()],
        allow_headers: vec!["Authorization".to_owned()],
        expose_headers: vec!["Location".to_owned()],
        allow_credentials: false,
        max_age: Some(Duration::from_secs(60)),
    }
}

impl Server {
    /// A gateway without an authorizer.
    async fn open() -> Self {
        Self::start(None, false, INTEGRATION_TIMEOUT).await
    }

    /// A gateway without an authorizer that does not wait long for slow functions.
    async fn impatient() -> Self {
        Self::start(None, false, Duration::from_millis(50)).await
    }

    /// A gateway with an authorizer that accepts tokens of the stack's own issuer.
    async fn guarded() -> Self {
        Self::start(Some(cors()), true, INTEGRATION_TIMEOUT).await
    }

    async fn start(cors: Option<Cors>, guarded: bool, timeout: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let authorizer = guarded.then(|| JwtAuthorizer { issuer: url.clone(), audience: vec!["tidings".to_owned()] });
        Self::serve(listener, url, HttpApi { name: "api".to_owned(), cors, authorizer, throttle: None }, timeout)
    }

    fn serve(listener: TcpListener, url: String, api: HttpApi, timeout: Duration) -> Self {
        let issuer = LocalIssuer::open(None, &url).unwrap();
        let functions = [
            function("Me", &[("GET", "/v1/me"), ("PUT", "/v1/me")]),
            function("Follow", &[("PUT", "/v1/users/{user}/follow")]),
            function("Files", &[("ANY", "/files/{path+}")]),
        ];
        let dev = Router::new().route("/dev/more", get(async || "more"));
        let echo = Echo::default();
        let gateway = Gateway::with_timeout(&api, &functions, issuer, echo.clone(), dev, None, timeout).unwrap();
        let task = tokio::spawn(gateway.serve(listener, pending()));
        Self { url, client: Client::new(), echo, task }
    }

    /// The function URL of `Me`.
    async fn function_url() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, echo) = (format!("http://{}", listener.local_addr().unwrap()), Echo::default());
        let functions = [function("Follow", &[]), function("Me", &[("GET", "/v1/me")])];
        let of_me = FunctionUrl { function: "tidings-Me".to_owned(), cors: Some(cors()) };
        let gateway = Gateway::of_function(&of_me, &functions, echo.clone()).unwrap();
        let of_nothing = FunctionUrl { function: "Me".to_owned(), cors: None };
        assert!(Gateway::of_function(&of_nothing, &functions, echo.clone()).is_err());
        let task = tokio::spawn(gateway.serve(listener, pending()));
        Self { url, client: Client::new(), echo, task }
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", self.url))
    }

    async fn token(&self, user: &str) -> String {
        let response = self.request("POST", "/dev/token").json(&json!({ "user": user })).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned()
    }

    /// The event that the function received, as JSON and as the functions of this system decode it.
    async fn event(&self, request: RequestBuilder) -> (Value, ApiGatewayV2httpRequest) {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let event = response.json::<Value>().await.unwrap()["event"].take();
        let decoded = serde_json::from_value(event.clone()).unwrap();
        (event, decoded)
    }
}

/// The status and the gateway's message.
async fn message(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    assert!(header(&response, "apigw-requestid").is_some_and(|id| !id.is_empty()));
    (status, response.json::<Value>().await.unwrap()["message"].as_str().unwrap().to_owned())
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}
