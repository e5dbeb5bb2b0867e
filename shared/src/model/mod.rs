//! Ids, posts, users, events and limits: plain values without I/O. A value that exists is valid: each is made by a
//! function that checks it, and nothing here panics on input.

mod clock;
mod event;
mod handle;
mod id;
mod idempotency;
pub mod limits;
mod post;
mod profile;
mod tally;
mod text;
mod version;

pub use clock::{Clock, Timestamp};
pub use event::{LogEvent, Totals, UserEvent};
pub use handle::{Handle, InvalidHandle};
pub use id::{CommandId, InvalidUserId, PostId, UserHash, UserId, UserRef};
pub use idempotency::{IdempotencyKey, InvalidIdempotencyKey};
pub use post::Post;
pub use profile::{AvatarUrl, DisplayName, InvalidProfile, Profile, PublicProfile};
pub use tally::{Tally, TallyChange, TallyImage, TallyShard};
pub use text::{InvalidText, Tag, Text};
pub use version::Version;
