//! A typed client of the HTTP API. Each user has one client. It hides nothing: every answer keeps its status, headers
//! and body. It never sends a request again by itself; [`crate::wait::persist`] does so. Requests go over HTTP, or
//! through a [`Transport`].

mod answer;
mod posts;
mod search;
mod transport;
mod types;

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

pub use self::{
    answer::{Answer, ApiError},
    transport::{Transport, Transported},
    types::{
        Accepted, AuthorDay, AuthorDays, Comment, CommentsPage, Explanation, ExportEntry, ExportPage, FeedTicket,
        Freshness, HomePage, NewPosts, Notification, NotificationsPage, OwnProfile, PeoplePage, Person, Post,
        PostsFound, PostsPage, Profile, ProfileInput, ProfilePatch, PublicProfile, Relation, UsersFound,
    },
};

/// The characters that a path segment may contain unencoded. `@` is one of them, because handles begin with it.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'@');

/// A user of a deployment: an id, a token, and a connection.
#[derive(Debug, Clone)]
pub struct User {
    http: reqwest::Client,
    base: String,
    /// The token's `sub`.
    pub id: String,
    token: String,
    min_version: Option<u64>,
    transport: Option<Arc<dyn Transport>>,
}

impl User {
    /// The user of `token`, at the API with the root `base` (without a slash at the end).
    pub fn new(http: reqwest::Client, base: &str, id: &str, token: &str) -> Self {
        Self {
            http,
            base: base.to_owned(),
            id: id.to_owned(),
            token: token.to_owned(),
            min_version: None,
            transport: None,
        }
    }

    /// The user of this id whose requests go through `transport`, without a token.
    pub fn through(transport: Arc<dyn Transport>, id: &str) -> Self {
        let user = Self::new(reqwest::Client::new(), "http://transport.test", id, "");
        Self { transport: Some(transport), ..user }
    }

    /// Sends a request of this user's; gives the whole answer, held against the contract.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, ApiError> {
        match &self.transport {
            None => Answer::to(request).await,
            Some(transport) => transport::send(transport.as_ref(), &self.id, request).await,
        }
    }

    /// The token that this user's requests carry.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A request with this user's token. `path` starts with a slash and is already percent-encoded.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.anonymous(method, path).bearer_auth(&self.token);
        match self.min_version {
            Some(version) => request.header("Tidings-Min-Version", version),
            None => request,
        }
    }

    /// The same user, with `Tidings-Min-Version` in each request.
    pub fn at_least(&self, version: u64) -> Self {
        Self { min_version: Some(version), ..self.clone() }
    }

    /// A request without a token.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &Paging<'_>) -> Result<T, ApiError> {
        self.send(self.request(Method::GET, path).query(query)).await?.expect(StatusCode::OK)?.json()
    }

    /// `PUT /v1/me`.
    pub async fn put_profile(&self, profile: &ProfileInput) -> Result<Accepted<Profile>, ApiError> {
        let answer = self.send(self.request(Method::PUT, "/v1/me").json(profile)).await?.expect(StatusCode::OK)?;
        Ok(Accepted { value: answer.json()?, version: answer.version()? })
    }

    /// `PATCH /v1/me`.
    pub async fn patch_profile(&self, patch: &ProfilePatch) -> Result<Accepted<Profile>, ApiError> {
        let answer = self.send(self.request(Method::PATCH, "/v1/me").json(patch)).await?.expect(StatusCode::OK)?;
        Ok(Accepted { value: answer.json()?, version: answer.version()? })
    }

    /// `DELETE /v1/me`.
    pub async fn delete_account(&self) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::DELETE, "/v1/me").await
    }

    /// All of `GET /v1/me/export`.
    pub async fn walk_export(&self, limit: u32) -> Result<Vec<ExportEntry>, ApiError> {
        walk(async |cursor| {
            let page: ExportPage = self.get("/v1/me/export", &Paging::page(limit, cursor.as_deref())).await?;
            Ok((page.entries, page.next_cursor))
        })
        .await
    }

    /// `GET /v1/me`.
    pub async fn profile(&self) -> Result<OwnProfile, ApiError> {
        self.get("/v1/me", &Paging::default()).await
    }

    /// `POST /v1/me/feed-tickets`.
    pub async fn feed_ticket(&self) -> Result<FeedTicket, ApiError> {
        let request = self.request(Method::POST, "/v1/me/feed-tickets");
        self.send(request).await?.expect(StatusCode::CREATED)?.json()
    }

    /// The same user at the address where this ticket is valid.
    pub fn with_ticket(&self, ticket: &FeedTicket) -> Self {
        Self { base: ticket.url.clone(), token: ticket.ticket.clone(), ..self.clone() }
    }

    /// `GET /v1/users/{user}`; `user` is an id, or a handle with `@` before it.
    pub async fn user(&self, user: &str) -> Result<PublicProfile, ApiError> {
        self.get(&user_path(user, ""), &Paging::default()).await
    }

    /// `GET /v1/users?ids=…`.
    pub async fn users_by_id(&self, ids: &[&str]) -> Result<Vec<Person>, ApiError> {
        let found: UsersFound = self.get("/v1/users", &Paging::of_ids(ids)).await?;
        Ok(found.users)
    }

    /// All users who like a post.
    pub async fn walk_likers_of(&self, post: &str, limit: u32) -> Result<Vec<Person>, ApiError> {
        self.walk_own(&post_path(post, "/likes"), limit).await
    }

    /// `PUT /v1/users/{user}/follow`.
    pub async fn follow(&self, user: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::PUT, &user_path(user, "/follow")).await
    }

    /// `DELETE /v1/users/{user}/follow`.
    pub async fn unfollow(&self, user: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::DELETE, &user_path(user, "/follow")).await
    }

    /// `DELETE /v1/me/followers/{user}`.
    pub async fn remove_follower(&self, user: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::DELETE, &format!("/v1/me/followers/{}", utf8_percent_encode(user, SEGMENT))).await
    }

    /// `PUT /v1/users/{user}/mute`.
    pub async fn mute(&self, user: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::PUT, &user_path(user, "/mute")).await
    }

    /// `DELETE /v1/users/{user}/mute`.
    pub async fn unmute(&self, user: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::DELETE, &user_path(user, "/mute")).await
    }

    /// `PUT /v1/users/{user}/block`.
    pub async fn block(&self, user: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::PUT, &user_path(user, "/block")).await
    }

    /// `DELETE /v1/users/{user}/block`.
    pub async fn unblock(&self, user: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::DELETE, &user_path(user, "/block")).await
    }

    async fn bare(&self, method: Method, path: &str) -> Result<Accepted<()>, ApiError> {
        let answer = self.send(self.request(method, path)).await?.expect(StatusCode::NO_CONTENT)?;
        Ok(Accepted { value: (), version: answer.version()? })
    }

    /// `GET /v1/users/{user}/followers`, one page.
    pub async fn followers_of(&self, user: &str, limit: u32, cursor: Option<&str>) -> Result<PeoplePage, ApiError> {
        self.get(&user_path(user, "/followers"), &Paging::page(limit, cursor)).await
    }

    /// `GET /v1/users/{user}/following`, one page.
    pub async fn followed_by(&self, user: &str, limit: u32, cursor: Option<&str>) -> Result<PeoplePage, ApiError> {
        self.get(&user_path(user, "/following"), &Paging::page(limit, cursor)).await
    }

    /// `GET /v1/me/notifications`, one page.
    pub async fn notifications(&self, limit: u32, cursor: Option<&str>) -> Result<NotificationsPage, ApiError> {
        self.get("/v1/me/notifications", &Paging::page(limit, cursor)).await
    }

    /// All notifications.
    pub async fn walk_notifications(&self, limit: u32) -> Result<Vec<Notification>, ApiError> {
        walk(async |cursor| {
            let page = self.notifications(limit, cursor.as_deref()).await?;
            Ok((page.notifications, page.next_cursor))
        })
        .await
    }

    /// `GET /v1/me/stats`.
    pub async fn stats(&self, from: Option<&str>, to: Option<&str>) -> Result<AuthorDays, ApiError> {
        let days: Vec<_> =
            [("from", from), ("to", to)].into_iter().filter_map(|(name, day)| Some((name, day?))).collect();
        self.send(self.request(Method::GET, "/v1/me/stats").query(&days)).await?.expect(StatusCode::OK)?.json()
    }

    /// `PUT /v1/me/notifications/seen`.
    pub async fn see_notifications(&self, up_to: &str) -> Result<Accepted<()>, ApiError> {
        let request = self.request(Method::PUT, "/v1/me/notifications/seen").json(&json!({ "up_to": up_to }));
        let answer = self.send(request).await?.expect(StatusCode::NO_CONTENT)?;
        Ok(Accepted { value: (), version: answer.version()? })
    }

    /// `PUT /v1/me/notifications/off/{kind}`.
    pub async fn turn_off(&self, kind: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::PUT, &format!("/v1/me/notifications/off/{kind}")).await
    }

    /// `DELETE /v1/me/notifications/off/{kind}`.
    pub async fn turn_on(&self, kind: &str) -> Result<Accepted<()>, ApiError> {
        self.bare(Method::DELETE, &format!("/v1/me/notifications/off/{kind}")).await
    }

    /// All users whom this user mutes.
    pub async fn walk_mutes(&self, limit: u32) -> Result<Vec<Person>, ApiError> {
        self.walk_own("/v1/me/mutes", limit).await
    }

    /// All users whom this user blocks.
    pub async fn walk_blocks(&self, limit: u32) -> Result<Vec<Person>, ApiError> {
        self.walk_own("/v1/me/blocks", limit).await
    }

    async fn walk_own(&self, path: &str, limit: u32) -> Result<Vec<Person>, ApiError> {
        walk(async |cursor| {
            let page: PeoplePage = self.get(path, &Paging::page(limit, cursor.as_deref())).await?;
            Ok((page.users, page.next_cursor))
        })
        .await
    }

    /// All users who follow `user`.
    pub async fn walk_followers_of(&self, user: &str, limit: u32) -> Result<Vec<Person>, ApiError> {
        walk(async |cursor| {
            let page = self.followers_of(user, limit, cursor.as_deref()).await?;
            Ok((page.users, page.next_cursor))
        })
        .await
    }

    /// All users whom `user` follows.
    pub async fn walk_followed_by(&self, user: &str, limit: u32) -> Result<Vec<Person>, ApiError> {
        walk(async |cursor| {
            let page = self.followed_by(user, limit, cursor.as_deref()).await?;
            Ok((page.users, page.next_cursor))
        })
        .await
    }
}

/// The query parameters of a list.
#[derive(Default, Serialize)]
struct Paging<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    include_hidden: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newer_than: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<&'a str>,
}

impl<'a> Paging<'a> {
    fn page(limit: u32, cursor: Option<&'a str>) -> Self {
        Self { limit: Some(limit), cursor, ..Self::default() }
    }

    fn of_ids(ids: &[&str]) -> Self {
        Self { ids: Some(ids.join(",")), ..Self::default() }
    }
}

/// The path of a user's resource: `/v1/users/{user}`, then `rest`.
pub fn user_path(user: &str, rest: &str) -> String {
    format!("/v1/users/{}{rest}", utf8_percent_encode(user, SEGMENT))
}

/// The path of a post's resource: `/v1/posts/{post}`, then `rest`.
pub fn post_path(post: &str, rest: &str) -> String {
    format!("/v1/posts/{}{rest}", utf8_percent_encode(post, SEGMENT))
}

/// Reads pages until there is no `next_cursor`.
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
}
