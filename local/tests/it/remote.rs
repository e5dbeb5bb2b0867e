//! The gateway alone, in front of an endpoint that lists a stack's functions and runs them.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tidings_local::{
    invoke::{Invoke, InvokeError},
    lambda::invoke_api,
    remote::{Endpoint, Options, RemoteGateway},
    template::{self, Addresses, Values, model::Function},
};

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml");

/// Answers with the function's name, or fails if the caller asks for that.
#[derive(Clone)]
struct Named;

impl Invoke for Named {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        let event: Value = serde_json::from_slice(&payload).unwrap();
        match event["queryStringParameters"]["do"].as_str() {
            Some("fail") => Err(InvokeError::Function("{}".into())),
            Some("throttle") => Err(InvokeError::Throttled),
            _ => Ok(json!({ "statusCode": 200, "body": function }).to_string().into()),
        }
    }
}

fn functions() -> Vec<Function> {
    let given = [("JwtIssuer", "http://x"), ("CursorKey", "0123456789abcdef0123456789abcdef")];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let addresses = Addresses { sqs: "http://x".into(), api: "http://x".into(), function_url: "http://x".into() };
    let values = Values { given, supplied: BTreeMap::new() };
    template::load(Path::new(TEMPLATE), values, addresses).unwrap().functions
}

/// The id of the nested stack.
const NESTED: &str = "arn:aws:cloudformation:us-east-1:000000000000:stack/tidings-Inner/1";

/// An endpoint whose stack has `functions`, one on each page. The first one is in a nested stack instead.
async fn endpoint(functions: Vec<Function>) -> String {
    let listed = functions.clone();
    let list = async move |headers: HeaderMap, form: String| {
        let signature = headers["authorization"].to_str().unwrap();
        assert!(signature.contains("/us-east-1/cloudformation/aws4_request"), "{signature}");
        let form = reqwest::Url::parse(&format!("http://x/?{form}")).unwrap();
        let form: HashMap<_, _> = form.query_pairs().into_owned().collect();
        assert_eq!((form["Action"].as_str(), form["Version"].as_str()), ("ListStackResources", "2010-05-15"));
        let page: usize = form.get("NextToken").map_or(0, |token| token.parse().unwrap());
        let Function { name, physical_name, .. } = &listed[page];
        let (pages, name, physical_name, kind) = match (form["StackName"].as_str(), page) {
            ("tidings", 0) => (listed.len(), "Inner", NESTED, "CloudFormation::Stack"),
            ("tidings", _) => (listed.len(), name.as_str(), physical_name.as_str(), "Lambda::Function"),
            (NESTED, _) => (1, name.as_str(), physical_name.as_str(), "Lambda::Function"),
            _ => return (StatusCode::BAD_REQUEST, "there is no such stack".to_owned()),
        };
        let next = if page + 1 < pages { format!("<NextToken>{}</NextToken>", page + 1) } else { String::new() };
        let xml = format!(
            "<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries><member>
             <LogicalResourceId>{name}</LogicalResourceId><PhysicalResourceId>{physical_name}</PhysicalResourceId>
             <ResourceType>AWS::{kind}</ResourceType></member></StackResourceSummaries>{next}
             </ListStackResourcesResult></ListStackResourcesResponse>"
        );
        (StatusCode::OK, xml)
    };
    // The endpoint knows only physical names.
    let called = functions.into_iter().map(|f| Function { name: f.physical_name.clone(), ..f }).collect::<Vec<_>>();
    let router = Router::new().route("/", post(list)).merge(invoke_api::router(&called, Named));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn open(endpoint: &str, stack: &str) -> anyhow::Result<RemoteGateway> {
    RemoteGateway::open(Options {
        template: TEMPLATE.into(),
        port: 0,
        parameters: BTreeMap::new(),
        endpoint: Endpoint::from_env(endpoint)?,
        stack: stack.into(),
    })
    .await
}

#[tokio::test]
async fn requests_reach_the_functions_of_the_stack() {
    let gateway = open(&endpoint(functions()).await, "tidings").await.unwrap();
    let url = gateway.url().to_owned();
    tokio::spawn(gateway.serve(std::future::pending()));
    let client = reqwest::Client::new();
    let token = client.post(format!("{url}/dev/token")).json(&json!({ "user": "ada" })).send().await.unwrap();
    let token = token.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    let get = |path: &str| client.get(format!("{url}{path}")).bearer_auth(&token).send();

    assert_eq!(client.get(format!("{url}/v1/me")).send().await.unwrap().status(), 401);
    assert_eq!(get("/v1/me").await.unwrap().text().await.unwrap(), "tidings-GetProfile");
    assert_eq!(get("/v1/feeds/home").await.unwrap().text().await.unwrap(), "tidings-GetFeed");
    assert_eq!(get("/v1/me?do=fail").await.unwrap().status(), 500);
    assert_eq!(get("/v1/me?do=throttle").await.unwrap().status(), 503);
    assert_eq!(get("/openapi.yaml").await.unwrap().status(), 200);
}

#[tokio::test]
async fn functions_missing_in_the_stack_are_named() {
    let mut functions = functions();
    let without = functions.pop().unwrap().name;
    let url = endpoint(functions).await;
    let error = open(&url, "tidings").await.err().unwrap();
    assert_eq!(error.to_string(), format!("the stack tidings has no function {without}; deploy it again"));
    let error = open(&url, "other").await.err().unwrap();
    assert!(error.to_string().contains("the stack other: 400 Bad Request: there is no such stack"), "{error}");
    let error = open("127.0.0.1:4566", "tidings").await.err().unwrap();
    assert!(error.to_string().starts_with("127.0.0.1:4566 is no"), "{error}");
}
