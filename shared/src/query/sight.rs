//! What a reader sees by: the fold of the reader's own log, as far as it is projected or as far as the reader asks.
//!
//! A command answers with a version of its user's log. A query that asks for that version shows the command's effect
//! (INV-4), whether or not the projections have come so far: what they have not reached is read from the log, folded with the
//! same function, and laid over what they have written. The order of reads is what makes it exact: first the viewer item,
//! then the rows. Whatever `applied` covers was written before it, so rows that are read after it, consistently, hold it.

use std::collections::BTreeSet;

use crate::{
    error::{Error, Rejection},
    model::{PostId, Totals, UserEvent, UserId, Version, Viewer},
    store::{command_table::CommandTable, viewers::Viewers},
};

/// Events read at a time.
const PAGE: i32 = 100;
/// Events that are laid over at most. A projection so far behind stands still; the reader is asked to come again.
const BEHIND_MAX: usize = 1000;

/// Who reads, and how new it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest<'a> {
    /// Who.
    pub user: &'a UserId,
    /// Version of the reader's log whose effects are to be seen, if any is asked for.
    pub min_version: Option<Version>,
}

impl ReadRequest<'_> {
    /// The same, for whom it has to be at least as new as this, too.
    pub fn at_least(self, version: Option<Version>) -> Self {
        Self { min_version: self.min_version.max(version), ..self }
    }

    /// Whether reads have to be consistent.
    pub(super) fn consistent(&self) -> bool {
        self.min_version.is_some()
    }
}

/// What a reader sees by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sight {
    /// The fold of the reader's log.
    pub viewer: Viewer,
    /// What projections have not reached.
    pub(super) overlay: Overlay,
}

/// What follows from events that projections have not reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Overlay {
    /// The reader's posts that were made, edited or deleted.
    pub(super) posts: BTreeSet<PostId>,
    /// Whom the reader began to follow.
    pub(super) followed: BTreeSet<UserId>,
    /// Whether the reader's profile changed.
    pub(super) profile: bool,
    /// The reader's totals, if there are such events.
    pub(super) totals: Option<Totals>,
}

impl Sight {
    /// Reads what is needed: without a version asked for, the viewer item; with one, consistently, and what of the log is
    /// behind it.
    ///
    /// # Errors
    /// [`Rejection::VersionUnknown`] if the reader's log has no such version yet.
    pub async fn of(reader: ReadRequest<'_>, viewers: &Viewers, commands: &CommandTable) -> Result<Self, Error> {
        let viewer = viewers.get(reader.user, reader.consistent()).await?.viewer;
        let mut sight = Self { viewer, overlay: Overlay::default() };
        let Some(asked) = reader.min_version else { return Ok(sight) };
        let mut behind = 0;
        while sight.viewer.applied < asked {
            if behind >= BEHIND_MAX {
                return Err(Error::transient("reading one's own writes", "the projection is too far behind"));
            }
            let entries = commands.log_after(reader.user, sight.viewer.applied, PAGE).await?;
            if entries.is_empty() {
                return Err(Rejection::VersionUnknown.into());
            }
            behind += entries.len();
            for entry in &entries {
                sight.viewer.fold(entry)?;
                if let Ok(event) = &entry.event {
                    sight.overlay.add(&event.event);
                    sight.overlay.totals = Some(event.totals);
                }
            }
        }
        let viewer = &sight.viewer;
        sight.overlay.followed.retain(|user| viewer.follows(user));
        Ok(sight)
    }

    /// Whether anything is laid over what projections have written.
    pub fn overlaid(&self) -> bool {
        self.overlay.totals.is_some()
    }
}

impl Overlay {
    fn add(&mut self, event: &UserEvent) {
        match event {
            UserEvent::ProfileChanged(_) => self.profile = true,
            UserEvent::PostCreated { post, .. } | UserEvent::PostEdited { post } | UserEvent::PostDeleted { post } => {
                self.posts.insert(*post);
            }
            UserEvent::UserFollowed { followee } => {
                self.followed.insert(followee.clone());
            }
            // What these change is in the fold, or read from the truth.
            UserEvent::UserUnfollowed { .. }
            | UserEvent::UserMuted { .. }
            | UserEvent::UserUnmuted { .. }
            | UserEvent::UserBlocked { .. }
            | UserEvent::UserUnblocked { .. }
            | UserEvent::PostCommented { .. }
            | UserEvent::CommentDeleted { .. } => {}
        }
    }
}
