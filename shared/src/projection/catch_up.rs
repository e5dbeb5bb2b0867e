//! Catching up: bring everything that follows from a user's log as far as the log is.
//!
//! The order of writes is what keeps it exact: first an event's effects, last, in one conditional write, the viewer with
//! `applied`. A crash in between repeats effects, which changes nothing; a second worker finds `applied` moved and starts
//! again from there.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use tokio::sync::OnceCell;

use super::Projector;
use crate::{
    error::Error,
    model::{Profile, UserEvent, UserId, Version, Viewer},
    store::{Consistency, command_table::LogEntry},
};

/// Events read and applied at a time.
const PAGE: i32 = 100;
/// Effects of one page under way at once. They need no order among themselves: each writes what the truth says.
const EFFECTS_AT_ONCE: usize = 8;
/// Times that the viewer is read again after another worker moved it.
const RACES_MAX: u32 = 20;

/// How far a catch-up came.
#[derive(Debug)]
pub enum Progress {
    /// To the end of the log.
    UpToDate,
    /// Up to before this event, whose effects failed.
    Stuck {
        /// The event.
        version: Version,
        /// Why.
        error: Error,
    },
}

impl Projector {
    /// Applies the user's log from where it was applied to its end, or until it surely holds `at_least`.
    ///
    /// # Errors
    /// As the stores'; what was applied by then stays so.
    pub async fn catch_up(&self, user: &UserId, at_least: Option<Version>) -> Result<Progress, Error> {
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
                fold(&mut viewer, entry)?;
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

    /// Does what the events entail; gives those that failed, by version.
    async fn apply_effects(&self, user: &UserId, entries: &[LogEntry]) -> BTreeMap<Version, Error> {
        let author = Author::new(user);
        let mut failed: BTreeMap<_, _> = stream::iter(entries)
            .map(|entry| self.apply_entry(&author, entry))
            .buffer_unordered(EFFECTS_AT_ONCE)
            .filter_map(|(version, result)| async move { Some((version, result.err()?)) })
            .collect()
            .await;
        if let Some(Ok(last)) = entries.last().map(|entry| &entry.event)
            && let Err(error) = self.cards.put_totals(user, last.totals, last.version).await
        {
            failed.insert(last.version, error);
        }
        failed
    }

    async fn apply_entry(&self, author: &Author<'_>, entry: &LogEntry) -> (Version, Result<(), Error>) {
        let result = match &entry.event {
            Ok(event) => self.apply_effect(author, &event.event).await,
            Err(why) => Err(Error::poison(format!("event {} of {}", entry.version, author.user), why)),
        };
        (entry.version, result)
    }

    pub(super) async fn apply_effect(&self, author: &Author<'_>, event: &UserEvent) -> Result<(), Error> {
        match event {
            UserEvent::ProfileChanged(_) => self.show_profile(author).await,
            UserEvent::PostCreated { post, .. } => self.show_new_post(author, *post).await,
            UserEvent::PostEdited { post } | UserEvent::PostDeleted { post } => self.show_post(author, *post).await,
            UserEvent::UserFollowed { followee } => self.backfill(author.user, followee).await,
            // Whom a viewer follows, mutes and blocks is filtered by the reader; there is nothing to clean up.
            UserEvent::UserUnfollowed { .. }
            | UserEvent::UserMuted { .. }
            | UserEvent::UserUnmuted { .. }
            | UserEvent::UserBlocked { .. }
            | UserEvent::UserUnblocked { .. } => Ok(()),
            // Comments are read from the truth; that they are counted follows from their tally.
            UserEvent::PostCommented { .. } | UserEvent::CommentDeleted { .. } => Ok(()),
        }
    }
}

/// Folds an entry; one that cannot be understood only counts.
///
/// # Errors
/// [`Error::Poison`] if entries before it are missing.
pub fn fold(viewer: &mut Viewer, entry: &LogEntry) -> Result<(), Error> {
    let folded = match &entry.event {
        Ok(event) => viewer.apply(entry.version, &event.event),
        Err(_) => viewer.pass(entry.version).map(|_| ()),
    };
    folded.map_err(|gap| Error::poison("a log", gap))
}

/// The user whose log is applied, with the profile, which is read once for all events.
pub(super) struct Author<'a> {
    pub(super) user: &'a UserId,
    profile: OnceCell<Profile>,
}

impl<'a> Author<'a> {
    pub(super) fn new(user: &'a UserId) -> Self {
        Self { user, profile: OnceCell::new() }
    }

    /// The profile as it stands in the truth.
    pub(super) async fn profile(&self, projector: &Projector) -> Result<&Profile, Error> {
        let read = || async {
            let profile = projector.commands.profile(self.user).await?;
            profile.ok_or_else(|| Error::poison(format!("user {}", self.user), "has no profile"))
        };
        self.profile.get_or_try_init(read).await
    }
}
