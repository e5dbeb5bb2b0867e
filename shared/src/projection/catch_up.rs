//! Catching up: applies a user's log to the read models, from where it was applied last to its end.
//!
//! The order of the writes makes this exact. The effects of some events come first. Then one conditional write stores
//! the viewer with its new `applied`. A crash in between repeats effects, which changes nothing. A worker that finds
//! that another one moved `applied` starts again from there. If this happens again and again, it leaves the user to the
//! other one for a while: many workers on one user would only repeat each other's effects.
//!
//! Effects that a page of the log needs several times are applied once. Nobody waits for a long page: `applied` moves
//! every quarter of a second, and when the time is up, the caller hands over what is left.

use std::{collections::HashSet, time::Duration};

use futures::{
    StreamExt,
    future::{join, try_join},
    stream,
};
use tokio::time::Instant;

use super::{
    effects::{Effect, Effects, Planned, plan},
    owner::LogOwner,
    walks::Completion,
};
use crate::{
    deadline::Deadline,
    error::Error,
    metrics,
    model::{Clock, LogEntry, LogEvent, UserId, Version, Viewer, limits::BACKFILLS_MAX},
    store::{
        Consistency,
        command_table::{CommandTable, unreadable},
        viewers::{StoredViewer, Viewers},
    },
};

/// Events read at a time.
const PAGE: i32 = 100;
/// Effects that are applied before `applied` may move.
const EFFECTS_PER_STEP: usize = 16;
/// Effects that run at once. They need no order among themselves: each writes what the truth says.
const EFFECTS_AT_ONCE: usize = 8;
/// After this time, `applied` moves, although the page is not done. A write of the viewer item may be 50 units, so it
/// does not move with each step. It moves after the first one, where two workers learn that they have the same user.
const STORE_INTERVAL: Duration = Duration::from_millis(250);
/// How often a worker that lost a race for `applied` starts again before it leaves the user alone.
const RACES_LOST_MAX: u32 = 3;
/// How long it leaves the user alone. The other worker moves `applied` several times in it.
const RIVAL_WAIT: Duration = Duration::from_secs(2);
/// How long a user waits who has too many unfinished backfills.
const BACKFILL_WAIT: Duration = Duration::from_secs(5);

/// How far a catch-up came.
#[derive(Debug)]
pub enum Progress {
    /// The log is applied to its end.
    UpToDate,
    /// The log is applied up to the event before this one, whose effects failed.
    Stuck {
        /// The event.
        version: Version,
        /// Why its effects failed.
        error: Error,
    },
    /// The log is applied in part, and the rest has to follow after this time: the deadline is near, the user has too
    /// many unfinished backfills, or another worker works on the user.
    Paused(Duration),
}

/// Applies users' logs.
#[derive(Debug, Clone)]
pub struct CatchUp {
    pub(super) commands: CommandTable,
    pub(super) viewers: Viewers,
    pub(super) effects: Effects,
    pub(super) clock: Clock,
    /// Whether readers use these tables. What a rebuild applies to others says nothing about how late feeds are.
    pub(super) is_read: bool,
}

impl CatchUp {
    /// Applies the user's log to its end, as far as time allows. With `at_least`, stops as soon as the log is applied
    /// up to that version.
    ///
    /// # Errors
    /// As the stores'. What was applied by then stays applied.
    pub async fn user(&self, user: &UserId, at_least: Option<Version>, deadline: Deadline) -> Result<Progress, Error> {
        let mut races = 0;
        loop {
            let stored = self.viewers.get(user, Consistency::Strong).await?;
            let applied = stored.viewer.applied;
            if at_least.is_some_and(|version| version <= applied) {
                return Ok(Progress::UpToDate);
            }
            let entries = self.commands.log_after(user, applied, PAGE).await?;
            if entries.is_empty() {
                return Ok(Progress::UpToDate);
            }
            if deadline.is_near() {
                return Ok(Progress::Paused(Duration::ZERO));
            }
            if entries.first().is_some_and(|entry| entry.version != applied.next()) {
                // The account is being erased, or is erased already. Nothing is written for it any more.
                self.effects.walks.begin_erasure(user).await?;
                return Ok(Progress::UpToDate);
            }
            // Others are far ahead of a set that nobody reads. To write what the erasure removes would be a race.
            if !self.is_read && self.effects.walks.begin_erasure(user).await? {
                return Ok(Progress::UpToDate);
            }
            let entries = fitting(&stored.viewer, &entries)?;
            if entries.is_empty() {
                self.effects.walks.repeat_oldest_backfill(user, &stored.viewer).await?;
                return Ok(Progress::Paused(BACKFILL_WAIT));
            }
            match self.apply_page(user, stored, entries, deadline).await {
                Ok(None) => {}
                Ok(Some(Progress::Stuck { error: Error::Poison { .. }, .. }))
                    if self.effects.walks.begin_erasure(user).await? =>
                {
                    return Ok(Progress::UpToDate);
                }
                Ok(Some(progress)) => return Ok(progress),
                Err(Error::Conflict) if races < RACES_LOST_MAX => races += 1,
                Err(Error::Conflict) => return Ok(Progress::Paused(RIVAL_WAIT)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Applies the effects of these events of the user's log once more. Returns the first event whose effects failed.
    /// All effects of the events in front of it are applied.
    pub(super) async fn apply_again(&self, user: &UserId, entries: &[LogEntry]) -> Option<(Version, Error)> {
        let owner = &LogOwner::new(user, &self.commands);
        let (events, stuck) = readable(user, entries);
        let mut failed: Vec<_> = stuck.into_iter().collect();
        // A deleted account has no card any more.
        if let Some(last) = events.last().filter(|last| !last.standing.is_deleted()) {
            let totals = self.effects.show_totals(user, last.totals, last.version);
            if let Err(error) = try_join(totals, self.effects.count_soon(owner, &events)).await {
                failed.push((last.version, error));
            }
        }
        let results: Vec<_> = stream::iter(plan(events))
            .map(async |Planned { version, effect }| (version, self.effects.apply_late(owner, &effect).await))
            .buffer_unordered(EFFECTS_AT_ONCE)
            .collect()
            .await;
        failed.extend(results.into_iter().filter_map(|(version, result)| Some((version, result.err()?))));
        failed.into_iter().min_by_key(|(version, _)| *version)
    }

    /// Applies these events, which follow the stored viewer. Returns why it did not come to their end, if it did not.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another worker moved the viewer.
    async fn apply_page(
        &self,
        user: &UserId,
        mut stored: StoredViewer,
        entries: &[LogEntry],
        deadline: Deadline,
    ) -> Result<Option<Progress>, Error> {
        let owner = &LogOwner::new(user, &self.commands);
        let (events, mut stuck) = readable(user, entries);
        if let Some(last) = events.last() {
            let totals = self.effects.show_totals(user, last.totals, last.version);
            let (totals, counted) = join(totals, self.effects.count_soon(owner, &events)).await;
            if let Err(error) = totals {
                stuck = Some((last.version, error));
            }
            if let (Err(error), Some(first)) = (counted, events.first()) {
                // Nothing may be passed over that is neither counted nor left to the work queue.
                stuck = Some((first.version, error));
            }
        }
        let mut open = plan(events.iter().copied());
        let (mut complete, mut stored_at) = (Complete::default(), None::<Instant>);
        loop {
            let failed = self.apply_step(owner, &mut open, &mut complete).await;
            if let Some(failed) = failed.filter(|failed| stuck.as_ref().is_none_or(|stuck| failed.0 < stuck.0)) {
                stuck = Some(failed);
                open.clear();
            }
            let is_last = open.is_empty();
            let is_early = stored_at.is_some_and(|stored_at| stored_at.elapsed() < STORE_INTERVAL);
            if !is_last && !deadline.is_near() && is_early {
                continue;
            }
            // Every effect of the events in front of this one is applied.
            let (next, failed) = (open.first().map(|open| open.version), stuck.as_ref().map(|stuck| stuck.0));
            let end = next.into_iter().chain(failed).min();
            let entries = entries.iter().filter(|entry| end.is_none_or(|end| entry.version < end));
            let (viewer, all) = complete.fold(&stored.viewer, entries)?;
            if viewer.applied > stored.viewer.applied {
                let before = stored.viewer.applied;
                stored = self.viewers.put(user, &stored, viewer).await?;
                stored_at = Some(Instant::now());
                if let Some(oldest) = events.iter().find(|event| event.version > before).filter(|_| self.is_read) {
                    metrics::FEED_LAG.record(self.clock.now().since(oldest.at));
                }
            }
            if !all {
                self.effects.walks.repeat_oldest_backfill(user, &stored.viewer).await?;
                return Ok(Some(Progress::Paused(BACKFILL_WAIT)));
            }
            match stuck {
                Some((version, error)) if is_last => return Ok(Some(Progress::Stuck { version, error })),
                None if is_last => return Ok(None),
                _ if deadline.is_near() => return Ok(Some(Progress::Paused(Duration::ZERO))),
                _ => {}
            }
        }
    }

    /// Applies the next of the open effects. Returns the first event whose effect failed.
    async fn apply_step(
        &self,
        owner: &LogOwner<'_>,
        open: &mut Vec<Planned>,
        complete: &mut Complete,
    ) -> Option<(Version, Error)> {
        let step: Vec<_> = open.drain(..open.len().min(EFFECTS_PER_STEP)).collect();
        let results: Vec<_> = stream::iter(step)
            .map(|Planned { version, effect }| async move {
                let result = self.effects.apply(owner, &effect).await;
                (version, effect, result)
            })
            .buffer_unordered(EFFECTS_AT_ONCE)
            .collect()
            .await;
        let mut failed = Vec::new();
        for (version, effect, result) in results {
            match result {
                Ok(Completion::Complete) => drop(complete.0.insert(effect)),
                Ok(Completion::Walking) => {}
                Err(error) => failed.push((version, error)),
            }
        }
        failed.into_iter().min_by_key(|(version, _)| *version)
    }
}

/// The events in front of the first one that cannot be read, and why that one cannot.
fn readable<'a>(user: &UserId, entries: &'a [LogEntry]) -> (Vec<&'a LogEvent>, Option<(Version, Error)>) {
    let unread = |entry: &LogEntry| {
        let why = entry.event.as_ref().err()?;
        Some((entry.version, unreadable(user, entry.version, why.clone())))
    };
    (entries.iter().map_while(|entry| entry.event.as_ref().ok()).collect(), entries.iter().find_map(unread))
}

/// The entries that leave the viewer with few enough unfinished backfills, also if each of them needs a walk. So no
/// effect is applied for nothing while the viewer waits for a backfill to end.
fn fitting<'a>(viewer: &Viewer, entries: &'a [LogEntry]) -> Result<&'a [LogEntry], Error> {
    // An event begins one backfill at most, so there nearly always is room.
    if viewer.unfinished.backfills.len() + entries.len() <= BACKFILLS_MAX {
        return Ok(entries);
    }
    let readable = entries.iter().take_while(|entry| entry.event.is_ok());
    let (folded, all) = Complete::default().fold(viewer, readable)?;
    let end = entries.partition_point(|entry| all || entry.version <= folded.applied);
    Ok(&entries[..end])
}

/// The effects that are complete without a walk.
#[derive(Debug, Default)]
struct Complete(HashSet<Effect>);

impl Complete {
    /// Folds the entries, as far as the limit of unfinished backfills allows. Returns the viewer, and whether all
    /// entries are folded.
    ///
    /// A follow that its unfollow follows in the same page has no effect. If only the follow is folded, its backfill is
    /// unfinished until the unfollow is folded.
    fn fold<'a>(
        &self,
        viewer: &Viewer,
        entries: impl Iterator<Item = &'a LogEntry> + Clone,
    ) -> Result<(Viewer, bool), Error> {
        let (mut folded, mut fits_at) = (viewer.clone(), viewer.applied);
        for entry in entries.clone() {
            self.fold_one(&mut folded, entry)?;
            if folded.unfinished.backfills.len() <= BACKFILLS_MAX {
                fits_at = folded.applied;
            }
        }
        if fits_at == folded.applied {
            return Ok((folded, true));
        }
        let mut fitting = viewer.clone();
        for entry in entries.filter(|entry| entry.version <= fits_at) {
            self.fold_one(&mut fitting, entry)?;
        }
        Ok((fitting, false))
    }

    fn fold_one(&self, viewer: &mut Viewer, entry: &LogEntry) -> Result<(), Error> {
        viewer.fold(entry)?;
        // The effects of a page show what the truth says after its last event. So they are complete for each event.
        for effect in entry.event.iter().flat_map(|event| Effect::of(&event.event)) {
            if self.0.contains(&effect) {
                effect.complete(&mut viewer.unfinished, entry.version);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
