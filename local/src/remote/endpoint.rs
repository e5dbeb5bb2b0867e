//! Signed requests to an endpoint that speaks AWS's protocols. The SDK crates for Lambda and CloudFormation have
//! hundreds of operations to compile, and this program needs two. Signatures, TLS and connections come from the SDK.

use std::env;

use anyhow::{Context, ensure};
use aws_credential_types::Credentials;
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

use crate::aws;

/// The longest answer, in bytes: Lambda's quota, and some room for the envelope.
const ANSWER_BYTES_MAX: usize = 7 * 1024 * 1024;

/// One URL for all services, and the credentials. Clones share connections.
#[derive(Debug, Clone)]
pub struct Endpoint {
    url: String,
    region: String,
    credentials: Credentials,
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
        Ok(Self::new(url, &region.unwrap_or_else(|| aws::REGION.to_owned()), credentials))
    }

    /// The endpoint at `url` in a region, with these credentials.
    pub fn new(url: &str, region: &str, credentials: Credentials) -> Self {
        let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build();
        Self {
            url: url.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
            credentials,
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
    /// If there is no answer, or the answer is too long.
    pub async fn post(
        &self,
        service: &str,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, HeaderMap, Bytes)> {
        let uri = format!("{}{path}", self.url);
        let request = self.signed(service, &uri, content_type, body)?;
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

    fn signed(&self, service: &str, uri: &str, content_type: &str, body: Bytes) -> anyhow::Result<HttpRequest> {
        let identity = self.credentials.clone().into();
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
