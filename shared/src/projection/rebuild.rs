//! Rebuilds: read models are filled from the command table alone, beside the ones that are read
//! ([decision 0040](../../../docs/decisions/0040-a-read-model-has-two-tables.md)).
//!
//! A rebuild goes through phases ([`Phase`]). In each of them, the command table is divided into segments. A segment
//! goes in steps: a step is a task of the work queue, reads from where the step before ended, and sends the task of the
//! next one. So a kill repeats one step. Each phase visits what it needs:
//!
//! - `Fill` applies every user's log to the target, and shows every like, which is in no log. Both make the notices and
//!   inboxes.
//! - `Settle` applies what is left of every log, shows every counter on the card that `Fill` has made, and copies the
//!   posts of each followed author into the home of the follower. By now, every process pushes new posts into the homes
//!   of the target. A post whose author row came before the copy is copied, and any later one is pushed. The log is
//!   applied to the set that is read, too: `Fill` leaves to it purges, and the homes of timelines that both sets share,
//!   and nobody applies anything to it after the switch.
//! - `Clear` and `Retire` empty the tables that are not active.
//!
//! Whoever ends the last segment of a phase begins the next phase by one conditional write.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use super::{
    Dependencies, Projector, Projectors,
    quarantine::catch_up_or_quarantine,
    tally::{self, Shown},
    trending::merge_soon,
    walks::WAIT_MAX,
};
use crate::{
    deadline::Deadline,
    error::Error,
    model::{
        HomeRows, Maintained, ModelSet, Phase, PostId, READ_MODELS, ReadModel, ReadModelsState, Rebuild, TallyChange,
        UserId, Work, limits::FEED_AGE_MAX,
    },
    store::{
        Consistency, Meter,
        read_models::Segment,
        scan::ScanKey,
        segments::{Origin, Part},
        timelines::{Range, Timeline},
    },
    stream::{
        quarantine::Quarantine,
        work_queue::{RebuildStep, Task, WorkQueue},
    },
};

/// Items of the command table that are read at a time.
const PAGE: i32 = 500;
/// Likes that are shown at once.
const LIKES_AT_ONCE: usize = 16;
/// Rows that are copied at a time.
const ROWS: usize = 200;
/// How long a segment waits after a step that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How long the first steps of a phase wait, so that they do not come before it has begun.
const FIRST_STEP_AFTER: Duration = Duration::from_secs(1);
/// A step uses about what its segment may use in this time, and the wait behind it is as long.
const STEP_BUDGET: Duration = WAIT_MAX;
/// Segments at most. One page of a query holds all of them.
pub const SEGMENTS_MAX: u32 = 500;
/// Largest budget of a rebuild, in units per second.
pub const UNITS_PER_SECOND_MAX: u32 = 1_000_000;

/// Takes steps of rebuilds.
#[derive(Debug, Clone)]
pub struct Rebuilder {
    /// The projections that the steps use. Their calls of DynamoDB are metered.
    pub projectors: Projectors,
    /// Where events are put that can never be applied.
    pub quarantine: Quarantine,
}

/// What is left of a step.
enum Left {
    /// The segment goes on behind this place.
    More,
    /// The segment is done.
    Nothing,
}

/// The present step of a segment.
struct Stepping<'a> {
    rebuilder: &'a Rebuilder,
    /// Measures what the step costs.
    meter: &'a Meter,
    state: &'a ReadModelsState,
    rebuild: &'a Rebuild,
    part: Part,
    segment: &'a mut Segment,
    deadline: Deadline,
    /// Units that the step may use.
    units_max: f64,
}

impl Rebuilder {
    /// Takes a step of a segment, and sends the next one.
    ///
    /// # Errors
    /// As those of the stores and the queue. The step may be taken again.
    pub async fn step(&self, step: RebuildStep, deadline: Deadline) -> Result<(), Error> {
        let (commands, clock) = (&self.projectors.0.commands, &self.projectors.0.clock);
        let state = commands.read_models(Consistency::Strong).await?;
        let Some(rebuild) = state.rebuild.as_ref().filter(|rebuild| rebuild.started_at == step.started_at) else {
            return Ok(());
        };
        if step.phase < rebuild.phase {
            return Ok(());
        }
        if step.phase > rebuild.phase {
            // Whoever sent this step was to begin its phase then, and has probably died before that.
            return self.end_of_segment(&state, rebuild).await;
        }
        let wait = rebuild.work_begins_at(self.projectors.0.read_models.policy()).since(clock.now());
        if !wait.is_zero() {
            // Not every process knows of the phase.
            return self.send(step, wait.clamp(Duration::from_secs(1), WAIT_MAX)).await;
        }
        let before = commands.segment(rebuild.started_at, rebuild.phase, step.segment).await?;
        if before.is_done {
            return self.end_of_segment(&state, rebuild).await;
        }
        if step.steps < before.steps {
            return Ok(());
        }
        let meter = Meter::default();
        let begun = Instant::now();
        let mut segment = before.clone();
        let units_per_second = f64::from(rebuild.units_per_second) / f64::from(rebuild.segments.max(1));
        let part = Part { segment: step.segment, of: rebuild.segments };
        let stepping = Stepping {
            rebuilder: self,
            meter: &meter,
            state: &state,
            rebuild,
            part,
            segment: &mut segment,
            deadline,
            units_max: units_per_second * STEP_BUDGET.as_secs_f64(),
        };
        let left = meter.measure(stepping.work()).await;
        let cost = meter.cost();
        segment.done += Work {
            read_units: whole(cost.read_units),
            write_units: whole(cost.write_units),
            busy_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..Work::default()
        };
        let units = cost.read_units + cost.write_units;
        let in_budget = Duration::try_from_secs_f64(units / units_per_second).unwrap_or(STEP_BUDGET);
        let mut pause = in_budget.saturating_sub(begun.elapsed());
        match left {
            Ok(Left::More) => {}
            // The position may name a user, whose account may be erased some day.
            Ok(Left::Nothing) => (segment.is_done, segment.after, segment.within) = (true, None, None),
            Err(error) => {
                tracing::warn!(segment = step.segment, %error, "a step of the rebuild failed and comes again");
                pause = pause.max(AFTER_FAILURE);
            }
        }
        (segment.steps, segment.at) = (step.steps + 1, clock.now());
        let is_done = segment.is_done;
        if !is_done {
            // Before the segment is written: a kill in between leaves two messages, of which the later one is dropped.
            self.send(RebuildStep { steps: step.steps + 1, ..step }, pause).await?;
        }
        match commands.put_segment(step.segment, before.revision, segment).await {
            // Another message was faster: one of this segment, or a late one of a phase that was cancelled. This one
            // has to come again if nothing of the segment may be under way otherwise.
            Err(Error::Conflict) if is_done || step.steps > before.steps => {
                return Err(Error::transient("a step of the rebuild", "another worker took the step at once"));
            }
            Err(Error::Conflict) => return Ok(()),
            written => written?,
        }
        if is_done { self.end_of_segment(&state, rebuild).await } else { Ok(()) }
    }

    /// Begins the next phase if all segments of this one are done.
    async fn end_of_segment(&self, state: &ReadModelsState, rebuild: &Rebuild) -> Result<(), Error> {
        let (commands, clock) = (&self.projectors.0.commands, &self.projectors.0.clock);
        let segments = commands.segments(rebuild.started_at, rebuild.phase).await?;
        let done = segments.iter().filter(|segment| segment.is_done).count();
        if u32::try_from(done).unwrap_or(u32::MAX) < rebuild.segments {
            return Ok(());
        }
        let mut total = Work::default();
        segments.iter().for_each(|segment| total += segment.done);
        let next = state.clone().advanced(total, clock.now());
        let (is_switched, active) = (next.active != state.active, next.active);
        if is_switched {
            // If the cards are among what is switched, readers use the list of the new table from now on.
            let of = Maintained { set: active, homes: HomeRows::Now };
            let projector = self.projectors.projector(of, state);
            projector.catch_up.effects.cards.merge_trending(clock.now()).await?;
        }
        if let Some(next) = &next.rebuild {
            // Before the phase is written: a step that comes too early begins its phase, and one that nobody sends is
            // lost. No phase is so short that its first step would be late.
            send_first_steps(&self.projectors.0.work_queue, next, &[]).await?;
        } else if rebuild.cancelled && rebuild.models.contains(&ReadModel::Cards) {
            let [made, read] = [rebuild.target, state.active].map(|set| set.table(ReadModel::Cards));
            if made == read {
                // Counters without a card were left to this rebuild, which has not shown them on the cards that are
                // read. By now, nobody leaves any more to it.
                commands.request_sweep(clock.now()).await?;
            }
        }
        let phase = next.rebuild.as_ref().map(|rebuild| rebuild.phase);
        match commands.put_read_models(state, next).await {
            // Whoever was faster did the same, or an operator has cancelled the rebuild.
            Err(Error::Conflict) => return Ok(()),
            written => written?,
        }
        if is_switched {
            tracing::info!(%active, "readers switch to the rebuilt tables");
        }
        tracing::info!(ended = ?rebuild.phase, begins = ?phase, ?total, "a phase of the rebuild has ended");
        Ok(())
    }

    async fn send(&self, step: RebuildStep, delay: Duration) -> Result<(), Error> {
        self.projectors.0.work_queue.send_after(delay, vec![Task::Rebuild(step)]).await
    }
}

/// Sends the next steps of all segments of the rebuild's phase that are not done. `begun` are those that were begun.
///
/// # Errors
/// As the queue's. Some may have been sent. Sending them again changes nothing but the pace.
pub async fn send_first_steps(
    work_queue: &WorkQueue,
    rebuild: &Rebuild,
    begun: &[(u32, Segment)],
) -> Result<(), Error> {
    let task = |segment: u32| {
        let known = begun.iter().find(|(number, _)| *number == segment).map(|(_, segment)| segment);
        let open = known.is_none_or(|segment| !segment.is_done);
        let steps = known.map_or(0, |segment| segment.steps);
        open.then_some(Task::Rebuild(RebuildStep {
            started_at: rebuild.started_at,
            phase: rebuild.phase,
            segment,
            steps,
        }))
    };
    let tasks: Vec<_> = (0..rebuild.segments).filter_map(task).collect();
    if tasks.is_empty() {
        // All segments are done. The last of them begins the next phase.
        let last = RebuildStep { started_at: rebuild.started_at, phase: rebuild.phase, segment: 0, steps: 0 };
        return work_queue.send_after(FIRST_STEP_AFTER, vec![Task::Rebuild(last)]).await;
    }
    work_queue.send_after(FIRST_STEP_AFTER, tasks).await
}

impl Stepping<'_> {
    async fn work(mut self) -> Result<Left, Error> {
        match self.rebuild.phase {
            Phase::Clear | Phase::Retire => self.clear().await,
            Phase::Fill | Phase::Settle => self.visit().await,
        }
    }

    /// Whether the step ends here: the time is up, or the budget.
    fn is_over(&self) -> bool {
        let cost = self.meter.cost();
        self.deadline.is_near() || cost.read_units + cost.write_units >= self.units_max
    }

    /// Empties the tables that are not active.
    async fn clear(&mut self) -> Result<Left, Error> {
        for model in READ_MODELS {
            let table = self.state.active.table(model).other();
            let emptied = self.rebuilder.projectors.0.tables.emptied(model, table);
            while let Some(deleted) = self.deadline.limit(emptied.delete_some(self.part)).await? {
                self.segment.done.cleared += deleted;
                if self.is_over() {
                    return Ok(Left::More);
                }
            }
        }
        Ok(Left::Nothing)
    }

    /// Visits the next items of the command table. The position moves behind each item that is done.
    async fn visit(&mut self) -> Result<Left, Error> {
        let projector = self.projector();
        loop {
            let commands = &self.rebuilder.projectors.0.commands;
            let page = self.deadline.limit(commands.origins(self.part, self.segment.after.as_ref(), PAGE)).await?;
            let mut origins = page.origins.into_iter();
            while let Some((mut place, origin)) = origins.next() {
                let done = match origin {
                    Ok(Origin::Like(user, post)) => {
                        // A user's likes stand next to each other.
                        let mut likes = vec![(user, post)];
                        while likes.len() < LIKES_AT_ONCE
                            && let [(next, Ok(Origin::Like(user, post))), ..] = origins.as_slice()
                        {
                            place = next.clone();
                            likes.push((user.clone(), *post));
                            origins.next();
                        }
                        self.show_likes(&projector, &likes).await?;
                        true
                    }
                    Ok(origin) => self.visit_one(&projector, &place, origin).await?,
                    Err(error) => {
                        tracing::error!(?place, %error, "an item of the command table makes no sense");
                        true
                    }
                };
                if !done {
                    return Ok(Left::More);
                }
                (self.segment.after, self.segment.within) = (Some(place), None);
                if self.is_over() {
                    return Ok(Left::More);
                }
            }
            match page.next {
                None => return Ok(Left::Nothing),
                next => self.segment.after = next,
            }
            if self.is_over() {
                return Ok(Left::More);
            }
        }
    }

    /// The projector of the target.
    fn projector(&self) -> Projector {
        let Rebuild { target, phase, .. } = *self.rebuild;
        // If the tables that are read are filled in place, their homes are filled at once, too.
        let in_place = target == self.state.active;
        let homes = if phase == Phase::Fill && !in_place { HomeRows::Later } else { HomeRows::Now };
        self.rebuilder.projectors.projector(Maintained { set: target, homes }, self.state)
    }

    /// Visits an item. False if it is not done yet.
    async fn visit_one(&mut self, projector: &Projector, place: &ScanKey, origin: Origin) -> Result<bool, Error> {
        let fills = |model| self.rebuild.models.contains(&model);
        match (origin, self.rebuild.phase) {
            (Origin::User(user), Phase::Settle) => {
                if !self.apply_log_to_active(&user).await? || !self.apply_log(projector, &user).await? {
                    return Ok(false);
                }
                if fills(ReadModel::Timelines) {
                    return self.copy_posts(projector, place, &user, &user).await;
                }
                Ok(true)
            }
            (Origin::User(user), _) => self.apply_log(projector, &user).await,
            (Origin::Tally(change), Phase::Settle) if fills(ReadModel::Cards) => {
                self.show_tally(projector, change).await?;
                Ok(true)
            }
            (Origin::Follow(follower, followee), Phase::Settle) if fills(ReadModel::Timelines) => {
                if !self.rebuilder.projectors.0.celebrities.are_pushed(&followee).await? {
                    return Ok(true);
                }
                let done = self.copy_posts(projector, place, &followee, &follower).await?;
                self.segment.done.follows += u64::from(done);
                Ok(done)
            }
            (Origin::Tally(_) | Origin::Follow(..) | Origin::Like(..), _) => Ok(true),
        }
    }

    /// Applies the user's log to its end, past the events that can never be applied. False if the time does not
    /// suffice. A user whose log makes no sense is left to the work queue, where the failure is dealt with as any
    /// other.
    async fn apply_log(&mut self, projector: &Projector, user: &UserId) -> Result<bool, Error> {
        let quarantine = &self.rebuilder.quarantine;
        let applied = catch_up_or_quarantine(&projector.catch_up, quarantine, user, self.deadline);
        match self.deadline.limit(applied).await {
            Ok(None) => self.segment.done.users += 1,
            Ok(Some(_)) => return Ok(false),
            Err(error @ Error::Poison { .. }) => {
                tracing::error!(%user, %error, "the log of a user cannot be applied");
                projector.work_queue.send(vec![Task::CatchUp { user: user.clone() }]).await?;
                self.segment.done.users_left += 1;
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Applies the user's log to the set that is read, if that is not the target. False if the time does not suffice.
    /// A log that makes no sense is passed over: the tables that are read may be why there is a rebuild.
    async fn apply_log_to_active(&self, user: &UserId) -> Result<bool, Error> {
        let active = Maintained { set: self.state.active, homes: HomeRows::Now };
        if active.set == self.rebuild.target {
            return Ok(true);
        }
        let Rebuilder { projectors, quarantine } = self.rebuilder;
        let projector = projectors.projector(active, self.state);
        let applied = catch_up_or_quarantine(&projector.catch_up, quarantine, user, self.deadline);
        match self.deadline.limit(applied).await {
            Ok(wait) => Ok(wait.is_none()),
            Err(error @ Error::Poison { .. }) => {
                tracing::error!(%user, %error, "the log of a user cannot be applied to the tables that are read");
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Shows a counter. One without a card is left to the work queue, which knows why.
    async fn show_tally(&mut self, projector: &Projector, change: TallyChange) -> Result<(), Error> {
        let Dependencies { tables, clock, .. } = &self.rebuilder.projectors.0;
        let cards = tables.cards(self.rebuild.target.table(ReadModel::Cards));
        match self.deadline.limit(tally::show(cards, &change.subject, std::slice::from_ref(&change))).await? {
            Shown::NoCard => {
                let task = Task::SettleTally { subject: change.subject, shards: vec![change.shard] };
                projector.work_queue.send(vec![task]).await?;
            }
            Shown::OnCard { may_trend } => {
                self.deadline.limit(projector.indexer.check_place(&change.subject)).await?;
                if may_trend {
                    merge_soon(cards, &projector.work_queue, clock.now()).await?;
                }
            }
        }
        self.segment.done.tallies += 1;
        Ok(())
    }

    /// Shows likes, if this is the time to do so. One that makes no sense is left to the work queue.
    async fn show_likes(&mut self, projector: &Projector, likes: &[(UserId, PostId)]) -> Result<(), Error> {
        if self.rebuild.phase != Phase::Fill || !self.rebuild.models.contains(&ReadModel::Timelines) {
            return Ok(());
        }
        let show = async |(user, post): &(UserId, PostId)| {
            let shown = projector.repair.settle_likes(*post, std::slice::from_ref(user)).await;
            match shown {
                Err(error @ Error::Poison { .. }) => {
                    tracing::error!(%user, %post, %error, "a like cannot be shown");
                    projector.work_queue.send(Task::settle_likes(*post, [user.clone()])).await
                }
                shown => shown,
            }
        };
        let shown = stream::iter(likes).map(show).buffer_unordered(LIKES_AT_ONCE).try_collect::<()>();
        self.deadline.limit(shown).await?;
        self.segment.done.likes += likes.len() as u64;
        Ok(())
    }

    /// Copies the author's posts of the last 30 days into a home. False if the time does not suffice.
    async fn copy_posts(
        &mut self,
        projector: &Projector,
        place: &ScanKey,
        author: &UserId,
        viewer: &UserId,
    ) -> Result<bool, Error> {
        let began: Option<PostId> =
            self.segment.within.as_ref().filter(|(item, _)| item == place).map(|(_, post)| *post);
        let mut range = Range { before: began, since: self.rebuilder.projectors.0.clock.now().before(FEED_AGE_MAX) };
        let (timeline, home) = (Timeline::Author(author.clone()), [Timeline::Home(viewer.clone())]);
        let timelines = &projector.walks.timelines;
        loop {
            let page = self.deadline.limit(timelines.newest(&timeline, range, ROWS, Consistency::Strong)).await?;
            self.deadline.limit(timelines.put_rows(&home, &page.rows)).await?;
            self.segment.done.home_rows += page.rows.len() as u64;
            let Some(last) = page.rows.last().filter(|_| page.more) else { return Ok(true) };
            range.before = Some(last.post);
            self.segment.within = Some((place.clone(), last.post));
            if self.is_over() {
                return Ok(false);
            }
        }
    }
}

/// The tables that a rebuild of these models fills: beside those that are active, or these themselves.
///
/// Beside them, the viewer items are filled, too: they tell what of the logs is in the other tables of their set. In
/// place, they are filled beside unless they are themselves lost.
pub fn target(active: ModelSet, models: &[ReadModel], in_place: bool) -> ModelSet {
    let is_lost = in_place && models.contains(&ReadModel::Viewers);
    let beside = |model: &ReadModel| match model {
        ReadModel::Viewers => !is_lost,
        model => !in_place && models.contains(model),
    };
    let models = READ_MODELS.into_iter().filter(beside);
    models.fold(active, |set, model| set.with(model, active.table(model).other()))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "units of a step are few and not negative")]
fn whole(units: f64) -> u64 {
    units.round() as u64
}

#[cfg(test)]
mod tests;
