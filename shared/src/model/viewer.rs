//! The fold of a user's log into what a reader needs of the viewer: how far the log is applied, and whom the viewer
//! follows, mutes and blocks. Pure, so that a query can fold what the projection has not reached yet with the same function.

use std::collections::BTreeSet;

use super::{EdgeKind, UserEvent, UserHash, UserId, Version};

/// What is projected of a viewer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Viewer {
    /// The log is applied up to here; the rows of these events are written, too.
    pub applied: Version,
    /// Whom the viewer follows.
    pub followed: BTreeSet<UserHash>,
    /// Whom the viewer mutes.
    pub muted: BTreeSet<UserHash>,
    /// Whom the viewer blocks.
    pub blocked: BTreeSet<UserHash>,
}

/// An event cannot be folded before the ones between.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {found} does not follow {applied}")]
pub struct Gap {
    /// How far the log is applied.
    pub applied: Version,
    /// The event's version.
    pub found: Version,
}

impl Viewer {
    /// Applies the event of this version; one that was applied before changes nothing.
    ///
    /// # Errors
    /// [`Gap`] if events before it are missing.
    pub fn apply(&mut self, version: Version, event: &UserEvent) -> Result<(), Gap> {
        if self.pass(version)? {
            match event {
                UserEvent::UserFollowed { followee } => self.set(EdgeKind::Follows, followee, true),
                UserEvent::UserUnfollowed { followee } => self.set(EdgeKind::Follows, followee, false),
                UserEvent::UserMuted { muted } => self.set(EdgeKind::Mutes, muted, true),
                UserEvent::UserUnmuted { muted } => self.set(EdgeKind::Mutes, muted, false),
                UserEvent::UserBlocked { blocked } => {
                    self.set(EdgeKind::Blocks, blocked, true);
                    self.set(EdgeKind::Follows, blocked, false);
                }
                UserEvent::UserUnblocked { blocked } => self.set(EdgeKind::Blocks, blocked, false),
                UserEvent::ProfileChanged(_)
                | UserEvent::PostCreated { .. }
                | UserEvent::PostEdited { .. }
                | UserEvent::PostDeleted { .. }
                | UserEvent::PostCommented { .. }
                | UserEvent::CommentDeleted { .. } => {}
            }
        }
        Ok(())
    }

    /// Counts the event of this version as applied without applying it. False if it was applied before.
    ///
    /// # Errors
    /// [`Gap`] if events before it are missing.
    pub fn pass(&mut self, version: Version) -> Result<bool, Gap> {
        if version <= self.applied {
            return Ok(false);
        }
        if version != self.applied.next() {
            return Err(Gap { applied: self.applied, found: version });
        }
        self.applied = version;
        Ok(true)
    }

    /// Settles whether there is an edge from the viewer to somebody.
    pub fn set(&mut self, kind: EdgeKind, user: &UserId, active: bool) {
        let users = match kind {
            EdgeKind::Follows => &mut self.followed,
            EdgeKind::Mutes => &mut self.muted,
            EdgeKind::Blocks => &mut self.blocked,
        };
        if active {
            users.insert(user.hash());
        } else {
            users.remove(&user.hash());
        }
    }

    /// Whether posts of this author belong in the viewer's home.
    pub fn sees(&self, viewer: &UserId, author: &UserId) -> bool {
        viewer == author || (self.follows(author) && !self.hides(author))
    }

    /// Whether nothing by this user is to be shown to the viewer (INV-7).
    pub fn hides(&self, user: &UserId) -> bool {
        let hash = user.hash();
        self.muted.contains(&hash) || self.blocked.contains(&hash)
    }

    /// Whether the viewer follows somebody.
    pub fn follows(&self, user: &UserId) -> bool {
        self.followed.contains(&user.hash())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

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
            viewer.apply(Version::new(index as u64 + 1).unwrap(), event)?;
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
}
