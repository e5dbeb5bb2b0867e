//! All projections of users' logs, put together.

use std::num::NonZeroUsize;

use super::{
    catch_up::CatchUp,
    effects::{BlockEffects, Effects, PostEffects},
    walks::Walks,
};
use crate::{
    celebrities::Celebrities,
    model::Clock,
    store::{cards::Cards, command_table::CommandTable, timelines::Timelines, viewers::Viewers},
    stream::work_queue::WorkQueue,
};

/// What projections work with.
#[derive(Debug, Clone)]
pub struct Dependencies {
    /// The truth.
    pub commands: CommandTable,
    /// Which posts stand in which timeline.
    pub timelines: Timelines,
    /// How far each log is applied, and whom each viewer follows, mutes and blocks.
    pub viewers: Viewers,
    /// Contents of posts and profiles.
    pub cards: Cards,
    /// Authors whose posts are pulled instead of pushed.
    pub celebrities: Celebrities,
    /// The queue for tasks that are too large for a batch of the bus, or that failed there.
    pub work_queue: WorkQueue,
    /// Rows that one step of a walk reads or writes at most.
    pub step_rows: NonZeroUsize,
    /// The clock.
    pub clock: Clock,
}

/// The projections of users' logs. `fanout` starts them, `deliver` continues them.
#[derive(Debug, Clone)]
pub struct Projector {
    /// Applies logs.
    pub catch_up: CatchUp,
    /// Does what may be large.
    pub walks: Walks,
    /// Takes the tasks that are left.
    pub work_queue: WorkQueue,
}

impl Projector {
    /// Puts the projections together.
    pub fn new(dependencies: Dependencies) -> Self {
        let Dependencies { commands, timelines, viewers, cards, celebrities, work_queue, step_rows, clock } =
            dependencies;
        let walks = Walks {
            commands: commands.clone(),
            timelines: timelines.clone(),
            viewers: viewers.clone(),
            cards: cards.clone(),
            celebrities,
            work_queue: work_queue.clone(),
            clock: clock.clone(),
            step_rows,
        };
        let blocks = BlockEffects { commands: commands.clone(), viewers: viewers.clone() };
        let posts =
            PostEffects { commands: commands.clone(), cards: cards.clone(), timelines, walks: walks.clone(), clock };
        let effects = Effects { posts, blocks, walks: walks.clone(), cards };
        Self { catch_up: CatchUp { commands, viewers, effects }, walks, work_queue }
    }
}
