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

use stepping::{Left, Stepping};
use tokio::time::Instant;

use super::{Projectors, walks::WAIT_MAX};
use crate::{
    deadline::Deadline,
    error::Error,
    model::{HomeRows, Maintained, ModelSet, READ_MODELS, ReadModel, ReadModelsState, Rebuild, Work},
    store::{Consistency, Meter, read_models::Segment, segments::Part},
    stream::{
        quarantine::Quarantine,
        work_queue::{RebuildStep, Task, WorkQueue},
    },
};

mod stepping;

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
        let (segment, pause) = self.work(step, &state, rebuild, before.clone(), deadline).await;
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

    /// Works on a segment for a step. Returns the segment as it stands then, and how long the next step waits.
    async fn work(
        &self,
        step: RebuildStep,
        state: &ReadModelsState,
        rebuild: &Rebuild,
        mut segment: Segment,
        deadline: Deadline,
    ) -> (Segment, Duration) {
        let (meter, begun) = (Meter::default(), Instant::now());
        let units_per_second = f64::from(rebuild.units_per_second) / f64::from(rebuild.segments.max(1));
        let stepping = Stepping {
            rebuilder: self,
            meter: &meter,
            state,
            rebuild,
            part: Part { segment: step.segment, of: rebuild.segments },
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
        (segment.steps, segment.at) = (step.steps + 1, self.projectors.0.clock.now());
        (segment, pause)
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
