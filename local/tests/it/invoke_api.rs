//! Lambda's Invoke API over HTTP, with a real function behind it.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tidings_local::{
    lambda::{FunctionSpec, Lambda, PAYLOAD_BYTES_MAX, invoke_api},
    metrics::Metrics,
    template::model::Function,
};

use crate::support::scripted_function;

struct Api {
    url: String,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Api {
    async fn start() -> Self {
        let timeout = Duration::from_secs(1);
        let spec = FunctionSpec {
            name: "Scripted".into(),
            program: scripted_function(),
            environment: BTreeMap::new(),
            timeout,
            memory_mib: 128,
            max_concurrency: 1,
            allows_recursion: false,
        };
        let lambda = Lambda::start(vec![spec], Metrics::default()).await.unwrap();
        let function = Function { physical_name: "tidings-Scripted".into(), timeout, ..Function::named("Scripted") };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = invoke_api::router(&[function], lambda);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, server }
    }

    fn request(&self, function: &str) -> RequestBuilder {
        Client::new().post(format!("{}/2015-03-31/functions/{function}/invocations", self.url))
    }

    async fn invoke(&self, function: &str, event: Value) -> Response {
        self.request(function).json(&event).send().await.unwrap()
    }
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

async fn refused(response: Response) -> (u16, String) {
    let error = header(&response, "x-amzn-errortype").unwrap().to_owned();
    let status = response.status().as_u16();
    assert!(response.json::<Value>().await.unwrap()["Message"].is_string());
    (status, error)
}

#[tokio::test]
async fn a_function_is_called_by_each_of_its_names() {
    let api = Api::start().await;
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:tidings-Scripted";
    for name in ["Scripted", "tidings-Scripted", arn, &arn.replace(':', "%3A")] {
        let event = json!({ "do": "echo", "name": name });
        let response = api.invoke(name, event.clone()).await;
        assert_eq!((response.status().as_u16(), header(&response, "x-amz-function-error")), (200, None), "{name}");
        assert_eq!(response.json::<Value>().await.unwrap(), event);
    }
    let response = api.invoke("Nobody", json!({})).await;
    assert_eq!(refused(response).await, (404, "ResourceNotFoundException".into()));
}

#[tokio::test]
async fn a_failed_function_is_a_200_with_an_error_header() {
    let api = Api::start().await;
    for (event, error_type) in [
        (json!({ "do": "error" }), None),
        (json!({ "do": "crash" }), Some("Runtime.ExitError")),
        (json!({ "do": "sleep", "ms": 60_000 }), Some("Sandbox.Timedout")),
    ] {
        let response = api.invoke("Scripted", event.clone()).await;
        assert_eq!((response.status().as_u16(), header(&response, "x-amz-function-error")), (200, Some("Unhandled")));
        let document: Value = response.json().await.unwrap();
        assert!(document["errorMessage"].is_string(), "{event}: {document}");
        assert!(error_type.is_none_or(|expected| document["errorType"] == expected), "{event}: {document}");
    }
}

#[tokio::test]
async fn requests_that_lambda_refuses_are_refused() {
    let api = Api::start().await;
    let large = api.request("Scripted").body(vec![b' '; PAYLOAD_BYTES_MAX + 1]).send().await.unwrap();
    assert_eq!(refused(large).await, (413, "RequestTooLargeException".into()));
    let nonsense = api.request("Scripted").body("nonsense").send().await.unwrap();
    assert_eq!(refused(nonsense).await, (400, "InvalidRequestContentException".into()));
    let later = api.request("Scripted").header("x-amz-invocation-type", "Event").send().await.unwrap();
    assert_eq!(refused(later).await, (400, "InvalidParameterValueException".into()));
    let dry = api.request("Scripted").header("x-amz-invocation-type", "DryRun").send().await.unwrap();
    assert_eq!((dry.status().as_u16(), dry.text().await.unwrap().as_str()), (204, ""));
    // A request without a payload is an empty event, which this function does not understand.
    let empty = api.request("Scripted").send().await.unwrap();
    assert_eq!(header(&empty, "x-amz-function-error"), Some("Unhandled"));
}
