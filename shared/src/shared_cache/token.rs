//! Tokens by which IAM authenticates a connection to ElastiCache: a presigned request, in place of a password. A token
//! is good for 15 minutes and needed only to connect (ElastiCache User Guide, "Authenticating with IAM").

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use url::Url;

use crate::model::Timestamp;

/// For how long a token is good: as long as IAM allows.
const GOOD_FOR: Duration = Duration::from_secs(15 * 60);

/// A token for this user of this serverless cache.
///
/// # Errors
/// If there are no credentials, or no region is configured.
pub(super) async fn token(config: &SdkConfig, cache: &str, user: &str, now: Timestamp) -> anyhow::Result<String> {
    let provider = config.credentials_provider().context("there are no credentials")?;
    let identity = provider.provide_credentials().await.context("reading credentials")?.into();
    let region = config.region().context("there is no region")?.to_string();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(GOOD_FOR);
    let signing = v4::SigningParams::builder()
        .identity(&identity)
        .region(&region)
        .name("elasticache")
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(now.as_ms()))
        .settings(settings)
        .build()?
        .into();
    let mut url = Url::parse(&format!("http://{cache}/")).context("the name of the cache")?;
    url.query_pairs_mut().extend_pairs([("Action", "connect"), ("User", user), ("ResourceType", "ServerlessCache")]);
    let request = SignableRequest::new("GET", url.as_str(), std::iter::empty(), SignableBody::Bytes(&[]))?;
    let (instructions, _) = sign(request, &signing)?.into_parts();
    url.query_pairs_mut().extend_pairs(instructions.params().iter().map(|(name, value)| (*name, value.as_ref())));
    // The token is the URL without its scheme.
    Ok(url.as_str().trim_start_matches("http://").to_owned())
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};

    use super::*;
    use crate::samples::NOW;

    #[tokio::test]
    async fn a_token_is_a_presigned_request_without_its_scheme() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("session".to_owned()), None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let token = token(&config, "tidings", "default.iam-user", NOW).await.unwrap();
        assert!(token.starts_with("tidings/?Action=connect&User=default.iam-user&ResourceType=ServerlessCache&"));
        for part in ["X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Expires=900", "X-Amz-Signature=", "elasticache"] {
            assert!(token.contains(part), "{part}: {token}");
        }
        assert!(!token.contains("secret"));
    }
}
