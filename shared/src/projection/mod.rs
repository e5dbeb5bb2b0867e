//! Projections: they keep the read models behind the command table.
//!
//! A message tells a projection only that there is something new; what it is, is read from the truth. Every effect writes
//! what the truth says at that time, so doing it twice, late, or at once with another worker ends in the same read model.

mod audience;
mod catch_up;
mod demotion;
mod follow;
mod post;
mod profile;
mod quarantine;
pub mod tally;

pub use catch_up::{Progress, fold};

use crate::{
    celebrities::Celebrities,
    model::Clock,
    store::{cards::Cards, command_table::CommandTable, timelines::Timelines, viewers::Viewers},
    stream::work_queue::WorkQueue,
};

/// What projections work with: the truth, the read models, and the queue for what is too large or fails at present.
#[derive(Debug, Clone)]
pub struct Projector {
    /// The truth.
    pub commands: CommandTable,
    /// Who gets to see which post where.
    pub timelines: Timelines,
    /// What has been projected of whom.
    pub viewers: Viewers,
    /// What is shown.
    pub cards: Cards,
    /// Whose posts are pulled.
    pub celebrities: Celebrities,
    /// Large audiences.
    pub work_queue: WorkQueue,
    /// The time.
    pub clock: Clock,
}
