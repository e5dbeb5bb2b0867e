//! The viewer: the fold of a user's log into what readers need of it. The fold is pure, so a query can fold events that
//! the projection has not reached yet with the same function.

use std::collections::{BTreeMap, BTreeSet};

use super::{EdgeKind, EdgeState, LogEntry, UserEvent, UserHash, UserId, Version, limits::BLOCKERS_LISTED_MAX};

/// What readers need to know of a user. All but `blocked_by` follows from the user's log, and from how far walks are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Viewer {
    /// The log is applied up to this version. The effects of its events are in the read models, too.
    pub applied: Version,
    /// Whom the viewer follows.
    pub followed: BTreeSet<UserHash>,
    /// Whom the viewer mutes.
    pub muted: BTreeSet<UserHash>,
    /// Whom the viewer blocks.
    pub blocked: BTreeSet<UserHash>,
    /// Who blocks the viewer. This is in the logs of those users, so their projections set it.
    pub blocked_by: Blockers,
    /// Effects of applied events that walks have not completed.
    pub unfinished: Unfinished,
}

/// Effects of applied events that walks have not completed. Readers make up for each of them. The fold adds them, and
/// projections remove those that are complete.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unfinished {
    /// Followed authors whose posts may not all be in the viewer's home, with the version of the follow. Readers read
    /// the authors' own rows. There are at most [`BACKFILLS_MAX`].
    ///
    /// [`BACKFILLS_MAX`]: super::limits::BACKFILLS_MAX
    pub backfills: BTreeMap<UserId, Version>,
    /// Version of the profile that some cards of the viewer's posts may not show. Readers read the viewer's profile.
    pub profile: Option<Version>,
}

impl Unfinished {
    /// The backfill of a follow of this version, or of an older one, is complete.
    pub fn end_backfill(&mut self, author: &UserId, version: Version) {
        if self.backfills.get(author).is_some_and(|follow| *follow <= version) {
            self.backfills.remove(author);
        }
    }

    /// All cards show the profile of this version, or a newer one.
    pub fn end_profile(&mut self, version: Version) {
        self.profile = self.profile.filter(|profile| *profile > version);
    }
}

/// Who blocks a user. Any number of users may block one, so the list ends at [`BLOCKERS_LISTED_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blockers {
    /// These users do, and nobody else.
    Listed(BTreeSet<UserHash>),
    /// Too many for a list, or the list was begun too late: releases up to 0.2 kept none. Readers ask the command table
    /// about each user.
    Unlisted,
}

impl Default for Blockers {
    fn default() -> Self {
        Self::Listed(BTreeSet::new())
    }
}

impl Blockers {
    /// Sets whether this user is one of them.
    pub fn set(&mut self, user: &UserId, state: EdgeState) {
        let Self::Listed(users) = self else { return };
        match state {
            EdgeState::Active => users.insert(user.hash()),
            EdgeState::Ended => users.remove(&user.hash()),
        };
        if users.len() > BLOCKERS_LISTED_MAX {
            *self = Self::Unlisted;
        }
    }
}

/// An event cannot be folded before the events in front of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log is applied up to {applied}, so event {found} is not the next one")]
pub struct Gap {
    /// The log is applied up to this version.
    pub applied: Version,
    /// The version of the event.
    pub found: Version,
}

impl Viewer {
    /// Folds an entry of the log. Nothing is left after the deletion of the account. An entry that cannot be understood
    /// only moves `applied`. One that was folded before changes nothing.
    ///
    /// # Errors
    /// [`Gap`] if entries before it are missing.
    pub fn fold(&mut self, entry: &LogEntry) -> Result<(), Gap> {
        if entry.version > self.applied
            && entry.event.as_ref().is_ok_and(|event| event.event == UserEvent::AccountDeleted)
        {
            // The events in front of it may have been erased.
            *self = Self { applied: entry.version, ..Self::default() };
            return Ok(());
        }
        if self.advance(entry.version)?
            && let Ok(event) = &entry.event
        {
            self.apply(entry.version, &event.event);
        }
        Ok(())
    }

    fn apply(&mut self, version: Version, event: &UserEvent) {
        match event {
            UserEvent::UserFollowed { followee } => {
                self.set(EdgeKind::Follows, followee, EdgeState::Active);
                self.unfinished.backfills.insert(followee.clone(), version);
            }
            UserEvent::UserUnfollowed { followee } => self.set(EdgeKind::Follows, followee, EdgeState::Ended),
            UserEvent::UserMuted { muted } => self.set(EdgeKind::Mutes, muted, EdgeState::Active),
            UserEvent::UserUnmuted { muted } => self.set(EdgeKind::Mutes, muted, EdgeState::Ended),
            UserEvent::UserBlocked { blocked } => {
                self.set(EdgeKind::Blocks, blocked, EdgeState::Active);
                self.set(EdgeKind::Follows, blocked, EdgeState::Ended);
            }
            UserEvent::UserUnblocked { blocked } => self.set(EdgeKind::Blocks, blocked, EdgeState::Ended),
            UserEvent::ProfileChanged(_) => self.unfinished.profile = Some(version),
            UserEvent::PostCreated { .. }
            | UserEvent::PostEdited { .. }
            | UserEvent::PostDeleted { .. }
            | UserEvent::PostCommented { .. }
            | UserEvent::CommentDeleted { .. }
            | UserEvent::FollowerRemoved { .. }
            | UserEvent::PostTakenDown { .. }
            | UserEvent::PostRestored { .. }
            | UserEvent::UserSuspended
            | UserEvent::UserReinstated
            | UserEvent::AccountDeleted => {}
        }
    }

    /// Moves `applied` to this version. False if the version was applied before.
    fn advance(&mut self, version: Version) -> Result<bool, Gap> {
        if version <= self.applied {
            return Ok(false);
        }
        if version != self.applied.next() {
            return Err(Gap { applied: self.applied, found: version });
        }
        self.applied = version;
        Ok(true)
    }

    /// Sets whether there is an edge from the viewer to a user.
    pub fn set(&mut self, kind: EdgeKind, user: &UserId, state: EdgeState) {
        let users = match kind {
            EdgeKind::Follows => &mut self.followed,
            EdgeKind::Mutes => &mut self.muted,
            EdgeKind::Blocks => &mut self.blocked,
        };
        match state {
            EdgeState::Active => users.insert(user.hash()),
            EdgeState::Ended => users.remove(&user.hash()),
        };
        if kind == EdgeKind::Follows && state == EdgeState::Ended {
            self.unfinished.backfills.remove(user);
        }
    }

    /// Whether posts of this author belong in the home of the viewer, whose own id is `viewer`.
    ///
    /// Who blocks the viewer plays no part: a block ends the viewer's follow, in the viewer's own log.
    pub fn sees(&self, viewer: &UserId, author: &UserId) -> bool {
        viewer == author || (self.follows(author) && !self.hides(author))
    }

    /// Whether the viewer wants nothing by this user to come (INV-7): the viewer mutes or blocks the user.
    pub fn hides(&self, user: &UserId) -> bool {
        self.mutes(user) || self.blocks(user)
    }

    /// Whether the viewer mutes the user.
    pub fn mutes(&self, user: &UserId) -> bool {
        self.muted.contains(&user.hash())
    }

    /// Whether the viewer blocks the user.
    pub fn blocks(&self, user: &UserId) -> bool {
        self.blocked.contains(&user.hash())
    }

    /// Whether the viewer follows the user.
    pub fn follows(&self, user: &UserId) -> bool {
        self.followed.contains(&user.hash())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::{CommandId, LogEvent, Spent, Standing, Totals, Unreadable},
        samples::NOW,
    };

    fn user(n: u8) -> UserId {
        format!("user-{n}").parse().unwrap()
    }

    fn log() -> impl Strategy<Value = Vec<UserEvent>> {
        let event = (0u8..6, 0u8..5).prop_map(|(kind, n)| match (kind, user(n)) {
            (0, followee) => UserEvent::UserFollowed { followee },
            (1, followee) => UserEvent::UserUnfollowed { followee },
            (2, muted) => UserEvent::UserMuted { muted },
            (3, muted) => UserEvent::UserUnmuted { muted },
            (4, blocked) => UserEvent::UserBlocked { blocked },
            (_, blocked) => UserEvent::UserUnblocked { blocked },
        });
        proptest::collection::vec(event, 0..40)
    }

    fn fold<'a>(viewer: &mut Viewer, events: impl Iterator<Item = (usize, &'a UserEvent)>) -> Result<(), Gap> {
        for (index, event) in events {
            let version = Version::new(index as u64 + 1).unwrap();
            let (command, totals, spent) = (CommandId::new(NOW), Totals::default(), Spent::default());
            let event = LogEvent {
                user: user(9),
                version,
                command,
                at: NOW,
                totals,
                spent,
                standing: Standing::Active,
                event: event.clone(),
            };
            viewer.fold(&LogEntry { version, event: Ok(event) })?;
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn the_fold_is_whom_the_last_events_say(events in log()) {
            let (mut followed, mut muted, mut blocked) = (HashSet::new(), HashSet::new(), HashSet::new());
            for event in &events {
                match event.clone() {
                    UserEvent::UserFollowed { followee } => followed.insert(followee),
                    UserEvent::UserUnfollowed { followee } => followed.remove(&followee),
                    UserEvent::UserMuted { muted: user } => muted.insert(user),
                    UserEvent::UserUnmuted { muted: user } => muted.remove(&user),
                    UserEvent::UserBlocked { blocked: user } => {
                        followed.remove(&user);
                        blocked.insert(user)
                    }
                    UserEvent::UserUnblocked { blocked: user } => blocked.remove(&user),
                    _ => unreachable!("not drawn"),
                };
            }
            let mut viewer = Viewer::default();
            fold(&mut viewer, events.iter().enumerate()).unwrap();
            prop_assert_eq!(viewer.applied.get(), events.len() as u64);
            for user in (0..5).map(user) {
                let hidden = muted.contains(&user) || blocked.contains(&user);
                prop_assert_eq!(viewer.hides(&user), hidden);
                prop_assert_eq!(viewer.follows(&user), followed.contains(&user));
                prop_assert_eq!(viewer.sees(&super::tests::user(9), &user), followed.contains(&user) && !hidden);
            }
        }

        #[test]
        fn twice_is_once_from_wherever_it_is_repeated(events in log(), from in 0usize..40) {
            let mut once = Viewer::default();
            fold(&mut once, events.iter().enumerate()).unwrap();
            let mut twice = once.clone();
            fold(&mut twice, events.iter().enumerate().skip(from)).unwrap();
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn a_gap_is_an_error_and_changes_nothing(events in log(), missing in 0usize..39) {
            prop_assume!(missing + 1 < events.len());
            let mut viewer = Viewer::default();
            fold(&mut viewer, events.iter().enumerate().take(missing)).unwrap();
            let before = viewer.clone();
            prop_assert!(fold(&mut viewer, events.iter().enumerate().skip(missing + 1)).is_err());
            prop_assert_eq!(viewer, before);
        }
    }

    #[test]
    fn a_follow_and_a_new_profile_are_unfinished_until_their_walks_end() {
        let events = [
            UserEvent::UserFollowed { followee: user(1) },
            UserEvent::ProfileChanged(crate::samples::shown("ada")),
            UserEvent::UserFollowed { followee: user(2) },
            UserEvent::UserUnfollowed { followee: user(1) },
            UserEvent::UserFollowed { followee: user(1) },
        ];
        let version = |version| Version::new(version).unwrap();
        let mut viewer = Viewer::default();
        fold(&mut viewer, events.iter().enumerate().take(4)).unwrap();
        let backfills = BTreeMap::from([(user(2), version(3))]);
        assert_eq!(viewer.unfinished, Unfinished { backfills, profile: Some(version(2)) });

        fold(&mut viewer, events.iter().enumerate()).unwrap();
        viewer.unfinished.end_backfill(&user(1), version(1));
        viewer.unfinished.end_profile(version(1));
        assert_eq!(viewer.unfinished.backfills.len(), 2, "a walk of an older follow has ended");
        viewer.unfinished.end_backfill(&user(1), version(5));
        viewer.unfinished.end_backfill(&user(2), version(3));
        viewer.unfinished.end_profile(version(2));
        assert_eq!(viewer.unfinished, Unfinished::default());
    }

    #[test]
    fn blockers_are_listed_until_they_are_too_many() {
        let id = |n: usize| format!("blocker-{n}").parse::<UserId>().unwrap();
        let mut blockers = Blockers::default();
        blockers.set(&id(0), EdgeState::Active);
        blockers.set(&id(0), EdgeState::Active);
        assert_eq!(blockers, Blockers::Listed(BTreeSet::from([id(0).hash()])));
        blockers.set(&id(0), EdgeState::Ended);
        assert_eq!(blockers, Blockers::default());
        (0..BLOCKERS_LISTED_MAX).for_each(|n| blockers.set(&id(n), EdgeState::Active));
        assert!(matches!(&blockers, Blockers::Listed(users) if users.len() == BLOCKERS_LISTED_MAX));
        blockers.set(&id(BLOCKERS_LISTED_MAX), EdgeState::Active);
        assert_eq!(blockers, Blockers::Unlisted);
        blockers.set(&id(0), EdgeState::Ended);
        assert_eq!(blockers, Blockers::Unlisted, "a list that misses somebody is none");
    }

    #[test]
    fn an_entry_that_cannot_be_understood_only_moves_applied() {
        let mut viewer = Viewer::default();
        let unreadable = Unreadable::Newer("unknown".to_owned());
        viewer.fold(&LogEntry { version: Version::ZERO.next(), event: Err(unreadable) }).unwrap();
        assert_eq!(viewer, Viewer { applied: Version::ZERO.next(), ..Viewer::default() });
    }
}
