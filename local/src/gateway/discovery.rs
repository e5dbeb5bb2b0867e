//! Keys of an issuer elsewhere, found as OpenID Connect Discovery says: `<issuer>/.well-known/openid-configuration` names
//! the JWKS. They are kept for two hours, as HTTP APIs may keep them, and fetched anew when a token names a key that is
//! not among them, though not for every such token. The issuer is fetched from over the HTTP client of the AWS SDK, which
//! brings TLS along.

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

/// How long keys are good without asking again.
const KEEP: Duration = Duration::from_secs(2 * 60 * 60);
/// Time after a fetch that failed, or that an unknown key caused, in which there is no other.
const PAUSE: Duration = Duration::from_secs(10);
/// Time for one document.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of one document.
const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// The keys of the issuer with a URL.
pub(super) struct RemoteKeys {
    issuer: String,
    connector: Connector,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    keys: Option<Arc<KeySet>>,
    fetched: Option<Instant>,
    /// Until when nothing is fetched, whoever asks.
    pause: Option<Instant>,
}

impl RemoteKeys {
    pub(super) fn new(issuer: &str) -> Self {
        let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build();
        Self { issuer: issuer.to_owned(), connector, cache: Mutex::default() }
    }

    /// The keys as last fetched, or fetched now if there are none, or they are old. None if they cannot be had.
    pub(super) async fn get(&self) -> Option<Arc<KeySet>> {
        let mut cache = self.cache.lock().await;
        if cache.fetched.is_none_or(|fetched| fetched.elapsed() >= KEEP) {
            self.refresh(&mut cache).await;
        }
        cache.keys.clone()
    }

    /// Keys that are not `known`, in which one was missing; fetched now, unless that was tried a moment ago. None if there
    /// are no others.
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
        let jwks_uri = jwks_uri.with_context(|| format!("{url} names no jwks_uri"))?;
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
