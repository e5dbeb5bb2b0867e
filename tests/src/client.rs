//! A typed client of the HTTP API, one handle a user. It hides nothing: every answer keeps its status, headers and
//! body, and it never tries again by itself ([`crate::wait::persist`] does, when told to).

use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

/// What a path segment may hold as it is; `@` too, because handles are written with it.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'@');

/// A request that did not end as the caller needed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer: the connection failed, or broke before the whole answer had arrived. The command may have happened.
    #[error("{request}: {source}")]
    Transport {
        /// Method and path.
        request: String,
        /// What broke.
        source: reqwest::Error,
    },
    /// An answer with a status other than the expected one.
    #[error("{request}: unexpected {status}: {body}")]
    Status {
        /// Method and path.
        request: String,
        /// The status.
        status: StatusCode,
        /// `code` of the problem document, if it is one.
        code: Option<String>,
        /// The whole body.
        body: String,
    },
    /// The expected status with a body or header that is not what the contract says.
    #[error("{request}: {reason}: {body}")]
    Malformed {
        /// Method and path.
        request: String,
        /// What is wrong.
        reason: String,
        /// The whole body.
        body: String,
    },
}

impl ApiError {
    /// Whether the same request may succeed later: no answer, throttled, or a server's error. `internal` is not: it
    /// is a function's own word for a bug, and trying again would hide it.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Status { status, code, .. } => {
                (status.is_server_error() && code.as_deref() != Some("internal"))
                    || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Malformed { .. } => false,
        }
    }
}

/// An answer of the API, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Method and path of what it answers.
    pub request: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// Sends `request` and reads the whole answer.
    pub async fn to(request: RequestBuilder) -> Result<Self, ApiError> {
        let (client, request) = request.build_split();
        let transport = |request: &str, source| ApiError::Transport {
            request: request.to_owned(),
            source,
        };
        let request = request.map_err(|error| transport("building a request", error))?;
        let name = format!("{} {}", request.method(), request.url().path());
        let response = client.execute(request).await.map_err(|error| transport(&name, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.text().await.map_err(|error| transport(&name, error))?;
        Ok(Self {
            request: name,
            status,
            headers,
            body,
        })
    }

    /// The answer itself if it has `status`, else an error that tells the whole story.
    pub fn expect(self, status: StatusCode) -> Result<Self, ApiError> {
        if self.status == status {
            return Ok(self);
        }
        let code = self.problem_code();
        Err(ApiError::Status {
            request: self.request,
            status: self.status,
            code,
            body: self.body,
        })
    }

    /// The body as JSON of type `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_str(&self.body).map_err(|error| self.malformed(&error))
    }

    /// A header's text, if the header is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The caller's event log version, which every command answers with.
    pub fn version(&self) -> Result<u64, ApiError> {
        let value = self
            .header("tidings-version")
            .ok_or_else(|| self.malformed(&"no Tidings-Version"))?;
        value
            .parse()
            .map_err(|error| self.malformed(&format!("Tidings-Version {value:?}: {error}")))
    }

    /// `code` of an `application/problem+json` body.
    pub fn problem_code(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        Some(body.get("code")?.as_str()?.to_owned())
    }

    fn malformed(&self, reason: &dyn Display) -> ApiError {
        ApiError::Malformed {
            request: self.request.clone(),
            reason: reason.to_string(),
            body: self.body.clone(),
        }
    }
}

/// What a command answered, with the caller's event log version after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted<T> {
    /// The body; `()` where there is none.
    pub value: T,
    /// `Tidings-Version`.
    pub version: u64,
}

/// Body of `PUT /v1/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProfileInput {
    /// Unique name.
    pub handle: String,
    /// Name shown.
    pub display_name: String,
    /// Picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}

/// The caller's own profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of the HTTP contract")]
pub struct Profile {
    pub id: String,
    pub handle: String,
    pub display_name: String,
    pub avatar_url: Option<String>,
    pub created_at: String,
}

/// A user as everybody sees them, from `GET /v1/users/{user}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of the HTTP contract")]
pub struct PublicProfile {
    pub id: String,
    pub handle: String,
    pub display_name: String,
    pub avatar_url: Option<String>,
    pub created_at: String,
    pub following: u64,
    pub followers: u64,
    pub relation: Relation,
}

/// How the caller and another user stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// The caller follows the user.
    pub following: bool,
    /// The user follows the caller.
    pub followed_by: bool,
}

/// A user inside a post or a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of the HTTP contract")]
pub struct Person {
    pub id: String,
    pub handle: String,
    pub display_name: String,
    pub avatar_url: Option<String>,
}

/// A post.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of the HTTP contract")]
pub struct Post {
    pub id: String,
    pub author: Person,
    pub text: String,
    pub tags: Vec<String>,
    pub created_at: String,
    pub version: u64,
}

/// One page of a home feed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomePage {
    /// Newest first.
    pub posts: Vec<Post>,
    /// Where the next page starts; none at the end.
    pub next_cursor: Option<String>,
    /// How far the viewer's own log is applied.
    pub freshness: Freshness,
}

/// How far a feed has caught up with its viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// The viewer's applied event log version.
    pub version: u64,
}

/// One page of an author's posts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostsPage {
    /// Newest first.
    pub posts: Vec<Post>,
    /// Where the next page starts; none at the end.
    pub next_cursor: Option<String>,
}

/// One page of followers or followed users.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeoplePage {
    /// By user id.
    pub users: Vec<Person>,
    /// Where the next page starts; none at the end.
    pub next_cursor: Option<String>,
}

/// A user of a deployment: an id, a token, and a connection.
#[derive(Debug, Clone)]
pub struct User {
    http: reqwest::Client,
    base: String,
    /// The token's `sub`.
    pub id: String,
    token: String,
}

impl User {
    /// The user whom `token` names, at the API whose root is `base` (no slash at the end).
    pub fn new(http: reqwest::Client, base: &str, id: &str, token: &str) -> Self {
        Self {
            http,
            base: base.to_owned(),
            id: id.to_owned(),
            token: token.to_owned(),
        }
    }

    /// A request with this user's token; `path` starts with a slash and is already percent-encoded.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.token)
    }

    /// The same without a token.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &Paging<'_>) -> Result<T, ApiError> {
        Answer::to(self.request(Method::GET, path).query(query))
            .await?
            .expect(StatusCode::OK)?
            .json()
    }

    /// `PUT /v1/me`.
    pub async fn put_profile(&self, profile: &ProfileInput) -> Result<Accepted<Profile>, ApiError> {
        let answer = Answer::to(self.request(Method::PUT, "/v1/me").json(profile))
            .await?
            .expect(StatusCode::OK)?;
        Ok(Accepted {
            value: answer.json()?,
            version: answer.version()?,
        })
    }

    /// `GET /v1/me`.
    pub async fn profile(&self) -> Result<Profile, ApiError> {
        self.get("/v1/me", &Paging::default()).await
    }

    /// `GET /v1/users/{user}`; `user` is an id, or a handle with `@` before it.
    pub async fn user(&self, user: &str) -> Result<PublicProfile, ApiError> {
        self.get(&user_path(user, ""), &Paging::default()).await
    }

    /// `PUT /v1/users/{user}/follow`.
    pub async fn follow(&self, user: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::PUT, &user_path(user, "/follow")).await
    }

    /// `DELETE /v1/users/{user}/follow`.
    pub async fn unfollow(&self, user: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::DELETE, &user_path(user, "/follow")).await
    }

    /// `POST /v1/posts`, with an `Idempotency-Key` if there is one.
    pub async fn post(&self, text: &str, key: Option<&str>) -> Result<Accepted<Post>, ApiError> {
        let mut request = self.request(Method::POST, "/v1/posts").json(&json!({ "text": text }));
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = Answer::to(request).await?.expect(StatusCode::CREATED)?;
        Ok(Accepted {
            value: answer.json()?,
            version: answer.version()?,
        })
    }

    /// `DELETE /v1/posts/{post}`.
    pub async fn delete_post(&self, post: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(
            Method::DELETE,
            &format!("/v1/posts/{}", utf8_percent_encode(post, SEGMENT)),
        )
        .await
    }

    async fn bare(&self, method: Method, path: &str) -> Result<Accepted<()>, ApiError> {
        let answer = Answer::to(self.request(method, path))
            .await?
            .expect(StatusCode::NO_CONTENT)?;
        Ok(Accepted {
            value: (),
            version: answer.version()?,
        })
    }

    /// `GET /v1/feeds/home`, one page.
    pub async fn home(&self, limit: u32, cursor: Option<&str>) -> Result<HomePage, ApiError> {
        self.get(
            "/v1/feeds/home",
            &Paging {
                limit: Some(limit),
                cursor,
            },
        )
        .await
    }

    /// `GET /v1/users/{user}/posts`, one page.
    pub async fn posts_of(&self, user: &str, limit: u32, cursor: Option<&str>) -> Result<PostsPage, ApiError> {
        self.get(
            &user_path(user, "/posts"),
            &Paging {
                limit: Some(limit),
                cursor,
            },
        )
        .await
    }

    /// `GET /v1/users/{user}/followers`, one page.
    pub async fn followers_of(&self, user: &str, limit: u32, cursor: Option<&str>) -> Result<PeoplePage, ApiError> {
        self.get(
            &user_path(user, "/followers"),
            &Paging {
                limit: Some(limit),
                cursor,
            },
        )
        .await
    }

    /// `GET /v1/users/{user}/following`, one page.
    pub async fn followed_by(&self, user: &str, limit: u32, cursor: Option<&str>) -> Result<PeoplePage, ApiError> {
        self.get(
            &user_path(user, "/following"),
            &Paging {
                limit: Some(limit),
                cursor,
            },
        )
        .await
    }

    /// Every page of the home feed, `limit` posts at a time.
    pub async fn walk_home(&self, limit: u32) -> Result<Vec<Post>, ApiError> {
        walk(async |cursor| {
            let page = self.home(limit, cursor.as_deref()).await?;
            Ok((page.posts, page.next_cursor))
        })
        .await
    }

    /// Every page of an author's posts.
    pub async fn walk_posts_of(&self, user: &str, limit: u32) -> Result<Vec<Post>, ApiError> {
        walk(async |cursor| {
            let page = self.posts_of(user, limit, cursor.as_deref()).await?;
            Ok((page.posts, page.next_cursor))
        })
        .await
    }

    /// Everybody who follows `user`.
    pub async fn walk_followers_of(&self, user: &str, limit: u32) -> Result<Vec<Person>, ApiError> {
        walk(async |cursor| {
            let page = self.followers_of(user, limit, cursor.as_deref()).await?;
            Ok((page.users, page.next_cursor))
        })
        .await
    }

    /// Everybody whom `user` follows.
    pub async fn walk_followed_by(&self, user: &str, limit: u32) -> Result<Vec<Person>, ApiError> {
        walk(async |cursor| {
            let page = self.followed_by(user, limit, cursor.as_deref()).await?;
            Ok((page.users, page.next_cursor))
        })
        .await
    }
}

#[derive(Default, Serialize)]
struct Paging<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
}

/// The path of a user's resource, `/v1/users/{user}` with `rest` after it.
pub fn user_path(user: &str, rest: &str) -> String {
    format!("/v1/users/{}{rest}", utf8_percent_encode(user, SEGMENT))
}

/// Follows `next_cursor` until there is none.
async fn walk<T>(
    mut page: impl AsyncFnMut(Option<String>) -> Result<(Vec<T>, Option<String>), ApiError>,
) -> Result<Vec<T>, ApiError> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let (items, next) = page(cursor).await?;
        all.extend(items);
        if next.is_none() {
            return Ok(all);
        }
        cursor = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_segment_keeps_handles_readable_and_encodes_the_rest() {
        assert_eq!(user_path("@ada", "/posts"), "/v1/users/@ada/posts");
        assert_eq!(user_path("auth0|a/b %é", ""), "/v1/users/auth0%7Ca%2Fb%20%25%C3%A9");
    }

    #[test]
    fn a_function_s_own_internal_error_is_never_retried() {
        let error = |status, code: Option<&str>| ApiError::Status {
            request: String::new(),
            status,
            code: code.map(str::to_owned),
            body: String::new(),
        };
        assert!(error(StatusCode::INTERNAL_SERVER_ERROR, None).is_transient());
        assert!(error(StatusCode::SERVICE_UNAVAILABLE, Some("busy")).is_transient());
        assert!(!error(StatusCode::INTERNAL_SERVER_ERROR, Some("internal")).is_transient());
        assert!(!error(StatusCode::CONFLICT, Some("handle_taken")).is_transient());
    }
}
