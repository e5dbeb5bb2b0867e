//! Only the HTTP API, for endpoints that run functions but have no HTTP API, such as the free LocalStack. This is the
//! gateway of the local stack in front of functions that CloudFormation deployed. It calls them through Lambda's Invoke
//! API, and passes on invocations of administrators, too. Anybody on this machine can get a token for any user, as on
//! the local stack, so the endpoint must not hold data of value.

mod endpoint;
pub mod resources;

use std::{
    collections::{BTreeMap, HashMap},
    net::TcpListener,
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

pub use endpoint::Endpoint;

use crate::{
    gateway::{self, Gateway, LocalIssuer},
    invoke::{Invoke, InvokeError},
    lambda::invoke_api,
    stack::{bind, directory_of},
    template::{self, Addresses, Values},
};

/// The template requires a cursor key. The gateway does not use it: only the functions sign cursors, with their own
/// key.
const NO_CURSOR_KEY: &str = "the functions have a key of their own";

/// The settings of a gateway.
#[derive(Debug, Clone)]
pub struct Options {
    /// The template's file.
    pub template: PathBuf,
    /// The port of the HTTP API on 127.0.0.1, or 0 for any free port.
    pub port: u16,
    /// Values of template parameters.
    pub parameters: BTreeMap<String, String>,
    /// The endpoint that runs the functions.
    pub endpoint: Endpoint,
    /// The CloudFormation stack with the functions.
    pub stack: String,
}

/// A gateway that is ready to serve.
pub struct RemoteGateway {
    url: String,
    listener: TcpListener,
    gateway: Gateway,
}

impl RemoteGateway {
    /// Reads the template, and asks the endpoint for the physical names of the functions.
    ///
    /// # Errors
    /// If the port cannot be opened, the endpoint cannot be reached, or its stack lacks a function of the template.
    pub async fn open(options: Options) -> anyhow::Result<Self> {
        let (listener, url) = bind(options.port)?;
        let supplied =
            BTreeMap::from([("JwtIssuer".to_owned(), url.clone()), ("CursorKey".to_owned(), NO_CURSOR_KEY.to_owned())]);
        let values = Values { given: options.parameters, supplied };
        let addresses =
            Addresses { sqs: options.endpoint.url().to_owned(), api: url.clone(), function_url: url.clone() };
        let system = template::load(&options.template, values, addresses)?;
        let api = system
            .api
            .as_ref()
            .context("the template has no AWS::Serverless::HttpApi, so there is nothing to serve")?;
        let resources = resources::of_stack(&options.endpoint, &options.stack).await?;
        let functions = resources.into_iter().filter(|(_, resource)| resource.kind == "AWS::Lambda::Function");
        let names: HashMap<_, _> = functions.map(|(id, resource)| (id, resource.name)).collect();
        if let Some(missing) = system.functions.iter().find(|function| !names.contains_key(&function.name)) {
            bail!("the stack {} has no function {}; deploy it again", options.stack, missing.name);
        }
        let issuer = LocalIssuer::open(None, &url)?;
        let invoker = RemoteLambda { inner: Arc::new(Inner { endpoint: options.endpoint, names }) };
        let invoke_api = invoke_api::router(&system.functions, invoker.clone());
        let directory = directory_of(&options.template);
        let own_routes = gateway::docs::router(&directory)?.merge(gateway::console::router(&directory));
        let own_routes = own_routes.merge(invoke_api);
        let gateway = Gateway::new(api, &system.functions, issuer, invoker, own_routes, None)?;
        Ok(Self { url, listener, gateway })
    }

    /// The URL of the HTTP API, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves until `shutdown` completes.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        self.gateway.serve(tokio::net::TcpListener::from_std(self.listener)?, shutdown).await;
        Ok(())
    }
}

/// The functions that an endpoint runs, by their logical ids.
#[derive(Clone)]
pub struct RemoteLambda {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    /// The physical names by the logical ids.
    names: HashMap<String, String>,
}

impl Invoke for RemoteLambda {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        let Inner { endpoint, names } = &*self.inner;
        let name =
            names.get(function).ok_or_else(|| InvokeError::Unavailable(format!("there is no function {function}")))?;
        let path = format!("/2015-03-31/functions/{name}/invocations");
        let (status, headers, body) = endpoint
            .post("lambda", &path, "application/json", payload)
            .await
            .map_err(|error| InvokeError::Unavailable(format!("{error:#}")))?;
        outcome(status, &headers, body)
    }
}

fn outcome(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Result<Bytes, InvokeError> {
    let text = |body: Bytes| String::from_utf8_lossy(&body).into_owned();
    match status {
        StatusCode::OK if headers.contains_key("x-amz-function-error") => Err(InvokeError::Function(text(body))),
        StatusCode::OK => Ok(body),
        StatusCode::TOO_MANY_REQUESTS => Err(InvokeError::Throttled),
        _ => Err(InvokeError::Unavailable(format!("{status}: {}", text(body)))),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn each_answer_of_lambda_becomes_the_right_error() {
        let failed = HeaderMap::from_iter([(
            http::header::HeaderName::from_static("x-amz-function-error"),
            HeaderValue::from_static("Unhandled"),
        )]);
        let none = HeaderMap::new();
        let body = Bytes::from_static(b"{}");
        assert_eq!(outcome(StatusCode::OK, &none, body.clone()), Ok(body.clone()));
        assert_eq!(outcome(StatusCode::OK, &failed, body.clone()), Err(InvokeError::Function("{}".into())));
        assert_eq!(outcome(StatusCode::TOO_MANY_REQUESTS, &none, body.clone()), Err(InvokeError::Throttled));
        let unavailable = InvokeError::Unavailable("404 Not Found: {}".into());
        assert_eq!(outcome(StatusCode::NOT_FOUND, &none, body), Err(unavailable));
    }
}
