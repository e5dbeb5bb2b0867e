//! A deployment: the physical names of its resources, and the ways to its functions, queues and tables.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, anyhow, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use clap::Args;
use http::StatusCode;
use serde_json::Value;
use tidings_local::{
    aws,
    remote::{Endpoint, resources},
};

/// How long the local stack may take to answer: as long as the function Audit may run, and a little more.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(190);
/// How long to wait before an invocation is tried again. Some commands run for hours, and a throttle passes in seconds.
const RETRIES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(500))
    .with_max_delay(Duration::from_secs(8))
    .with_max_times(5)
    .with_jitter();

/// The header that says that the function has failed (Lambda API Reference, "Invoke").
const FUNCTION_ERROR: &str = "x-amz-function-error";

/// Which deployment is meant.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// URL of a local stack [default: http://127.0.0.1:3000]
    #[arg(long, global = true, value_name = "URL", conflicts_with = "stack")]
    url: Option<String>,
    /// Name of a CloudFormation stack, with the credentials and the region of the environment
    #[arg(long, global = true, value_name = "NAME")]
    stack: Option<String>,
    /// URL of an endpoint with the stack, such as that of LocalStack [default: AWS_ENDPOINT_URL, or AWS itself]
    #[arg(long, global = true, value_name = "URL", requires = "stack")]
    endpoint: Option<String>,
}

/// Why an invocation has no result.
#[derive(Debug)]
enum Failure {
    /// The function was not invoked, because too many are.
    Throttled(anyhow::Error),
    /// Lambda fails or does not answer, so nobody knows whether the function has done something.
    Unanswered(anyhow::Error),
    /// The function has failed, or cannot be invoked like this. Another attempt would fail as well.
    Refused(anyhow::Error),
}

impl Failure {
    fn into_error(self) -> anyhow::Error {
        match self {
            Self::Throttled(error) | Self::Unanswered(error) | Self::Refused(error) => error,
        }
    }
}

/// A deployment that was found.
#[derive(Debug)]
pub(crate) struct Deployment {
    /// The physical names of functions, tables and queues by their logical ids. That of a queue is its URL.
    names: HashMap<String, String>,
    functions: Functions,
    /// SQS.
    pub(crate) sqs: aws_sdk_sqs::Client,
    /// DynamoDB.
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
}

/// How functions are invoked.
#[derive(Debug)]
enum Functions {
    /// By the local stack, by their logical ids.
    Local { client: reqwest::Client, url: String },
    /// By Lambda's API, by their physical names.
    Lambda(Endpoint),
}

impl Deployment {
    /// Finds the deployment.
    ///
    /// # Errors
    /// If there is no such deployment, or it cannot be reached.
    pub(crate) async fn open(target: &Target) -> anyhow::Result<Self> {
        match &target.stack {
            Some(stack) => {
                let variable = std::env::var("AWS_ENDPOINT_URL").ok().filter(|url| !url.is_empty());
                Self::open_stack(stack, target.endpoint.clone().or(variable).as_deref()).await
            }
            None => Self::open_local(target.url.as_deref().unwrap_or("http://127.0.0.1:3000")).await,
        }
    }

    async fn open_local(url: &str) -> anyhow::Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        let client = reqwest::Client::builder().timeout(LOCAL_TIMEOUT).build()?;
        let hint = "start one with `cargo run`, or name a stack with --stack";
        let answer = client.get(format!("{url}/dev/status")).send().await;
        let answer = answer.ok().filter(|answer| answer.status().is_success());
        let answer = answer.with_context(|| format!("there is no local stack at {url}: {hint}"))?;
        let status: Value = serde_json::from_slice(&answer.bytes().await?)?;
        let endpoint = |service: &str| {
            let url = status["endpoints"][service].as_str();
            url.map(str::to_owned).with_context(|| format!("the local stack does not tell where {service} is"))
        };
        let sqs = aws_sdk_sqs::Client::new(&aws::config(&endpoint("sqs")?));
        let dynamodb = aws_sdk_dynamodb::Client::new(&aws::config(&endpoint("dynamodb")?));
        let mut names = HashMap::new();
        for queue in status["queues"].as_array().into_iter().flatten().filter_map(|queue| queue["name"].as_str()) {
            let url = sqs.get_queue_url().queue_name(queue).send().await?.queue_url;
            names.insert(logical(queue), url.with_context(|| format!("the queue {queue} has no URL"))?);
        }
        let tables = dynamodb.list_tables().send().await?.table_names.unwrap_or_default();
        names.extend(tables.into_iter().map(|table| (logical(&table), table)));
        Ok(Self { names, functions: Functions::Local { client, url }, sqs, dynamodb })
    }

    async fn open_stack(stack: &str, endpoint: Option<&str>) -> anyhow::Result<Self> {
        let config = config(endpoint).await?;
        let region = config.region().map_or(aws::REGION, Region::as_ref).to_owned();
        let provider = config.credentials_provider().context("there are no AWS credentials")?;
        let service = |name: &str| {
            let url = endpoint.map_or_else(|| format!("https://{name}.{region}.amazonaws.com"), str::to_owned);
            Endpoint::new(&url, &region, provider.clone())
        };
        let cloudformation = service("cloudformation");
        let found = resources::of_stack(&cloudformation, stack).await?;
        let mut names: HashMap<_, _> = found.into_iter().map(|(id, resource)| (id, resource.name)).collect();
        // The stack keeps its own table of commands, also while functions use another one.
        let other = resources::parameter(&cloudformation, stack, "CommandsTable").await?;
        names.extend(other.filter(|name| !name.is_empty()).map(|name| ("Commands".to_owned(), name)));
        let (sqs, dynamodb) = (aws_sdk_sqs::Client::new(&config), aws_sdk_dynamodb::Client::new(&config));
        Ok(Self { names, functions: Functions::Lambda(service("lambda")), sqs, dynamodb })
    }

    /// The physical name of a resource.
    ///
    /// # Errors
    /// If the deployment has no such resource.
    pub(crate) fn name(&self, logical: &str) -> anyhow::Result<&str> {
        let name = self.names.get(logical).map(String::as_str);
        name.with_context(|| format!("the deployment has no {logical}; deploy this release first"))
    }

    /// Invokes a function, and returns its answer. The function does its work once at most.
    ///
    /// # Errors
    /// If the function cannot be reached, or answers with an error.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> anyhow::Result<Value> {
        let attempt = || self.attempt(function, event);
        let answer = attempt.retry(RETRIES).when(|failure| matches!(failure, Failure::Throttled(_))).await;
        answer.map_err(Failure::into_error)
    }

    /// As [`Self::invoke`], for an event that changes nothing: the function may be invoked several times.
    ///
    /// # Errors
    /// As [`Self::invoke`].
    pub(crate) async fn ask(&self, function: &str, event: &Value) -> anyhow::Result<Value> {
        let attempt = || self.attempt(function, event);
        let answer = attempt.retry(RETRIES).when(|failure| !matches!(failure, Failure::Refused(_))).await;
        answer.map_err(Failure::into_error)
    }

    async fn attempt(&self, function: &str, event: &Value) -> Result<Value, Failure> {
        let (status, failed, body) = self.post(function, event).await?;
        outcome(function, status, failed, &body)
    }

    /// Posts the event. Returns the status, whether the function has failed, and the body.
    async fn post(&self, function: &str, event: &Value) -> Result<(StatusCode, bool, Bytes), Failure> {
        let payload = Bytes::from(event.to_string());
        match &self.functions {
            Functions::Local { client, url } => {
                let path = format!("{url}/2015-03-31/functions/{function}/invocations");
                let unanswered = |error: reqwest::Error| {
                    Failure::Unanswered(anyhow::Error::new(error).context("the local stack does not answer"))
                };
                let answer = client.post(path).body(payload).send().await.map_err(unanswered)?;
                let (status, failed) = (answer.status(), answer.headers().contains_key(FUNCTION_ERROR));
                Ok((status, failed, answer.bytes().await.map_err(unanswered)?))
            }
            Functions::Lambda(endpoint) => {
                let name = self.name(function).map_err(Failure::Refused)?;
                let path = format!("/2015-03-31/functions/{name}/invocations");
                let answer = endpoint.post("lambda", &path, "application/json", payload).await;
                let (status, headers, body) = answer.map_err(Failure::Unanswered)?;
                Ok((status, headers.contains_key(FUNCTION_ERROR), body))
            }
        }
    }
}

/// What an answer of Lambda means.
fn outcome(function: &str, status: StatusCode, failed: bool, body: &[u8]) -> Result<Value, Failure> {
    // One line, whatever the answer is.
    let text = || String::from_utf8_lossy(body).split_whitespace().collect::<Vec<_>>().join(" ");
    if failed {
        let error: Value = serde_json::from_slice(body).unwrap_or_default();
        let message = error["errorMessage"].as_str().unwrap_or("the function failed; look at its log");
        return Err(Failure::Refused(anyhow!("{message}")));
    }
    let error = || anyhow!("{function} cannot be invoked: {status}: {}", text());
    match status {
        StatusCode::OK => serde_json::from_slice(body)
            .with_context(|| format!("{function} answers no JSON: {}", text()))
            .map_err(Failure::Refused),
        StatusCode::TOO_MANY_REQUESTS => Err(Failure::Throttled(error())),
        _ if status.is_server_error() => Err(Failure::Unanswered(error())),
        _ => Err(Failure::Refused(error())),
    }
}

/// The configuration of the SDKs. An endpoint of one's own gets test credentials unless there are others.
async fn config(endpoint: Option<&str>) -> anyhow::Result<SdkConfig> {
    let client = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(client);
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
        if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() && std::env::var_os("AWS_PROFILE").is_none() {
            let test = aws::TEST_CREDENTIAL;
            loader = loader.credentials_provider(Credentials::new(test, test, None, None, "admin"));
        }
        if std::env::var_os("AWS_REGION").is_none() && std::env::var_os("AWS_DEFAULT_REGION").is_none() {
            loader = loader.region(Region::from_static(aws::REGION));
        }
    }
    let config = loader.load().await;
    ensure!(config.region().is_some(), "no AWS region is configured; set AWS_REGION");
    Ok(config)
}

/// The logical id in a physical name of the local stack: `tidings-Commands`.
fn logical(name: &str) -> String {
    name.rsplit_once('-').map_or(name, |(_, logical)| logical).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_another_attempt_may_change_is_tried_again() {
        let of = |status, failed, body: &str| outcome("Rebuild", status, failed, body.as_bytes());
        assert_eq!(of(StatusCode::OK, false, r#"{"active":"aaa"}"#).unwrap(), json!({ "active": "aaa" }));
        assert!(matches!(of(StatusCode::TOO_MANY_REQUESTS, false, "{}"), Err(Failure::Throttled(_))));
        assert!(matches!(of(StatusCode::BAD_GATEWAY, false, ""), Err(Failure::Unanswered(_))));
        for (status, failed, body, error) in [
            (StatusCode::OK, true, r#"{"errorMessage":"no such user"}"#, "no such user"),
            (StatusCode::OK, false, "no\nJSON", "Rebuild answers no JSON: no JSON"),
            (StatusCode::FORBIDDEN, false, "{\n}", "Rebuild cannot be invoked: 403 Forbidden: { }"),
        ] {
            let Err(Failure::Refused(refused)) = of(status, failed, body) else { panic!("{body} is tried again") };
            assert_eq!(refused.to_string(), error);
        }
    }
}
