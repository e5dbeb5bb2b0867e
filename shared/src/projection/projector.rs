//! All projections of users' logs, put together.

use super::{
    audience::Audience,
    backfill::Backfill,
    blocked_follows::BlockedFollows,
    catch_up::CatchUp,
    demotion::Demotion,
    effects::{BlockEffects, Effects, PostEffects, ProfileEffects},
    purge::Purge,
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
    /// The clock.
    pub clock: Clock,
}

/// The projections of users' logs. `fanout` starts them, `deliver` continues them.
#[derive(Debug, Clone)]
pub struct Projector {
    /// Applies logs.
    pub catch_up: CatchUp,
    /// Pushes posts to followers.
    pub audience: Audience,
    /// Demotes celebrities.
    pub demotion: Demotion,
    /// Removes what is left of deleted posts.
    pub purge: Purge,
    /// Ends the follows of blocked users.
    pub blocked_follows: BlockedFollows,
    /// Takes the tasks that are left.
    pub work_queue: WorkQueue,
}

impl Projector {
    /// Puts the projections together.
    pub fn new(dependencies: Dependencies) -> Self {
        let Dependencies { commands, timelines, viewers, cards, celebrities, work_queue, clock } = dependencies;
        let audience = Audience {
            commands: commands.clone(),
            celebrities: celebrities.clone(),
            timelines: timelines.clone(),
            work_queue: work_queue.clone(),
        };
        let backfill = Backfill { timelines: timelines.clone(), clock: clock.clone() };
        let demotion = Demotion {
            commands: commands.clone(),
            celebrities: celebrities.clone(),
            backfill: backfill.clone(),
            work_queue: work_queue.clone(),
            clock: clock.clone(),
        };
        let purge = Purge { commands: commands.clone(), timelines: timelines.clone(), work_queue: work_queue.clone() };
        let profile = ProfileEffects { cards: cards.clone(), timelines: timelines.clone(), clock: clock.clone() };
        let blocked_follows =
            BlockedFollows { commands: commands.clone(), work_queue: work_queue.clone(), clock: clock.clone() };
        let follows = blocked_follows.clone();
        let blocks = BlockEffects { commands: commands.clone(), viewers: viewers.clone(), follows };
        let posts = PostEffects {
            commands: commands.clone(),
            cards: cards.clone(),
            timelines,
            audience: audience.clone(),
            purge: purge.clone(),
            clock,
        };
        let effects = Effects { posts, blocks, profile, celebrities, backfill, cards };
        Self {
            catch_up: CatchUp { commands, viewers, effects },
            audience,
            demotion,
            purge,
            blocked_follows,
            work_queue,
        }
    }
}
