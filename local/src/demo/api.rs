//! The few requests of the public HTTP API that the users of the demo send.

use std::time::Duration;

use http::{Method, StatusCode, header};
use serde_json::{Value, json};

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after a 429 that does not say.
const RATE_LIMIT_PAUSE: Duration = Duration::from_secs(30);

/// Why a request has not succeeded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// The user has to wait for so long.
    #[error("rate limited for {0:?}")]
    RateLimited(Duration),
    /// The request cannot succeed: the post is gone, or somebody blocks the user.
    #[error("refused")]
    Refused,
    /// The system has failed, or cannot be reached.
    #[error("failed: {0}")]
    Failed(String),
}

/// The HTTP API.
pub(super) struct Api {
    url: String,
    client: reqwest::Client,
}

/// A user with a profile.
pub(super) struct Member {
    id: String,
    token: String,
    language: &'static str,
}

impl Member {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn language(&self) -> &'static str {
        self.language
    }
}

impl Api {
    pub(super) fn new(url: &str) -> reqwest::Result<Self> {
        // The API is on this machine, whatever proxy the environment names.
        let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
        Ok(Self { url: url.to_owned(), client })
    }

    /// Creates or finds the user with this handle.
    pub(super) async fn join(&self, handle: &str, name: &str, language: &'static str) -> Result<Member, Failure> {
        let id = handle.to_owned();
        let answer = self.send(None, Method::POST, "/dev/token", Some(json!({ "user": id }))).await?;
        let token = answer["token"].as_str().ok_or_else(|| Failure::Failed("no token".to_owned()))?.to_owned();
        let member = Member { id, token, language };
        let profile = json!({ "handle": handle, "display_name": name });
        self.send(Some(&member), Method::PUT, "/v1/me", Some(profile)).await?;
        Ok(member)
    }

    pub(super) async fn follow(&self, member: &Member, user: &str) -> Result<(), Failure> {
        let user = percent_encoding::utf8_percent_encode(user, percent_encoding::NON_ALPHANUMERIC);
        self.send(Some(member), Method::PUT, &format!("/v1/users/{user}/follow"), None).await.map(drop)
    }

    /// Returns the id of the new post.
    pub(super) async fn post(&self, member: &Member, text: &str) -> Result<String, Failure> {
        let answer = self.send(Some(member), Method::POST, "/v1/posts", Some(json!({ "text": text }))).await?;
        answer["id"].as_str().map(ToOwned::to_owned).ok_or_else(|| Failure::Failed("no id".to_owned()))
    }

    pub(super) async fn like(&self, member: &Member, post: &str) -> Result<(), Failure> {
        self.send(Some(member), Method::PUT, &format!("/v1/posts/{post}/like"), None).await.map(drop)
    }

    pub(super) async fn comment(&self, member: &Member, post: &str, text: &str) -> Result<(), Failure> {
        let path = format!("/v1/posts/{post}/comments");
        self.send(Some(member), Method::POST, &path, Some(json!({ "text": text }))).await.map(drop)
    }

    async fn send(
        &self,
        member: Option<&Member>,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(member) = member {
            request = request.bearer_auth(&member.token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let failed = |error: reqwest::Error| Failure::Failed(error.to_string());
        let answer = request.send().await.map_err(failed)?;
        match answer.status() {
            StatusCode::NO_CONTENT => Ok(Value::Null),
            status if status.is_success() => answer.json().await.map_err(failed),
            StatusCode::TOO_MANY_REQUESTS => {
                let pause =
                    answer.headers().get(header::RETRY_AFTER).and_then(|pause| pause.to_str().ok()?.parse().ok());
                Err(Failure::RateLimited(pause.map_or(RATE_LIMIT_PAUSE, Duration::from_secs)))
            }
            status if status.is_client_error() => Err(Failure::Refused),
            status => Err(Failure::Failed(status.to_string())),
        }
    }
}
