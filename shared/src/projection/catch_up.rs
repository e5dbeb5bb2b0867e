//! Catching up: applies a user's log to the read models, from where it was applied last to its end.
//!
//! The order of the writes makes this exact. The effects of a page of events come first. Last, one conditional write
//! stores the viewer with its new `applied`. A crash in between repeats effects, which changes nothing. A worker that
//! finds that another one moved `applied` starts again from there.
//!
//! Effects that a page needs several times are applied once.

use std::collections::HashSet;

use futures::{StreamExt, stream};

use super::{
    effects::{Effects, Planned, plan},
    owner::LogOwner,
};
use crate::{
    error::Error,
    metrics,
    model::{Clock, LogEntry, LogEvent, UserId, Version},
    retry::RACES_MAX,
    store::{Consistency, command_table::CommandTable, viewers::Viewers},
};

/// Events read and applied at a time.
const PAGE: i32 = 100;
/// Effects of one page that run at once. They need no order among themselves: each writes what the truth says.
const EFFECTS_AT_ONCE: usize = 8;

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
}

/// Applies users' logs.
#[derive(Debug, Clone)]
pub struct CatchUp {
    pub(super) commands: CommandTable,
    pub(super) viewers: Viewers,
    pub(super) effects: Effects,
    pub(super) clock: Clock,
}

impl CatchUp {
    /// Applies the user's log to its end. With `at_least`, stops as soon as the log is applied up to that version.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other workers kept moving the viewer; otherwise as the stores'. What was applied by then
    /// stays applied.
    pub async fn user(&self, user: &UserId, at_least: Option<Version>) -> Result<Progress, Error> {
        let mut races = 0;
        loop {
            let before = self.viewers.get(user, Consistency::Strong).await?;
            if at_least.is_some_and(|version| version <= before.viewer.applied) {
                return Ok(Progress::UpToDate);
            }
            let entries = self.commands.log_after(user, before.viewer.applied, PAGE).await?;
            if entries.is_empty() {
                return Ok(Progress::UpToDate);
            }
            let stuck = self.apply_effects(user, &entries).await;
            let applied = entries.iter().take_while(|entry| stuck.as_ref().is_none_or(|(at, _)| entry.version < *at));
            let mut viewer = before.viewer.clone();
            for entry in applied {
                viewer.fold(entry)?;
            }
            if viewer.applied > before.viewer.applied {
                match self.viewers.put(user, &before, &viewer).await {
                    Err(Error::Conflict) if races < RACES_MAX => {
                        races += 1;
                        continue;
                    }
                    written => written?,
                }
                if let Some(oldest) = entries.first().and_then(|entry| entry.event.as_ref().ok()) {
                    metrics::FEED_LAG.record(self.clock.now().since(oldest.at));
                }
            }
            if let Some((version, error)) = stuck {
                return Ok(Progress::Stuck { version, error });
            }
        }
    }

    /// Applies the effects of the events. Returns the first event whose effects failed. All effects of the events in
    /// front of it are applied.
    async fn apply_effects(&self, user: &UserId, entries: &[LogEntry]) -> Option<(Version, Error)> {
        let owner = &LogOwner::new(user, &self.commands);
        let mut events: Vec<&LogEvent> = entries.iter().map_while(|entry| entry.event.as_ref().ok()).collect();
        let mut stuck = entries.get(events.len()).map(|entry| {
            let why = entry.event.as_ref().err().cloned().unwrap_or_default();
            (entry.version, Error::poison(format!("event {} of {user}", entry.version), why))
        });
        let mut failed_totals = None;
        if let Some(last) = events.last() {
            let shown = self.effects.show_totals(user, last.totals, last.version).await;
            failed_totals = shown.err().map(|error| (last.version, error));
        }
        let mut done = HashSet::new();
        // If an effect fails, fewer events are applied. What they need may be more: a follow whose unfollow comes
        // behind the failure. Each round has fewer events than the one before, and repeats nothing.
        loop {
            let planned: Vec<_> =
                plan(events.iter().copied()).into_iter().filter(|it| !done.contains(&it.effect)).collect();
            let results: Vec<_> = stream::iter(planned)
                .map(|Planned { version, effect }| async move {
                    let result = self.effects.apply(owner, &effect).await;
                    (version, effect, result)
                })
                .buffer_unordered(EFFECTS_AT_ONCE)
                .collect()
                .await;
            let mut failed: Vec<_> = failed_totals.take().into_iter().collect();
            for (version, effect, result) in results {
                match result {
                    Ok(()) => drop(done.insert(effect)),
                    Err(error) => failed.push((version, error)),
                }
            }
            let Some(first) = failed.into_iter().min_by_key(|(version, _)| *version) else { return stuck };
            events.retain(|event| event.version < first.0);
            stuck = Some(first);
        }
    }
}

#[cfg(test)]
mod tests;
