//! All projections of users' logs, put together: a [`Projector`] for each set of tables that is kept current.

use std::{num::NonZeroUsize, time::Duration};

use super::{
    blocked_follows::BlockedFollows,
    blocks::BlockEffects,
    catch_up::CatchUp,
    effects::{Effects, PostEffects},
    indexer::Indexer,
    notices::{Crowds, Notices},
    repair::Repair,
    statistics::Statistics,
    tally::{self, CounterShown, Waiting},
    trending::{self, merge_soon},
    walks::{Shared, SharedTables, Walks},
};
use crate::{
    celebrities::Celebrities,
    error::Error,
    model::{
        Clock, DormancyPolicy, HomeRows, Maintained, ModelSet, ReadModel, ReadModelsState, StatisticsPolicy, TableOf,
        TallyChange, TallySubject, Timestamp,
    },
    read_models::ReadModels,
    shared_cache::SharedCache,
    store::{ModelTables, command_table::CommandTable},
    stream::work_queue::{Task, WorkQueue},
};

/// What projections work with.
#[derive(Debug, Clone)]
pub struct Dependencies {
    /// The truth.
    pub commands: CommandTable,
    /// The tables of the read models.
    pub tables: ModelTables,
    /// Which of these tables are kept current.
    pub read_models: ReadModels,
    /// Authors whose posts are pulled instead of pushed.
    pub celebrities: Celebrities,
    /// The queue for tasks that are too large for a batch of the bus, or that failed there.
    pub work_queue: WorkQueue,
    /// How long an erasure waits before it removes items: longer than any function runs.
    pub erasure_delay: Duration,
    /// Rows that one step of a walk reads or writes at most.
    pub step_rows: NonZeroUsize,
    /// Which homes pushes leave out.
    pub dormancy: DormancyPolicy,
    /// How long statistics are kept.
    pub statistics: StatisticsPolicy,
    /// How far back searches go. None if there are none.
    pub search_kept: Option<Duration>,
    /// What this process leaves to the work queue at this moment, because there is so much of it.
    pub crowds: Crowds,
    /// The clock.
    pub clock: Clock,
}

/// The projections of users' logs to one set of tables. `fanout` starts them, `deliver` continues them.
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
    /// Keeps the search index.
    pub indexer: Indexer,
    /// Sets parts of the read models to what the truth says.
    pub repair: Repair,
    /// Takes the tasks that are left.
    pub work_queue: WorkQueue,
}

impl Projector {
    /// Merges the trending list, as was asked for at this moment.
    ///
    /// # Errors
    /// As the store's and the queue's.
    pub async fn merge_trending(&self, asked_at: Timestamp) -> Result<(), Error> {
        let CatchUp { effects, clock, .. } = &self.catch_up;
        trending::merge(&effects.cards, &self.work_queue, asked_at, clock.now()).await
    }
}

/// The projectors of all sets of tables that are kept current: normally one, and two during a rebuild.
#[derive(Debug, Clone)]
pub struct Projectors(pub(super) Dependencies);

impl Projectors {
    /// Puts the projections together.
    pub fn new(dependencies: Dependencies) -> Self {
        Self(dependencies)
    }

    /// A projector for each set of tables that is kept current at this moment. The set that is read comes first.
    ///
    /// # Errors
    /// As [`ReadModels::state`].
    pub async fn maintained(&self) -> Result<Vec<Projector>, Error> {
        let (state, sets) = (self.0.read_models.state().await?, self.0.read_models.maintained().await?);
        Ok(sets.into_iter().map(|set| self.projector(set, &state)).collect())
    }

    /// The projectors that have to do this task, which is about one set of tables or about all. There is none if the
    /// set is not kept current any more, unless its timelines are still read.
    ///
    /// # Errors
    /// As [`ReadModels::known`].
    pub async fn of_task(&self, on: Option<ModelSet>, task: &Task) -> Result<Vec<Projector>, Error> {
        if let Some(on) = on {
            let known = self.0.read_models.known(on).await?;
            let state = self.0.read_models.state().await?;
            let known = known.or_else(|| {
                // A rebuild that fills no timelines puts no post into homes. The walks of the set that was read do. So
                // do its tasks about likes, follows, comments and inboxes.
                let keeps_timelines = on.table(ReadModel::Timelines) == state.active.table(ReadModel::Timelines);
                let goes_on = matches!(
                    task,
                    Task::Walk(_)
                        | Task::SettleLikes { .. }
                        | Task::ShowFollows { .. }
                        | Task::ShowComments { .. }
                        | Task::Notify { .. }
                        | Task::Recount(_)
                );
                (goes_on && keeps_timelines).then_some(Maintained { set: state.active, homes: HomeRows::Now })
            });
            return Ok(known.map(|set| self.projector(set, &state)).into_iter().collect());
        }
        let (state, mut sets) = (self.0.read_models.state().await?, self.0.read_models.maintained().await?);
        match task {
            // This one does its work on all sets.
            task if task.is_shared() => sets.truncate(1),
            // Without a rebuild, it was sent about the set that is read.
            Task::Notify { .. } => sets.truncate(1),
            // The walks of a set that is being filled belong to that set alone.
            Task::Walk(_) => sets.retain(Maintained::fills_homes),
            Task::CatchUp { .. }
            | Task::Redo { .. }
            | Task::Reapply { .. }
            | Task::SettleUser { .. }
            | Task::SettlePost { .. }
            | Task::SettleTally { .. }
            | Task::SettleLikes { .. }
            | Task::ShowFollows { .. }
            | Task::ShowComments { .. }
            | Task::MergeTrending { .. }
            | Task::Recount(_)
            | Task::CheckRow { .. }
            | Task::Index(_)
            | Task::EndFollow { .. }
            | Task::Republish { .. }
            | Task::Rebuild(_) => {}
        }
        Ok(sets.into_iter().map(|set| self.projector(set, &state)).collect())
    }

    /// The projector of this set of tables.
    pub(crate) fn projector(&self, of: Maintained, state: &ReadModelsState) -> Projector {
        let Dependencies { commands, tables, read_models, celebrities, work_queue, .. } = self.0.clone();
        let Dependencies { erasure_delay, step_rows, dormancy, statistics: policy, search_kept, crowds, clock, .. } =
            self.0.clone();
        let mut timelines = tables.timelines(of.set.table(ReadModel::Timelines)).clone();
        let mut viewers = tables.viewers(of.set.table(ReadModel::Viewers)).clone();
        let mut cards = tables.cards(of.set.table(ReadModel::Cards)).clone();
        if !of.fills_homes() {
            // Nobody reads these tables yet, so the shared cache has nothing of those that are only filled.
            let read = |model| of.set.table(model) == state.active.table(model);
            let none = SharedCache::none;
            timelines = if read(ReadModel::Timelines) { timelines } else { timelines.with_cache(none()) };
            viewers = if read(ReadModel::Viewers) { viewers } else { viewers.with_cache(none()) };
            cards = if read(ReadModel::Cards) { cards } else { cards.with_cache(none()) };
        }
        // Without a rebuild, there is only one set, and messages name none.
        let work_queue = if state.rebuild.is_some() { work_queue.about(of.set) } else { work_queue };
        let (now, switch) = (clock.now(), read_models.policy());
        let maintained = state.maintained(now, switch);
        let with_content = |model| state.with_content(model, now, switch);
        let shared = SharedTables {
            timelines: shared(&maintained, with_content, ReadModel::Timelines, |table| tables.timelines(table).clone()),
            viewers: shared(&maintained, with_content, ReadModel::Viewers, |table| tables.viewers(table).clone()),
            cards: shared(&maintained, with_content, ReadModel::Cards, |table| tables.cards(table).clone()),
            search: shared(&maintained, with_content, ReadModel::Search, |table| tables.search(table).clone()),
        };
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
            dormancy,
            homes: of.homes,
            shared,
        };
        let blocked_follows =
            BlockedFollows { commands: commands.clone(), work_queue: work_queue.clone(), clock: clock.clone() };
        let follows = blocked_follows.clone();
        let blocks = BlockEffects { commands: commands.clone(), viewers: viewers.clone(), follows };
        let (truth, facts) = (commands.clone(), timelines.clone());
        let statistics = Statistics { commands: truth, timelines: facts, policy, clock: clock.clone() };
        let notices = Notices {
            commands: commands.clone(),
            timelines: timelines.clone(),
            statistics,
            work_queue: work_queue.clone(),
            clock: clock.clone(),
            crowds,
            filled_until: state.timelines_filled_until(of.set.table(ReadModel::Timelines)),
        };
        let indexer = Indexer {
            commands: commands.clone(),
            index: tables.search(of.set.table(ReadModel::Search)).clone(),
            // Cards that are being made count no followers yet.
            cards: tables.cards(state.active.table(ReadModel::Cards)).clone(),
            work_queue: work_queue.clone(),
            clock: clock.clone(),
            kept: search_kept,
        };
        let posts = PostEffects {
            commands: commands.clone(),
            cards: cards.clone(),
            timelines,
            walks: walks.clone(),
            notices: notices.clone(),
            indexer: indexer.clone(),
            clock: clock.clone(),
        };
        let effects = Effects { posts, blocks, walks: walks.clone(), notices: notices.clone(), cards };
        let catch_up = CatchUp { commands, viewers, effects, clock, is_read: of.set == state.active };
        let cards_are_made = state.makes_cards(of.set.table(ReadModel::Cards));
        let repair = Repair { catch_up: catch_up.clone(), work_queue: work_queue.clone(), cards_are_made };
        Projector { catch_up, walks, blocked_follows, notices, indexer, repair, work_queue }
    }
}

/// The tables of a model, of all sets.
fn shared<T>(
    maintained: &[Maintained],
    with_content: impl Fn(ReadModel) -> Vec<TableOf>,
    model: ReadModel,
    open: impl Fn(TableOf) -> T,
) -> Shared<T> {
    let mut kept: Vec<_> = maintained.iter().map(|it| it.set.table(model)).collect();
    kept.dedup();
    Shared {
        maintained: kept.into_iter().map(&open).collect(),
        with_content: with_content(model).into_iter().map(open).collect(),
    }
}

/// The cards of all sets of tables that are kept current. Counters are shown on all of them.
#[derive(Debug, Clone)]
pub struct CardSets {
    /// The tables of the read models.
    pub tables: ModelTables,
    /// Which of these tables are kept current.
    pub read_models: ReadModels,
    /// The truth, from which users are indexed.
    pub commands: CommandTable,
    /// The queue for users whose followers give them another place in the search index.
    pub work_queue: WorkQueue,
    /// How far back searches go. None if there are none.
    pub search_kept: Option<Duration>,
    /// Counters that wait for their cards.
    pub waiting: Waiting,
    /// The clock.
    pub clock: Clock,
}

impl CardSets {
    /// Adds these images of a subject's counter to the subject's cards that are kept current at this moment. Returns
    /// false if a card is missing that no rebuild is about to make. A user who gains or loses many followers gets
    /// another place in the search index.
    ///
    /// # Errors
    /// As [`tally::show`], [`ReadModels::state`] and the queue's.
    pub async fn show(&self, subject: &TallySubject, changes: &[TallyChange]) -> Result<bool, Error> {
        let (state, sets) = (self.read_models.state().await?, self.read_models.maintained().await?);
        let mut tables: Vec<_> = sets.iter().map(|it| it.set.table(ReadModel::Cards)).collect();
        tables.dedup();
        let mut shown = true;
        for table in tables {
            let cards = self.tables.cards(table);
            cards.learn_contenders(self.clock.now()).await?;
            match tally::show(cards, subject, changes).await? {
                // Whoever makes a card reads the whole counter afterwards.
                CounterShown::NoCard => shown &= state.makes_cards(table),
                CounterShown::OnCard { may_trend: true } => {
                    merge_soon(cards, &self.work_queue, self.clock.now()).await?;
                }
                CounterShown::OnCard { may_trend: false } => {}
            }
        }
        let mut indexes: Vec<_> = sets.iter().map(|it| it.set.table(ReadModel::Search)).collect();
        indexes.dedup();
        for index in indexes {
            self.indexer(index, state.active.table(ReadModel::Cards)).check_place(subject).await?;
        }
        Ok(shown)
    }

    fn indexer(&self, index: TableOf, cards: TableOf) -> Indexer {
        let Self { tables, commands, work_queue, search_kept, clock, .. } = self.clone();
        let (index, cards) = (tables.search(index).clone(), tables.cards(cards).clone());
        Indexer { commands, index, cards, work_queue, clock, kept: search_kept }
    }
}
