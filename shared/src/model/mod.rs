//! Ids, posts, users, events and limits: plain values without I/O. Every value is made by a function that checks it, so
//! a value that exists is valid. No input makes this module panic.

mod celebrity;
mod clock;
mod comment;
mod commenter;
mod edge;
mod entity;
mod handle;
mod id;
mod idempotency;
mod like;
pub mod limits;
mod notification;
mod partition_shard;
mod post;
mod profile;
pub mod ranking;
mod rate_limit;
mod read_models;
mod run;
pub mod search;
mod standing;
mod statistics;
mod tag;
mod tally;
mod text;
mod unicode;
mod user_event;
mod version;
mod viewer;
mod visit;

pub use celebrity::{Celebrity, CelebrityList, CelebrityPolicy};
pub use clock::{CLOCK_DIFFERENCE_MAX, Clock, Timestamp};
pub use comment::Comment;
pub use commenter::Commenter;
pub use edge::{Edge, EdgeKey, EdgeKind, EdgeState};
pub use entity::{Entities, Entity, IgnoredBecause, IgnoredTag, Meaning};
pub use handle::{Handle, InvalidHandle, ReservedHandles};
pub(crate) use id::NOT_IN_MESSAGES;
pub use id::{CommandId, CommentId, InvalidUserId, InvalidUserRef, PostId, UserHash, UserId, UserRef};
pub use idempotency::{IdempotencyKey, InvalidIdempotencyKey};
pub use like::{Like, LikeChange};
pub use notification::{Day, Group, Grouped, Growth, Inbox, Mentioned, Notice, NotificationKind, UnknownKind};
pub use partition_shard::PartitionShard;
pub use post::{Hidden, Post, ReactedPost};
pub use profile::{AvatarUrl, DisplayName, InvalidName, InvalidProfile, Profile, PublicProfile};
pub use rate_limit::{Limited, RateLimit, RateLimited, RateLimits, Spent, SpentUntil};
pub use read_models::{
    HomeRows, InvalidModelSet, Maintained, ModelSet, OPERATION_MAX, Phase, READ_MODELS, ReadModel, ReadModelsState,
    Rebuild, SwitchPolicy, TableOf, Work,
};
pub use run::{InvalidRun, RunStep};
pub use standing::Standing;
pub use statistics::{
    Cause, DayFact, DayNumbers, DayRange, FactKind, InvalidDays, StatisticsPolicy, UnknownFact, facts_of,
};
pub use tag::{InvalidTag, Tag};
pub use tally::{Counts, SHARDS_GROWTH, SHARDS_MAX, Tally, TallyChange, TallyImage, TallyShard, TallySubject};
pub use text::{CommentText, InvalidText, Text};
pub use user_event::{LogEntry, LogEvent, Totals, Unreadable, UserEvent};
pub use version::Version;
pub use viewer::{Blockers, Gap, Unfinished, Viewer};
pub use visit::{DormancyPolicy, Visit};
