//! Projections: they keep the read models up to date with the command table.
//!
//! A message only tells a projection that something is new. The projection reads what happened from the truth. Every
//! effect writes what the truth says at that time. So an effect that runs twice, late, or at once in two workers ends
//! in the same read model.
//!
//! - `catch_up` applies a user's log. `owner` is the user whose log is applied.
//! - `blocks` shows users who blocks them.
//! - `effects` maps each event to what it changes in the read models.
//! - `walks` do what may be large, step by step: they put posts into homes, and show profiles.
//! - `blocked_follows` ends follows of blocked users.
//! - `notices` tell users what others did that concerns them.
//! - `indexer` keeps the search index.
//! - `quarantine` sets events aside that can never be applied.
//! - `repair` sets parts of the read models to what the truth says.
//! - `projector` puts all of these together.
//! - `rebuild` fills read models from the truth.
//! - `statistics` count what happens on each day.
//! - `tally` shows counters on cards. It needs no log.
//! - `trending` keeps the trending list.

pub mod blocked_follows;
mod blocks;
pub mod catch_up;
mod effects;
pub mod indexer;
pub mod notices;
mod owner;
mod projector;
pub mod quarantine;
pub mod rebuild;
pub mod repair;
pub mod statistics;
pub mod tally;
mod trending;
pub mod walks;

pub use notices::{Crowds, NoticeSets};
pub use projector::{CardSets, Dependencies, Projector, Projectors};
pub use repair::LIKES_AT_ONCE;
