//! Signed requests to an endpoint that speaks AWS's protocols. The SDK crates for Lambda and CloudFormation have
//! hundreds of operations to compile, and this program needs two. Signatures, TLS and connections come from the SDK.

use std::{
    env,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, ensure};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, Uri, header};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use crate::aws;

/// The longest answer, in bytes: Lambda's quota, and some room for the envelope.
const ANSWER_BYTES_MAX: usize = 7 * 1024 * 1024;
/// Credentials that expire within this time are not used any more: a request may be on its way for a while.
const VALID_MIN: Duration = Duration::from_secs(60);

/// One URL for all services, and the credentials. Clones share connections.
#[derive(Debug, Clone)]
pub struct Endpoint {
    url: String,
    region: String,
    /// Where credentials come from. Those of a role expire after an hour or so, and some commands run for longer.
    provider: SharedCredentialsProvider,
    /// The credentials of the latest request: to ask for new ones may be a request of its own.
    latest: Arc<Mutex<Option<Credentials>>>,
    connector: SharedHttpConnector,
}

impl Endpoint {
    /// The endpoint at `url`. Requests use the credentials and the region of the environment (`AWS_ACCESS_KEY_ID` and
    /// so on). Without them, requests use test credentials, which LocalStack accepts.
    ///
    /// # Errors
    /// If `url` is not a URL.
    pub fn from_env(url: &str) -> anyhow::Result<Self> {
        let parsed: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
        ensure!(parsed.scheme().is_some() && parsed.host().is_some(), "{url} is not a URL like http://127.0.0.1:4566");
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let key = |name| variable(name).unwrap_or_else(|| aws::TEST_CREDENTIAL.to_owned());
        let credentials = Credentials::new(
            key("AWS_ACCESS_KEY_ID"),
            key("AWS_SECRET_ACCESS_KEY"),
            variable("AWS_SESSION_TOKEN"),
            None,
            "environment",
        );
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
        let provider = SharedCredentialsProvider::new(credentials);
        Ok(Self::new(url, &region.unwrap_or_else(|| aws::REGION.to_owned()), provider))
    }

    /// The endpoint at `url` in a region, with credentials from this provider.
    pub fn new(url: &str, region: &str, provider: SharedCredentialsProvider) -> Self {
        let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build();
        Self {
            url: url.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
            provider,
            latest: Arc::default(),
            connector: SharedHttpConnector::new(connector),
        }
    }

    /// The URL, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Posts `body` to `path` of a service. Returns the status and the body of the answer, whatever the status is.
    ///
    /// # Errors
    /// If there are no credentials, if there is no answer, or if the answer is too long.
    pub async fn post(
        &self,
        service: &str,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, HeaderMap, Bytes)> {
        let uri = format!("{}{path}", self.url);
        let request = self.signed(self.credentials().await?, service, &uri, content_type, body)?;
        let response = self.connector.call(request).await.with_context(|| format!("cannot reach {}", self.url))?;
        let response = response.try_into_http1x()?;
        let (parts, body) = response.into_parts();
        let mut stream = ByteStream::new(body);
        let mut whole = BytesMut::new();
        while let Some(chunk) = stream.try_next().await? {
            ensure!(whole.len() + chunk.len() <= ANSWER_BYTES_MAX, "the answer of {uri} is too long");
            whole.extend_from_slice(&chunk);
        }
        Ok((parts.status, parts.headers, whole.freeze()))
    }

    /// Credentials that do not expire soon.
    async fn credentials(&self) -> anyhow::Result<Credentials> {
        let mut latest = self.latest.lock().await;
        let soon = SystemTime::from(OffsetDateTime::now_utc() + VALID_MIN);
        if let Some(valid) = latest.as_ref().filter(|it| it.expiry().is_none_or(|expiry| expiry > soon)) {
            return Ok(valid.clone());
        }
        let provided = self.provider.provide_credentials().await;
        let provided = provided
            .context("there are no AWS credentials; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")?;
        *latest = Some(provided.clone());
        Ok(provided)
    }

    fn signed(
        &self,
        credentials: Credentials,
        service: &str,
        uri: &str,
        content_type: &str,
        body: Bytes,
    ) -> anyhow::Result<HttpRequest> {
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(OffsetDateTime::now_utc().into())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = [("content-type", content_type)];
        let signable = SignableRequest::new("POST", uri, headers.into_iter(), SignableBody::Bytes(&body))?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        let mut request = Request::post(uri).header(header::CONTENT_TYPE, content_type).body(SdkBody::from(body))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request.try_into()?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_credential_types::provider::future;

    use super::*;

    /// Provides credentials with the keys 0, 1 and so on.
    #[derive(Debug)]
    struct Numbered {
        provided: AtomicU32,
        valid: Duration,
    }

    impl ProvideCredentials for Numbered {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let key = self.provided.fetch_add(1, Ordering::Relaxed).to_string();
            let expiry = SystemTime::from(OffsetDateTime::now_utc() + self.valid);
            future::ProvideCredentials::ready(Ok(Credentials::new(key, "secret", None, Some(expiry), "test")))
        }
    }

    #[tokio::test]
    async fn credentials_are_asked_for_again_before_they_expire() {
        for (valid, second_key) in [(VALID_MIN * 2, "0"), (VALID_MIN / 2, "1")] {
            let provider = SharedCredentialsProvider::new(Numbered { provided: AtomicU32::new(0), valid });
            let endpoint = Endpoint::new("http://127.0.0.1:1", aws::REGION, provider);
            assert_eq!(endpoint.credentials().await.unwrap().access_key_id(), "0");
            assert_eq!(endpoint.clone().credentials().await.unwrap().access_key_id(), second_key);
        }
    }
}
