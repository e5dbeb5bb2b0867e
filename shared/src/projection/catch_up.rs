//! Catching up: applies a user's log to the read models, from where it was applied last to its end.
//!
//! The order of the writes makes this exact. The effects of a page of events come first. Last, one conditional write
//! stores the viewer with its new `applied`. A crash in between repeats effects, which changes nothing. A worker that
//! finds that another one moved `applied` starts again from there.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};

use super::{effects::Effects, owner::LogOwner};
use crate::{
    error::Error,
    model::{LogEntry, UserId, Version},
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
            let mut failed = self.apply_effects(user, &entries).await.into_iter();
            let stuck = failed.next();
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
            }
            if let Some((version, error)) = stuck {
                return Ok(Progress::Stuck { version, error });
            }
        }
    }

    /// Applies the effects of the events. Returns the events whose effects failed, by version.
    async fn apply_effects(&self, user: &UserId, entries: &[LogEntry]) -> BTreeMap<Version, Error> {
        let owner = LogOwner::new(user, &self.commands);
        let mut failed: BTreeMap<_, _> = stream::iter(entries)
            .map(|entry| self.apply_entry(&owner, entry))
            .buffer_unordered(EFFECTS_AT_ONCE)
            .filter_map(|(version, result)| async move { Some((version, result.err()?)) })
            .collect()
            .await;
        if let Some(Ok(last)) = entries.last().map(|entry| &entry.event)
            && let Err(error) = self.effects.show_totals(user, last.totals, last.version).await
        {
            failed.insert(last.version, error);
        }
        failed
    }

    async fn apply_entry(&self, owner: &LogOwner<'_>, entry: &LogEntry) -> (Version, Result<(), Error>) {
        let result = match &entry.event {
            Ok(event) => self.effects.apply(owner, &event.event).await,
            Err(why) => Err(Error::poison(format!("event {} of {}", entry.version, owner.user), why)),
        };
        (entry.version, result)
    }
}

#[cfg(test)]
mod tests;
