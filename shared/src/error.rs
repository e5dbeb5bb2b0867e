//! Errors, divided by what the caller does next:
//!
//! - [`Rejection`]: the request is at fault. The caller gets a 4xx response, and nothing has changed.
//! - [`Error::Conflict`]: a concurrent write was faster. The caller reads again and retries at once.
//! - [`Error::Transient`]: a service fails at present. The caller retries later: HTTP answers 503, and a stream
//!   delivers the record again.
//! - [`Error::Throttled`]: the same, because DynamoDB has been asked for too much. A command about a crowded user or
//!   post reads less in its next attempt.
//! - [`Error::NewerRelease`]: only a newer release can read the data. The caller leaves it to that release, and retries
//!   later; what does not need the data goes on.
//! - [`Error::Poison`]: every attempt will fail. Nobody retries; the event or message is kept for a person.
//!
//! An error is logged once, where it is handled. Code that passes an error on does not log it.

use crate::model::{
    Gap, Handle, InvalidIdempotencyKey, InvalidProfile, InvalidTag, InvalidText, InvalidUserId, InvalidUserRef,
    RateLimited,
    limits::{BLOCKS_MAX, FOLLOWING_MAX, MUTES_MAX, POST_EDITS_MAX},
    search::InvalidQuery,
};

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is at fault.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A concurrent write was faster. Another attempt begins with fresh reads.
    #[error("conflict with a concurrent write")]
    Conflict,
    /// A service that Tidings needs fails at present.
    #[error("{during}: {cause}")]
    Transient {
        /// The operation, such as `reading a timeline`.
        during: &'static str,
        /// What the service or the SDK reported.
        cause: String,
    },
    /// DynamoDB refuses what exceeds the throughput of a partition or a table at present.
    #[error("{during}: DynamoDB was asked for too much at once")]
    Throttled {
        /// The operation, such as `reading a profile`.
        during: &'static str,
    },
    /// A newer release wrote the data in a way that this one would misread. During a deployment, old and new functions
    /// run side by side, and after a rollback, tables still hold newer data.
    #[error("{during}: a newer release wrote it: {why}")]
    NewerRelease {
        /// The operation, such as `reading an event`.
        during: &'static str,
        /// What this release does not know.
        why: String,
    },
    /// Data or a request is invalid, now and on every later attempt.
    #[error("{what}: {why}")]
    Poison {
        /// The data or the operation.
        what: String,
        /// Why it is invalid.
        why: String,
    },
}

impl Error {
    /// A service failed during this operation.
    pub fn transient(during: &'static str, cause: impl ToString) -> Self {
        Self::Transient { during, cause: cause.to_string() }
    }

    /// `what` is invalid.
    pub fn poison(what: impl ToString, why: impl ToString) -> Self {
        Self::Poison { what: what.to_string(), why: why.to_string() }
    }
}

impl From<Gap> for Error {
    fn from(gap: Gap) -> Self {
        Self::poison("a log", gap)
    }
}

/// Why a request was refused. [`crate::http::problem`] has the stable code and the status of each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The body is not the JSON document that the route expects.
    #[error("{0}")]
    MalformedBody(String),
    /// The body is larger than 16 KiB.
    #[error("the body is larger than {} bytes", crate::model::limits::BODY_BYTES_MAX)]
    BodyTooLarge,
    /// There is no valid ticket.
    #[error("the header Authorization has no valid ticket; get one with POST /v1/me/feed-tickets")]
    InvalidTicket,
    /// The deployment has no function URL.
    #[error("this deployment has no feed URL; read feeds at the address of this API")]
    NoFeedUrl,
    /// Function URLs do not serve this.
    #[error("only GET /v1/feeds/home and GET /v1/feeds/trending are served at this address")]
    RouteNotFound,
    /// The token's `sub` is not a valid user id.
    #[error(transparent)]
    InvalidUserId(#[from] InvalidUserId),
    /// The path has neither a valid id nor a valid handle.
    #[error(transparent)]
    InvalidUserRef(#[from] InvalidUserRef),
    /// The text is empty or too long.
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
    /// `limit` is not a number from 1 to 100.
    #[error("limit must be a number from 1 to {}", crate::model::limits::PAGE_MAX)]
    InvalidLimit,
    /// The feed or list does not have this order.
    #[error("order must be one of: {}", known.join(", "))]
    UnknownOrder {
        /// The orders that it has.
        known: Vec<&'static str>,
    },
    /// `explain` is neither `true` nor `false`.
    #[error("explain must be true or false")]
    InvalidExplain,
    /// `include_hidden` is neither `true` nor `false`.
    #[error("include_hidden must be true or false")]
    InvalidIncludeHidden,
    /// `ids` has no id, or one that is not valid.
    #[error("ids must be ids with commas between them")]
    InvalidIds,
    /// `ids` has an id twice.
    #[error("ids must be different")]
    DuplicateIds,
    /// `ids` has more than 100 ids.
    #[error("there may be at most {} ids", crate::model::limits::IDS_MAX)]
    TooManyIds,
    /// `newer_than` was not made for this caller, or stands beside parameters that make no sense with it.
    #[error("newer_than must be the `newest` of a page of your home, without cursor, order and explain")]
    InvalidNewerThan,
    /// The path names no kind of notifications.
    #[error(transparent)]
    UnknownKind(#[from] crate::model::UnknownKind),
    /// `from` and `to` are no range of days.
    #[error(transparent)]
    InvalidDays(#[from] crate::model::InvalidDays),
    /// The statistics of the first day are kept no longer.
    #[error("statistics are kept for {days} days")]
    StatisticsNotKept {
        /// For how many days they are kept, today included.
        days: u32,
    },
    /// The deployment counts no statistics.
    #[error("this deployment counts no statistics")]
    StatisticsOff,
    /// `up_to` is no moment.
    #[error("up_to must be the `at` of a notification, such as 2026-11-24T09:31:00.000Z")]
    InvalidUpTo,
    /// `up_to` has not come yet.
    #[error("up_to must not be in the future")]
    UpToInFuture,
    /// The path has no valid tag.
    #[error(transparent)]
    InvalidTag(#[from] InvalidTag),
    /// The query of a search cannot be answered.
    #[error(transparent)]
    InvalidQuery(#[from] InvalidQuery),
    /// The deployment has no search.
    #[error("this deployment has no search: its operator can turn it on with the parameter SearchDays")]
    SearchOff,
    /// `Tidings-Min-Version` is not a version.
    #[error("Tidings-Min-Version must be a number that a response had in Tidings-Version")]
    InvalidVersion,
    /// The caller's log does not have this version yet.
    #[error("Tidings-Min-Version is higher than the version of your newest command")]
    VersionUnknown,
    /// The cursor was not made by this deployment for this caller, route and order.
    #[error("the cursor is not valid for this caller, route and order; omit it to start from the first page")]
    InvalidCursor,
    /// The cursor is older than 24 h.
    #[error("the cursor has expired; omit it to start from the first page")]
    CursorExpired,
    /// An administrator has suspended the caller.
    #[error("your account is suspended: you can read, and delete the account")]
    AccountSuspended,
    /// The caller's account is deleted.
    #[error("your account is deleted")]
    AccountDeleted,
    /// An administrator has taken the caller's own post down.
    #[error("the post was taken down: you can delete it")]
    PostTakenDown,
    /// The caller has no profile yet.
    #[error("create a profile first: PUT /v1/me")]
    ProfileRequired,
    /// The caller asked for their own profile and has none.
    #[error("you have no profile yet; create one: PUT /v1/me")]
    ProfileNotFound,
    /// Another user has the handle, or gave it up less than 30 days ago.
    #[error("the handle `{handle}` is taken; choose another one")]
    HandleTaken {
        /// The handle.
        handle: Handle,
    },
    /// Nobody can claim the handle.
    #[error("the handle `{handle}` is reserved; choose another one")]
    HandleReserved {
        /// The handle.
        handle: Handle,
    },
    /// Nobody has the handle at present.
    #[error("nobody has the handle `{handle}`")]
    HandleNotFound {
        /// The handle.
        handle: Handle,
    },
    /// The user does not exist.
    #[error("the user does not exist")]
    UserNotFound,
    /// The post does not exist, or was deleted.
    #[error("the post does not exist")]
    PostNotFound,
    /// The comment does not exist, or was deleted.
    #[error("the comment does not exist")]
    CommentNotFound,
    /// No post of the last 30 days has the tag.
    #[error("no post of the last 30 days has this tag")]
    TagNotFound,
    /// The post was edited as often as the limit allows.
    #[error("a post can be edited at most {POST_EDITS_MAX} times")]
    EditLimitReached,
    /// Only the author may do this.
    #[error("only the author may do this")]
    NotAuthor,
    /// The caller tried to follow themselves.
    #[error("you cannot follow yourself")]
    CannotFollowSelf,
    /// The caller tried to mute themselves.
    #[error("you cannot mute yourself")]
    CannotMuteSelf,
    /// The caller tried to block themselves.
    #[error("you cannot block yourself")]
    CannotBlockSelf,
    /// The caller mutes as many accounts as the limit allows.
    #[error("you mute {MUTES_MAX} accounts, which is the limit; unmute one first")]
    MuteLimitReached,
    /// The caller blocks as many accounts as the limit allows.
    #[error("you block {BLOCKS_MAX} accounts, which is the limit; unblock one first")]
    BlockLimitReached,
    /// The caller blocks the other user, or the other user blocks the caller.
    #[error("you block this user, or this user blocks you")]
    Blocked,
    /// The caller follows as many accounts as the limit allows.
    #[error("you follow {FOLLOWING_MAX} accounts, which is the limit; unfollow one first")]
    FollowingLimitReached,
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for another request; use a new key")]
    IdempotencyKeyReused,
    /// The caller has done too much of this kind.
    #[error("too many {} in a short time; repeat the request after {} s", .0.kind.plural(), .0.retry_after_secs())]
    RateLimited(RateLimited),
}

impl From<RateLimited> for Rejection {
    fn from(limited: RateLimited) -> Self {
        Self::RateLimited(limited)
    }
}
