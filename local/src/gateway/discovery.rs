//! Fetches the keys of another issuer, as OpenID Connect Discovery describes it: the document
//! `<issuer>/.well-known/openid-configuration` names the JWKS. Keys are kept for two hours, as HTTP APIs may keep them.
//! They are fetched again when a token names an unknown key, but not for every such token. The requests use the HTTP
//! client of the AWS SDK, which already has TLS.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{http::HttpConnector, orchestrator::HttpRequest};
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::Value;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::keys::KeySet;

/// How long fetched keys are used.
const KEEP: Duration = Duration::from_secs(2 * 60 * 60);
/// How long nothing is fetched after a failed fetch, or after a fetch because of an unknown key.
const PAUSE: Duration = Duration::from_secs(10);
/// The time limit for one document.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest document in bytes.
const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// The keys of the issuer with a certain URL.
pub(super) struct RemoteKeys {
    issuer: String,
    connector: Connector,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    keys: Option<Arc<KeySet>>,
    fetched: Option<Instant>,
    /// Nothing is fetched before this time.
    pause: Option<Instant>,
}

impl RemoteKeys {
    pub(super) fn new(issuer: &str) -> Self {
        let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build();
        Self { issuer: issuer.to_owned(), connector, cache: Mutex::default() }
    }

    /// The keys. They are fetched now if there are none, or if they are too old. `None` if they cannot be fetched.
    pub(super) async fn get(&self) -> Option<Arc<KeySet>> {
        let mut cache = self.cache.lock().await;
        if cache.fetched.is_none_or(|fetched| fetched.elapsed() >= KEEP) {
            self.refresh(&mut cache).await;
        }
        cache.keys.clone()
    }

    /// Other keys than `known`, which lacked one. They are fetched now, unless that was tried a moment ago. `None` if
    /// there are no others.
    pub(super) async fn newer_than(&self, known: &Arc<KeySet>) -> Option<Arc<KeySet>> {
        let mut cache = self.cache.lock().await;
        let is_known = |keys: &Arc<KeySet>| Arc::ptr_eq(keys, known);
        if cache.keys.as_ref().is_some_and(is_known) {
            self.refresh(&mut cache).await;
            cache.pause = Some(Instant::now() + PAUSE);
        }
        cache.keys.clone().filter(|keys| !is_known(keys))
    }

    async fn refresh(&self, cache: &mut Cache) {
        if cache.pause.is_some_and(|pause| Instant::now() < pause) {
            return;
        }
        match self.fetch().await {
            Ok(keys) => {
                cache.keys = Some(Arc::new(keys));
                cache.fetched = Some(Instant::now());
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer, "cannot fetch the issuer's keys: {error:#}");
                cache.pause = Some(Instant::now() + PAUSE);
            }
        }
    }

    async fn fetch(&self) -> anyhow::Result<KeySet> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let configuration = self.document(&url).await?;
        let jwks_uri = configuration.get("jwks_uri").and_then(Value::as_str);
        let jwks_uri = jwks_uri.with_context(|| format!("{url} has no jwks_uri"))?;
        KeySet::parse(&self.document(jwks_uri).await?).with_context(|| format!("{jwks_uri} is no JWKS"))
    }

    async fn document(&self, url: &str) -> anyhow::Result<Value> {
        timeout(FETCH_TIMEOUT, self.read(url))
            .await
            .context("timed out")
            .flatten()
            .with_context(|| format!("GET {url}"))
    }

    async fn read(&self, url: &str) -> anyhow::Result<Value> {
        let response = self.connector.call(HttpRequest::get(url)?).await?;
        ensure!(response.status().is_success(), "status {}", response.status().as_u16());
        let mut body = ByteStream::new(response.into_body());
        let mut json = Vec::new();
        while let Some(chunk) = body.try_next().await? {
            ensure!(json.len() + chunk.len() <= DOCUMENT_BYTES_MAX, "the document is too long");
            json.extend_from_slice(&chunk);
        }
        Ok(serde_json::from_slice(&json)?)
    }
}
