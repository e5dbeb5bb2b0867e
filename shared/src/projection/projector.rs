//! All projections of users' logs, put together.

use std::{num::NonZeroUsize, time::Duration};

use super::{
    blocked_follows::BlockedFollows,
    blocks::BlockEffects,
    catch_up::CatchUp,
    effects::{Effects, PostEffects},
    notices::Notices,
    repair::Repair,
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
    /// How long an erasure waits before it removes items: longer than any function runs.
    pub erasure_delay: Duration,
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
    /// Ends follows of blocked users.
    pub blocked_follows: BlockedFollows,
    /// Keeps notices and inboxes.
    pub notices: Notices,
    /// Sets parts of the read models to what the truth says.
    pub repair: Repair,
    /// Takes the tasks that are left.
    pub work_queue: WorkQueue,
    /// The clock.
    pub clock: Clock,
}

impl Projector {
    /// Puts the projections together.
    pub fn new(dependencies: Dependencies) -> Self {
        let Dependencies {
            commands,
            timelines,
            viewers,
            cards,
            celebrities,
            work_queue,
            erasure_delay,
            step_rows,
            clock,
        } = dependencies;
        let walks = Walks {
            commands: commands.clone(),
            timelines: timelines.clone(),
            viewers: viewers.clone(),
            cards: cards.clone(),
            celebrities,
            work_queue: work_queue.clone(),
            clock: clock.clone(),
            erasure_delay,
            step_rows,
        };
        let blocked_follows =
            BlockedFollows { commands: commands.clone(), work_queue: work_queue.clone(), clock: clock.clone() };
        let follows = blocked_follows.clone();
        let blocks = BlockEffects { commands: commands.clone(), viewers: viewers.clone(), follows };
        let notices = Notices {
            commands: commands.clone(),
            timelines: timelines.clone(),
            work_queue: work_queue.clone(),
            erasure_delay,
            clock: clock.clone(),
        };
        let posts = PostEffects {
            commands: commands.clone(),
            cards: cards.clone(),
            timelines,
            walks: walks.clone(),
            notices: notices.clone(),
            clock: clock.clone(),
        };
        let effects = Effects { posts, blocks, walks: walks.clone(), notices: notices.clone(), cards };
        let catch_up = CatchUp { commands, viewers, effects, clock: clock.clone() };
        let repair = Repair { catch_up: catch_up.clone(), work_queue: work_queue.clone() };
        Self { catch_up, walks, blocked_follows, notices, repair, work_queue, clock }
    }
}
