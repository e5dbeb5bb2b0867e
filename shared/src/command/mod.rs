//! Commands, one file each. A command reads what its decision rests on, decides in a pure, synchronous function, and
//! commits its event with all changes of the event in one transaction. It writes nothing else, except, before that, the
//! mark of followers or comments that it spreads over several partitions (`store/spread.rs`). The event reaches the bus
//! from the table's stream (INV-1).
//!
//! `decision.rs` has the trait that every command implements, `run.rs` runs a command, and `attempts.rs` bounds how
//! often it is decided again. `once.rs` makes a repeated request a single effect.
//!
//! `moderate.rs` has what administrators decide: commands in the logs of other users. `delete_account.rs` ends a log.
//!
//! Likes are an exception: there are too many of them for the log. [`react_to_post`] commits a like with its count.
//! What a user says about notifications is another one, see `notifications.rs`.

mod attempts;
mod block_user;
mod comment_on_post;
mod create_post;
mod decision;
mod delete_account;
mod delete_comment;
mod delete_post;
mod edit_post;
mod end_follow;
mod follow_user;
mod mentions;
mod moderate;
mod mute_user;
mod notifications;
mod once;
mod own_edge;
mod patch_profile;
mod react_to_post;
mod remove_follower;
mod run;
mod update_profile;

pub use block_user::BlockUser;
pub use comment_on_post::CommentOnPost;
pub use create_post::CreatePost;
pub use decision::{Command, Committed, Decision, Turn};
pub use delete_account::DeleteAccount;
pub use delete_comment::DeleteComment;
pub(crate) use delete_comment::removal_of_comment;
pub use delete_post::DeletePost;
pub use edit_post::EditPost;
pub(crate) use end_follow::end_follow;
pub use follow_user::FollowUser;
pub use moderate::{ModeratePost, ModerateUser, Moderation};
pub use mute_user::MuteUser;
pub use notifications::{see_notifications, turn_notifications};
pub use patch_profile::PatchProfile;
pub use react_to_post::react_to_post;
pub use remove_follower::RemoveFollower;
pub use run::run;
pub use update_profile::UpdateProfile;
