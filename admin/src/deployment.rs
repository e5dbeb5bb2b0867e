//! A deployment: the physical names of its resources, and the ways to its functions, queues and tables.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, bail, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
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
        let credentials = provider
            .provide_credentials()
            .await
            .context("there are no AWS credentials; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")?;
        let service = |name: &str| {
            let url = endpoint.map_or_else(|| format!("https://{name}.{region}.amazonaws.com"), str::to_owned);
            Endpoint::new(&url, &region, credentials.clone())
        };
        let found = resources::of_stack(&service("cloudformation"), stack).await?;
        let names = found.into_iter().map(|(id, resource)| (id, resource.name)).collect();
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

    /// Invokes a function, and returns its answer.
    ///
    /// # Errors
    /// If the function cannot be reached, or answers with an error.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> anyhow::Result<Value> {
        let payload = Bytes::from(event.to_string());
        let (status, failed, body) = match &self.functions {
            Functions::Local { client, url } => {
                let path = format!("{url}/2015-03-31/functions/{function}/invocations");
                let answer = client.post(path).body(payload).send().await.context("the local stack does not answer")?;
                let failed = answer.headers().contains_key("x-amz-function-error");
                (answer.status(), failed, answer.bytes().await?)
            }
            Functions::Lambda(endpoint) => {
                let path = format!("/2015-03-31/functions/{}/invocations", self.name(function)?);
                let (status, headers, body) = endpoint.post("lambda", &path, "application/json", payload).await?;
                (status, headers.contains_key("x-amz-function-error"), body)
            }
        };
        if failed {
            let error: Value = serde_json::from_slice(&body).unwrap_or_default();
            bail!("{}", error["errorMessage"].as_str().unwrap_or("the function failed; look at its log"));
        }
        let text = || String::from_utf8_lossy(&body).into_owned();
        ensure!(status == StatusCode::OK, "{function} cannot be invoked: {status}: {}", text());
        serde_json::from_slice(&body).with_context(|| format!("{function} answers no JSON: {}", text()))
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
