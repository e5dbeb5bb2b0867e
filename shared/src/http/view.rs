//! The JSON documents of responses.

use serde::Serialize;

use crate::{
    model::{
        AvatarUrl, Comment, CommentId, CommentText, DisplayName, Entities, Entity, Handle, IgnoredTag,
        NotificationKind, PostId, Profile, PublicProfile, Tag, Text, Totals, UserId, Version, ranking::Explanation,
    },
    query::{Exported, FeedPost, Notification, Origin, OwnProfileView, ProfileView, Relation},
    store::cards::UserCard,
    tickets::IssuedTicket,
};

/// A person as part of another document.
#[derive(Debug, Serialize)]
pub struct Person<'a> {
    id: &'a UserId,
    handle: &'a Handle,
    display_name: &'a DisplayName,
    avatar_url: Option<&'a AvatarUrl>,
}

/// A profile as its owner sees it.
#[derive(Debug, Serialize)]
pub struct OwnProfile<'a> {
    #[serde(flatten)]
    person: Person<'a>,
    created_at: String,
}

/// A profile as its owner reads it, with counts.
#[derive(Debug, Serialize)]
pub struct CountedProfile<'a> {
    #[serde(flatten)]
    profile: OwnProfile<'a>,
    posts: u64,
    following: u64,
    followers: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    suspended: bool,
    unread: usize,
}

/// A ticket, and where it lets its holder read feeds.
#[derive(Debug, Serialize)]
pub struct TicketView<'a> {
    ticket: &'a str,
    url: &'a str,
    expires_at: String,
}

impl<'a> From<&'a IssuedTicket<'_>> for TicketView<'a> {
    fn from(issued: &'a IssuedTicket<'_>) -> Self {
        Self { ticket: &issued.text, url: issued.url, expires_at: issued.expires_at.to_string() }
    }
}

/// A page of notifications.
#[derive(Debug, Serialize)]
pub struct NotificationsView<'a> {
    /// The notifications.
    pub notifications: Vec<NotificationView<'a>>,
    /// How many are unread, on this page and elsewhere.
    pub unread: usize,
    /// The cursor of the next page; null on the last page.
    pub next_cursor: Option<String>,
}

/// A notification.
#[derive(Debug, Serialize)]
pub struct NotificationView<'a> {
    kind: NotificationKind,
    post: Option<PostView<'a>>,
    count: usize,
    people: Vec<Person<'a>>,
    at: String,
    unread: bool,
}

/// Kinds of notifications.
#[derive(Debug, Serialize)]
pub struct KindsView {
    /// The kinds.
    pub kinds: Vec<NotificationKind>,
}

/// A profile as other users see it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum OtherProfile<'a> {
    /// All of it.
    Whole {
        /// What the user sees of it, too.
        #[serde(flatten)]
        profile: OwnProfile<'a>,
        /// Number of accounts that the user follows.
        following: u64,
        /// Number of accounts that follow the user.
        followers: u64,
        /// The relation between the caller and the user.
        relation: RelationView,
    },
    /// What is left of it for somebody who blocks the user or is blocked by the user.
    Blocked {
        /// The user.
        id: &'a UserId,
        /// The name by which the user is found.
        handle: &'a Handle,
        /// The relation between the caller and the user, which says who blocks whom.
        relation: RelationView,
    },
}

/// The relation between the caller and another user.
#[derive(Debug, Serialize)]
pub struct RelationView {
    following: bool,
    followed_by: bool,
    muted: bool,
    blocked: bool,
    blocked_by: bool,
}

/// A post.
#[derive(Debug, Serialize)]
pub struct PostView<'a> {
    id: PostId,
    author: Person<'a>,
    text: Option<&'a Text>,
    tags: &'a [Tag],
    entities: Vec<Entity>,
    ignored_tags: Vec<IgnoredTag>,
    created_at: String,
    edited_at: Option<String>,
    version: u64,
    likes: u64,
    comments: u64,
    liked: bool,
    /// Only the author sees a post that was taken down.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    taken_down: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Explanation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Origin>,
}

/// A comment.
#[derive(Debug, Serialize)]
pub struct CommentView<'a> {
    id: CommentId,
    post: PostId,
    author: Person<'a>,
    text: Option<&'a CommentText>,
    entities: Vec<Entity>,
    ignored_tags: Vec<IgnoredTag>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<bool>,
}

/// A page of comments.
#[derive(Debug, Serialize)]
pub struct CommentsView<'a> {
    /// The comments.
    pub comments: Vec<CommentView<'a>>,
    /// The cursor of the next page; null on the last page.
    pub next_cursor: Option<String>,
}

/// A page of posts.
#[derive(Debug, Serialize)]
pub struct PostsView<'a> {
    /// The posts.
    pub posts: Vec<PostView<'a>>,
    /// The cursor of the next page; null on the last page.
    pub next_cursor: Option<String>,
    /// How fresh the page is, in home feeds only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freshness: Option<Freshness>,
    /// What the walk's first page shows as newest, in home feeds only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
}

/// What is new in a home.
#[derive(Debug, Serialize)]
pub struct NewPostsView<'a> {
    /// How many posts are new, 100 at most.
    pub new: usize,
    /// The oldest of them, as many as were asked for: newest first.
    pub posts: Vec<PostView<'a>>,
    /// To ask with for what comes after these posts.
    pub newest: String,
}

/// Posts that were looked up.
#[derive(Debug, Serialize)]
pub struct PostsByIdView<'a> {
    /// The posts.
    pub posts: Vec<PostView<'a>>,
}

/// Users who were looked up.
#[derive(Debug, Serialize)]
pub struct PeopleByIdView<'a> {
    /// The users.
    pub users: Vec<Person<'a>>,
}

/// How fresh a page of a home feed is.
#[derive(Debug, Serialize)]
pub struct Freshness {
    /// The page shows the effects of the viewer's own commands up to this version.
    pub version: Version,
    /// Whether some of these effects were laid over the read models, because projections had not reached them.
    pub overlaid: bool,
}

/// A page of the export of an account.
#[derive(Debug, Serialize)]
pub struct ExportView {
    /// What the command table holds about the caller.
    pub entries: Vec<Exported>,
    /// The cursor of the next page; null on the last page.
    pub next_cursor: Option<String>,
}

/// A page of people.
#[derive(Debug, Serialize)]
pub struct PeopleView<'a> {
    /// The people.
    pub users: Vec<Person<'a>>,
    /// The cursor of the next page; null on the last page.
    pub next_cursor: Option<String>,
}

impl<'a> Person<'a> {
    fn new(id: &'a UserId, shown: &'a PublicProfile) -> Self {
        let PublicProfile { handle, display_name, avatar_url } = shown;
        Self { id, handle, display_name, avatar_url: avatar_url.as_ref() }
    }
}

impl<'a> From<&'a UserCard> for Person<'a> {
    fn from(card: &'a UserCard) -> Self {
        Self::new(&card.user, &card.profile)
    }
}

impl<'a> From<&'a Profile> for OwnProfile<'a> {
    fn from(profile: &'a Profile) -> Self {
        Self { person: Person::new(&profile.user, &profile.public), created_at: profile.created_at.to_string() }
    }
}

impl<'a> CountedProfile<'a> {
    /// The profile of a user who has so many unread notifications.
    pub fn new(OwnProfileView { profile, totals, followers }: &'a OwnProfileView, unread: usize) -> Self {
        let Totals { posts, following, .. } = *totals;
        let (profile, suspended) = (OwnProfile::from(profile), profile.suspended);
        Self { profile, posts, following, followers: *followers, suspended, unread }
    }
}

impl<'a> From<&'a Notification> for NotificationView<'a> {
    fn from(notification: &'a Notification) -> Self {
        let Notification { kind, post, count, people, at, unread, .. } = notification;
        Self {
            kind: *kind,
            post: post.as_ref().map(PostView::from),
            count: *count,
            people: people.iter().map(Person::from).collect(),
            at: at.to_string(),
            unread: *unread,
        }
    }
}

impl<'a> From<&'a ProfileView> for OtherProfile<'a> {
    fn from(view: &'a ProfileView) -> Self {
        let card = &view.card;
        let Relation { following, followed_by, muted, blocked, blocked_by } = view.relation;
        let relation = RelationView { following, followed_by, muted, blocked, blocked_by };
        if view.relation.has_block() {
            return Self::Blocked { id: &card.user, handle: &card.profile.handle, relation };
        }
        Self::Whole {
            profile: OwnProfile { person: card.into(), created_at: card.created_at.to_string() },
            following: card.following,
            followers: card.followers,
            relation,
        }
    }
}

impl<'a> From<&'a FeedPost> for PostView<'a> {
    fn from(FeedPost { card, liked, explanation, origin }: &'a FeedPost) -> Self {
        let Entities { entities, ignored_tags, .. } = card.text.as_ref().map(Text::entities).unwrap_or_default();
        Self {
            id: card.post,
            author: Person::new(&card.author, &card.author_profile),
            text: card.text.as_ref(),
            tags: &card.tags,
            entities,
            ignored_tags,
            created_at: card.post.created_at().to_string(),
            edited_at: card.edited_at.map(|at| at.to_string()),
            version: card.version,
            likes: card.likes,
            comments: card.comments,
            liked: *liked,
            taken_down: card.taken_down,
            explain: *explanation,
            source: *origin,
        }
    }
}

impl PostView<'_> {
    /// The same post without the factors of its score.
    #[must_use]
    pub fn unexplained(self) -> Self {
        Self { explain: None, ..self }
    }
}

impl<'a> CommentView<'a> {
    /// A comment, and the profile of its author.
    pub fn new(comment: &'a Comment, author: &'a PublicProfile) -> Self {
        let text = comment.text.as_ref();
        let Entities { entities, ignored_tags, .. } = text.map(CommentText::entities).unwrap_or_default();
        Self {
            id: comment.comment,
            post: comment.post,
            author: Person::new(&comment.author, author),
            text,
            entities,
            ignored_tags,
            created_at: comment.comment.created_at().to_string(),
            hidden: None,
        }
    }

    /// The same comment, with a mark that says whether the comment is hidden from the viewer.
    #[must_use]
    pub fn marked(self, hidden: bool) -> Self {
        Self { hidden: Some(hidden), ..self }
    }
}
