//! Which error goes where. There are four kinds, by what the caller does next:
//!
//! - [`Rejection`]: the request is at fault. Nothing changed, and the client gets a 4xx.
//! - [`Error::Conflict`]: another writer was first. The caller reads again and decides again at once.
//! - [`Error::Transient`]: a dependency fails at present. The caller tries again later. Over HTTP this is a 503; from a
//!   stream or queue, the item comes again.
//! - [`Error::Poison`]: every try will fail, so nobody tries again. The input is kept where a person finds it.
//!
//! An error is logged once, where it is handled.

use crate::model::{
    Gap, InvalidIdempotencyKey, InvalidProfile, InvalidTag, InvalidText, InvalidUserId,
    limits::{BLOCKS_MAX, FOLLOWING_MAX, MUTES_MAX, POST_EDITS_MAX},
};

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is at fault.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Another writer was first. The caller decides again from fresh reads.
    #[error("another writer was first")]
    Conflict,
    /// A dependency fails at present.
    #[error("{during}: {cause}")]
    Transient {
        /// What failed.
        during: &'static str,
        /// What the dependency said.
        cause: String,
    },
    /// The input makes no sense, now or later.
    #[error("{what}: {why}")]
    Poison {
        /// The input.
        what: String,
        /// Why it makes no sense.
        why: String,
    },
}

impl Error {
    /// A dependency failed during `during`.
    pub fn transient(during: &'static str, cause: impl ToString) -> Self {
        Self::Transient { during, cause: cause.to_string() }
    }

    /// `what` makes no sense.
    pub fn poison(what: impl ToString, why: impl ToString) -> Self {
        Self::Poison { what: what.to_string(), why: why.to_string() }
    }
}

impl From<Gap> for Error {
    fn from(gap: Gap) -> Self {
        Self::poison("a log", gap)
    }
}

/// Why a request was rejected. [`crate::http::problem`] has the stable code and the HTTP status of each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The body is not the JSON document that the route expects.
    #[error("{0}")]
    MalformedBody(String),
    /// The body is larger than 16 KiB.
    #[error("the body is larger than {} bytes", crate::model::limits::BODY_BYTES_MAX)]
    BodyTooLarge,
    /// The token's `sub` or the path holds no valid user id.
    #[error(transparent)]
    InvalidUserId(#[from] InvalidUserId),
    /// The text is not valid.
    #[error(transparent)]
    InvalidText(#[from] InvalidText),
    /// The handle is not valid.
    #[error(transparent)]
    InvalidHandle(#[from] crate::model::InvalidHandle),
    /// A part of the profile is not valid.
    #[error(transparent)]
    InvalidProfile(#[from] InvalidProfile),
    /// The `Idempotency-Key` header is not valid.
    #[error(transparent)]
    InvalidIdempotencyKey(#[from] InvalidIdempotencyKey),
    /// `limit` is not a number within bounds.
    #[error("limit must be a number from 1 to {}", crate::model::limits::PAGE_MAX)]
    InvalidLimit,
    /// The feed or list has no such order.
    #[error("order must be one of: {}", known.join(", "))]
    UnknownOrder {
        /// The orders that there are.
        known: Vec<&'static str>,
    },
    /// `explain` is neither `true` nor `false`.
    #[error("explain must be true or false")]
    InvalidExplain,
    /// The path holds no valid tag.
    #[error(transparent)]
    InvalidTag(#[from] InvalidTag),
    /// `Tidings-Min-Version` is not a version.
    #[error("Tidings-Min-Version must be a number as Tidings-Version tells it")]
    InvalidVersion,
    /// The caller's log does not have this version yet.
    #[error("none of your commands has made this version")]
    VersionUnknown,
    /// This deployment did not make the cursor for this caller, route and order.
    #[error("the cursor is not one that this feed gave to you")]
    InvalidCursor,
    /// The cursor is older than 24 h.
    #[error("the cursor has expired; start again from the first page")]
    CursorExpired,
    /// The caller has no profile yet.
    #[error("make a profile first: PUT /v1/me")]
    ProfileRequired,
    /// The caller reads their own profile, but has none.
    #[error("you have no profile yet: PUT /v1/me")]
    ProfileNotFound,
    /// Another user has the handle.
    #[error("the handle is taken")]
    HandleTaken,
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// There is no such post.
    #[error("there is no such post")]
    PostNotFound,
    /// There is no such comment.
    #[error("there is no such comment")]
    CommentNotFound,
    /// No post has the tag.
    #[error("no post of the last 30 days has this tag")]
    TagNotFound,
    /// The post has been edited as often as is allowed.
    #[error("a post may be edited {POST_EDITS_MAX} times")]
    EditLimitReached,
    /// Only the author of the post or comment may do this.
    #[error("only its author may do this")]
    NotAuthor,
    /// Users cannot follow themselves.
    #[error("you cannot follow yourself")]
    CannotFollowSelf,
    /// Users cannot mute themselves.
    #[error("you cannot mute yourself")]
    CannotMuteSelf,
    /// Users cannot block themselves.
    #[error("you cannot block yourself")]
    CannotBlockSelf,
    /// The caller mutes as many accounts as is allowed.
    #[error("you mute {MUTES_MAX} accounts, which is as many as one may")]
    MuteLimitReached,
    /// The caller blocks as many accounts as is allowed.
    #[error("you block {BLOCKS_MAX} accounts, which is as many as one may")]
    BlockLimitReached,
    /// One of the two users blocks the other.
    #[error("you block this user, or are blocked")]
    Blocked,
    /// The caller follows as many accounts as is allowed.
    #[error("you follow {FOLLOWING_MAX} accounts, which is as many as one may")]
    FollowingLimitReached,
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for another request")]
    IdempotencyKeyReused,
}
