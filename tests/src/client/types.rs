//! The documents of the HTTP contract. They take no unknown member, so a test fails when an answer says more than the
//! contract does.

use serde::{Deserialize, Serialize};

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
    pub created_at: String,
    pub edited_at: Option<String>,
    pub version: u64,
    pub likes: u64,
    pub comments: u64,
    pub liked: bool,
    /// How it came into a home that it would not be in by itself: `trending`.
    pub source: Option<String>,
    pub explain: Option<Explanation>,
}

/// Why a ranked post stands where it stands: the factors of its score.
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
    pub created_at: String,
}

/// One page of comments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommentsPage {
    /// In the order asked for.
    pub comments: Vec<Comment>,
    /// Where the next page starts; none at the end.
    pub next_cursor: Option<String>,
}

/// One page of a home feed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomePage {
    /// In the order asked for.
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
    /// Whether some of it was laid over what projections have written.
    pub overlaid: bool,
}

/// One page of any other feed of posts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostsPage {
    /// In the feed's order.
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
