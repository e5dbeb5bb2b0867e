//! Which error goes where. An error is one of four things, by what the caller does next:
//!
//! - [`Rejection`]: the request is at fault; it is told so (4xx) and nothing changed.
//! - [`Error::Conflict`]: somebody else was first; read again and go again at once.
//! - [`Error::Transient`]: a dependency fails at present; go again later. Over HTTP 503, in a stream the record again.
//! - [`Error::Poison`]: it will fail every time; never again. It is kept where a person finds it.
//!
//! An error is logged once, where it is handled, not where it passes.

use crate::model::{
    InvalidIdempotencyKey, InvalidProfile, InvalidTag, InvalidText, InvalidUserId,
    limits::{BLOCKS_MAX, FOLLOWING_MAX, MUTES_MAX, POST_EDITS_MAX},
};

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is at fault.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Lost a race; to be tried again from fresh reads.
    #[error("conflict with a concurrent write")]
    Conflict,
    /// A dependency fails at present.
    #[error("{during}: {cause}")]
    Transient {
        /// What was being done.
        during: &'static str,
        /// What was said about it.
        cause: String,
    },
    /// What was read cannot be understood, now or later.
    #[error("{what}: {why}")]
    Poison {
        /// What was read.
        what: String,
        /// Why it makes no sense.
        why: String,
    },
}

impl Error {
    /// A dependency failed while `during` was being done.
    pub fn transient(during: &'static str, cause: impl ToString) -> Self {
        Self::Transient { during, cause: cause.to_string() }
    }

    /// `what` makes no sense.
    pub fn poison(what: impl ToString, why: impl ToString) -> Self {
        Self::Poison { what: what.to_string(), why: why.to_string() }
    }
}

/// Why a request was refused. The stable code and the status of each stand in [`crate::http::problem`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The body is not the JSON document that the route takes.
    #[error("{0}")]
    MalformedBody(String),
    /// The body is larger than 16 KiB.
    #[error("the body is larger than {} bytes", crate::model::limits::BODY_BYTES_MAX)]
    BodyTooLarge,
    /// The token's `sub`, or the path, names no possible user.
    #[error(transparent)]
    InvalidUserId(#[from] InvalidUserId),
    /// The text cannot be posted.
    #[error(transparent)]
    InvalidText(#[from] InvalidText),
    /// The handle has a wrong form.
    #[error(transparent)]
    InvalidHandle(#[from] crate::model::InvalidHandle),
    /// A part of the profile has a wrong form.
    #[error(transparent)]
    InvalidProfile(#[from] InvalidProfile),
    /// The `Idempotency-Key` header has a wrong form.
    #[error(transparent)]
    InvalidIdempotencyKey(#[from] InvalidIdempotencyKey),
    /// `limit` is not a number within bounds.
    #[error("limit must be a number from 1 to {}", crate::model::limits::PAGE_MAX)]
    InvalidLimit,
    /// The feed or list has no such order.
    #[error("order must be one of: {}", known.join(", "))]
    UnknownOrder {
        /// Those that it has.
        known: Vec<&'static str>,
    },
    /// `explain` is neither `true` nor `false`.
    #[error("explain must be true or false")]
    InvalidExplain,
    /// The path names no possible tag.
    #[error(transparent)]
    InvalidTag(#[from] InvalidTag),
    /// `Tidings-Min-Version` is no version.
    #[error("Tidings-Min-Version must be a number as Tidings-Version tells it")]
    InvalidVersion,
    /// The caller's log has no such version yet.
    #[error("none of your commands has made this version")]
    VersionUnknown,
    /// The cursor was not made by this system for this caller, route and order.
    #[error("the cursor is not one that this feed gave to you")]
    InvalidCursor,
    /// The cursor is older than 24 h.
    #[error("the cursor has expired; start again from the first page")]
    CursorExpired,
    /// The caller has no profile yet.
    #[error("make a profile first: PUT /v1/me")]
    ProfileRequired,
    /// The caller asked for their own profile and has none.
    #[error("you have no profile yet: PUT /v1/me")]
    ProfileNotFound,
    /// The handle belongs to somebody else.
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
    /// The post was edited as often as one may.
    #[error("a post may be edited {POST_EDITS_MAX} times")]
    EditLimitReached,
    /// Only the author may do this.
    #[error("only its author may do this")]
    NotAuthor,
    /// Nobody follows themselves.
    #[error("you cannot follow yourself")]
    CannotFollowSelf,
    /// Nobody mutes themselves.
    #[error("you cannot mute yourself")]
    CannotMuteSelf,
    /// Nobody blocks themselves.
    #[error("you cannot block yourself")]
    CannotBlockSelf,
    /// The caller mutes as many as one may.
    #[error("you mute {MUTES_MAX} accounts, which is as many as one may")]
    MuteLimitReached,
    /// The caller blocks as many as one may.
    #[error("you block {BLOCKS_MAX} accounts, which is as many as one may")]
    BlockLimitReached,
    /// One of the two blocks the other.
    #[error("you block this user, or are blocked")]
    Blocked,
    /// The caller follows as many as one may.
    #[error("you follow {FOLLOWING_MAX} accounts, which is as many as one may")]
    FollowingLimitReached,
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for another request")]
    IdempotencyKeyReused,
}
