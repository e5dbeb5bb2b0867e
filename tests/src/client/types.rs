//! The documents of the HTTP contract. Unknown members are errors, so a test fails if an answer has more than the
//! contract.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answer to a command, and the version of the caller's event log after the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted<T> {
    /// The body, or `()` if there is none.
    pub value: T,
    /// The header `Tidings-Version`.
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

/// Body of `PATCH /v1/me`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ProfilePatch {
    /// Unique name, if it is to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// Name shown, if it is to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Picture or its removal, if it is to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<Option<String>>,
}

/// The caller's own profile with counts, from `GET /v1/me`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of the HTTP contract")]
pub struct OwnProfile {
    pub id: String,
    pub handle: String,
    pub display_name: String,
    pub avatar_url: Option<String>,
    pub created_at: String,
    pub posts: u64,
    pub following: u64,
    pub followers: u64,
    #[serde(default)]
    pub suspended: bool,
    pub unread: usize,
}

/// One page of notifications.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationsPage {
    /// The notifications, those that grew last first.
    pub notifications: Vec<Notification>,
    /// How many are unread, on this page and elsewhere.
    pub unread: usize,
    /// Where the next page starts. `None` at the end.
    pub next_cursor: Option<String>,
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of the HTTP contract")]
pub struct Notification {
    pub kind: String,
    pub post: Option<Post>,
    pub count: usize,
    pub people: Vec<Person>,
    pub at: String,
    pub unread: bool,
}

impl OwnProfile {
    /// The profile without its counts.
    pub fn profile(&self) -> Profile {
        let Self { id, handle, display_name, avatar_url, created_at, .. } = self.clone();
        Profile { id, handle, display_name, avatar_url, created_at }
    }
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

/// A user as everybody sees it, from `GET /v1/users/{user}`. If one of the two blocks the other, only the id, the
/// handle and the relation are there: the contract says so, and answers are held against it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of the HTTP contract")]
pub struct PublicProfile {
    pub id: String,
    pub handle: String,
    #[serde(default)]
    pub display_name: String,
    #[serde(default)]
    pub avatar_url: Option<String>,
    #[serde(default)]
    pub created_at: String,
    #[serde(default)]
    pub following: u64,
    #[serde(default)]
    pub followers: u64,
    pub relation: Relation,
}

/// The relation between the caller and another user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// The caller follows the user.
    pub following: bool,
    /// The user follows the caller.
    pub followed_by: bool,
    /// The caller mutes the user.
    pub muted: bool,
    /// The caller blocks the user.
    pub blocked: bool,
    /// The user blocks the caller.
    pub blocked_by: bool,
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
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of the HTTP contract")]
pub struct Post {
    pub id: String,
    pub author: Person,
    pub text: String,
    pub tags: Vec<String>,
    pub entities: Vec<Value>,
    pub ignored_tags: Vec<Value>,
    pub created_at: String,
    pub edited_at: Option<String>,
    pub version: u64,
    pub likes: u64,
    pub comments: u64,
    pub liked: bool,
    /// Whether an administrator took the post down. Only its author sees such a post.
    #[serde(default)]
    pub taken_down: bool,
    /// `trending` if the post is in a home only because it trends.
    pub source: Option<String>,
    pub explain: Option<Explanation>,
}

/// Why a ranked post has its place: the factors of its score.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of the HTTP contract")]
pub struct Explanation {
    pub score: f64,
    pub recency: f64,
    pub engagement: f64,
    pub affinity: f64,
    pub diversity: f64,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of the HTTP contract")]
pub struct Comment {
    pub id: String,
    pub post: String,
    pub author: Person,
    pub text: String,
    pub entities: Vec<Value>,
    pub ignored_tags: Vec<Value>,
    pub created_at: String,
    /// Whether the comment is hidden from the caller, if the caller asked for hidden comments.
    pub hidden: Option<bool>,
}

/// One page of comments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommentsPage {
    /// The comments in the requested order.
    pub comments: Vec<Comment>,
    /// Where the next page starts. `None` at the end.
    pub next_cursor: Option<String>,
}

/// One page of a home feed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomePage {
    /// The posts in the requested order.
    pub posts: Vec<Post>,
    /// Where the next page starts. `None` at the end.
    pub next_cursor: Option<String>,
    /// How far the projection of the viewer's own log is.
    pub freshness: Freshness,
    /// What the walk's first page showed as newest.
    pub newest: String,
}

/// What is new in a home feed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPosts {
    /// How many posts are new, 100 at most.
    pub new: usize,
    /// The oldest of them, as many as were asked for: newest first.
    pub posts: Vec<Post>,
    /// To ask with for what comes after these posts.
    pub newest: String,
}

/// Posts that were looked up.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostsFound {
    /// The posts in the order of the request.
    pub posts: Vec<Post>,
}

/// Users who were looked up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersFound {
    /// The users in the order of the request.
    pub users: Vec<Person>,
}

/// How far the projections are for the viewer of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// The version of the viewer's event log that the feed shows.
    pub version: u64,
    /// Whether a part of the log is an overlay over what projections have written.
    pub overlaid: bool,
}

/// One page of any other feed of posts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostsPage {
    /// The posts in the feed's order.
    pub posts: Vec<Post>,
    /// Where the next page starts. `None` at the end.
    pub next_cursor: Option<String>,
}

/// One page of `GET /v1/me/export`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportPage {
    /// What is stored about the caller.
    pub entries: Vec<ExportEntry>,
    /// Where the next page starts. `None` at the end.
    pub next_cursor: Option<String>,
}

/// Something that is stored about the caller.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportEntry {
    /// What it is.
    pub kind: String,
    /// The stored attributes.
    pub data: Value,
    /// The post or comment that an event made.
    pub made: Option<Value>,
}

/// One page of followers or followed users.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeoplePage {
    /// The users in the order of their ids.
    pub users: Vec<Person>,
    /// Where the next page starts. `None` at the end.
    pub next_cursor: Option<String>,
}

/// A ticket for the second address of feeds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedTicket {
    /// What is sent there in place of the token.
    pub ticket: String,
    /// The address.
    pub url: String,
    /// When it expires.
    pub expires_at: String,
}

/// An author's statistics, day by day.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuthorDays {
    /// One entry for each day that was asked for.
    pub days: Vec<AuthorDay>,
}

/// What happened to an author on a day in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuthorDay {
    /// The day, such as `2026-11-26`.
    pub day: String,
    /// Posts that the author wrote.
    pub posts: i64,
    /// Likes of the author's posts.
    pub likes_received: i64,
    /// Comments on the author's posts.
    pub comments_received: i64,
    /// Users who followed the author.
    pub followers_gained: i64,
    /// Users who no longer follow the author.
    pub followers_lost: i64,
}
