//! Viewer state: what a query knows about its viewer before it reads anything else.
//!
//! A command answers with the version of its event. A query that asks for this version shows the effect of the command
//! (INV-4), even where projections have not reached it. The query reads the missing events from the viewer's log, folds
//! them with the function that projections use, and lays their effects over the read models. The order of reads makes
//! this exact: first the viewer item, then the rows. Everything up to `applied` was written before the viewer item, so
//! strongly consistent reads of rows that start later find it.

use std::collections::BTreeSet;

use crate::{
    error::{Error, Rejection},
    model::{
        Blockers, CommentId, EdgeKey, EdgeKind, Group, LogEntry, Notice, PostId, Totals, UserEvent, UserId, Version,
        Viewer,
    },
    store::{Consistency, command_table::CommandTable, viewers::Viewers},
};

/// Events of the log that are read at once.
const EVENTS_PER_READ: i32 = 100;
/// Events that are laid over at most. A projection that is further behind is standing still, and the query answers
/// `unavailable`.
const OVERLAY_EVENTS_MAX: usize = 1000;

/// Who reads, and how fresh the answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest<'a> {
    /// The user who reads.
    pub viewer: &'a UserId,
    /// The version of the viewer's log up to which the answer shows the viewer's own commands, if the viewer asks for
    /// one.
    pub min_version: Option<Version>,
}

impl ReadRequest<'_> {
    /// The same request, for an answer that shows this version, too.
    pub fn at_least(self, version: Option<Version>) -> Self {
        Self { min_version: self.min_version.max(version), ..self }
    }

    /// How consistent reads for this request have to be.
    pub(crate) fn consistency(&self) -> Consistency {
        match self.min_version {
            Some(_) => Consistency::Strong,
            None => Consistency::Eventual,
        }
    }
}

/// What a query knows about its viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ViewerState<'a> {
    /// Who reads, and how fresh the answer has to be.
    pub(crate) request: ReadRequest<'a>,
    /// The fold of the viewer's log: whom the viewer follows, mutes and blocks.
    pub(crate) viewer: Viewer,
    /// What projections have not reached.
    pub(super) overlay: Overlay,
}

/// The effects of events that projections have not reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Overlay {
    /// The viewer's posts that were created, edited or deleted.
    pub(super) posts: BTreeSet<PostId>,
    /// The comments that the viewer deleted.
    deleted_comments: BTreeSet<CommentId>,
    /// The followers whom the viewer removed.
    removed_followers: BTreeSet<UserId>,
    /// The viewer's totals after the last of the events; none if there are no such events.
    totals: Option<Totals>,
}

impl<'a> ViewerState<'a> {
    /// Nothing is known about the viewer.
    pub(crate) fn unread(request: ReadRequest<'a>) -> Self {
        Self { request, viewer: Viewer::default(), overlay: Overlay::default() }
    }

    /// Reads the viewer item. If the request asks for a version that the item does not cover, reads the log from there.
    ///
    /// # Errors
    /// [`Rejection::VersionUnknown`] if the viewer's log does not have the version yet.
    pub(crate) async fn read(
        request: ReadRequest<'a>,
        viewers: &Viewers,
        commands: &CommandTable,
    ) -> Result<Self, Error> {
        let Some(min_version) = request.min_version else {
            return Ok(Self { viewer: viewers.through_cache(request.viewer).await?, ..Self::unread(request) });
        };
        let stored = viewers.get(request.viewer, Consistency::Strong).await?;
        let mut state = Self { viewer: stored.viewer, ..Self::unread(request) };
        let mut overlaid = 0;
        while state.viewer.applied < min_version {
            if overlaid >= OVERLAY_EVENTS_MAX {
                return Err(Error::transient("reading the viewer's own writes", "the projection is too far behind"));
            }
            let entries = commands.log_after(request.viewer, state.viewer.applied, EVENTS_PER_READ).await?;
            if entries.is_empty() {
                return Err(Rejection::VersionUnknown.into());
            }
            overlaid += entries.len();
            state.lay_over(&entries)?;
        }
        Ok(state)
    }

    /// The state for a query that filters nothing: read only if the request asks for a version.
    ///
    /// # Errors
    /// As [`ViewerState::read`].
    pub(crate) async fn read_own_writes(
        request: ReadRequest<'a>,
        viewers: &Viewers,
        commands: &CommandTable,
    ) -> Result<Self, Error> {
        match request.min_version {
            Some(_) => Self::read(request, viewers, commands).await,
            None => Ok(Self::unread(request)),
        }
    }

    /// Adds the effects of events that follow the viewer item. An event that this release does not understand has none.
    fn lay_over(&mut self, entries: &[LogEntry]) -> Result<(), Error> {
        for entry in entries {
            self.viewer.fold(entry)?;
            if let Ok(event) = &entry.event {
                self.overlay.add(&event.event);
                self.overlay.totals = Some(event.totals);
            }
        }
        Ok(())
    }

    /// Those of the users who block the viewer. Where the viewer item does not list them, this asks the command table.
    pub(crate) async fn blockers_among<'b>(
        &self,
        commands: &CommandTable,
        users: impl IntoIterator<Item = &'b UserId>,
    ) -> Result<BTreeSet<&'b UserId>, Error> {
        let viewer = self.request.viewer;
        let mut users: BTreeSet<_> = users.into_iter().filter(|user| *user != viewer).collect();
        match &self.viewer.blocked_by {
            Blockers::Listed(listed) if listed.is_empty() => users.clear(),
            Blockers::Listed(listed) => users.retain(|user| listed.contains(&user.hash())),
            Blockers::Unlisted if users.is_empty() => {}
            Blockers::Unlisted => {
                let keys: Vec<_> = users.iter().map(|user| EdgeKey::new(user, EdgeKind::Blocks, viewer)).collect();
                let edges = commands.edges(&keys).await?;
                users.retain(|user| edges.active(user, EdgeKind::Blocks, viewer));
            }
        }
        Ok(users)
    }

    /// Whether the viewer and this user see nothing of each other, because one of them blocks the other.
    pub(crate) async fn is_cut_off_from(&self, commands: &CommandTable, user: &UserId) -> Result<bool, Error> {
        Ok(self.viewer.blocks(user) || !self.blockers_among(commands, [user]).await?.is_empty())
    }

    /// How consistent further reads have to be.
    pub(crate) fn consistency(&self) -> Consistency {
        self.request.consistency()
    }

    /// Whether the page shows effects that projections have not reached.
    pub(crate) fn is_overlaid(&self) -> bool {
        self.overlay.totals.is_some()
    }

    /// The viewer's totals, if they are newer than the viewer's card.
    pub(crate) fn unprojected_totals(&self) -> Option<Totals> {
        self.overlay.totals
    }

    /// Whether the viewer ended what this notice tells of, by an event that projections have not reached: a comment or
    /// a follow. A user who follows again meanwhile is not shown before projections reach the event.
    pub(crate) fn has_ended(&self, group: Group, notice: &Notice) -> bool {
        let Overlay { deleted_comments, removed_followers, .. } = &self.overlay;
        match group {
            Group::Follow(_) => removed_followers.contains(&notice.actor),
            Group::Comment(_) | Group::Mention(_) if !deleted_comments.is_empty() => {
                notice.id.parse().is_ok_and(|comment| deleted_comments.contains(&comment))
            }
            Group::Like(_) | Group::Comment(_) | Group::Mention(_) => false,
        }
    }

    /// The viewer's posts that projections have not reached.
    pub(crate) fn unprojected_posts(&self) -> impl Iterator<Item = PostId> {
        self.overlay.posts.iter().copied()
    }

    /// Whether the viewer's profile may be newer than cards that show it.
    pub(crate) fn has_unfinished_profile(&self) -> bool {
        self.viewer.unfinished.profile.is_some()
    }

    /// Whether pulled rows of a followed author are of use. The rows of authors whose posts are not all copied are read
    /// from the table instead.
    pub(crate) fn may_pull(&self, author: &UserId) -> bool {
        !self.viewer.unfinished.backfills.contains_key(author)
    }
}

impl Overlay {
    fn add(&mut self, event: &UserEvent) {
        match event {
            UserEvent::PostCreated { post, .. }
            | UserEvent::PostEdited { post }
            | UserEvent::PostDeleted { post }
            | UserEvent::PostTakenDown { post }
            | UserEvent::PostRestored { post } => {
                self.posts.insert(*post);
            }
            UserEvent::CommentDeleted { comment, .. } => {
                self.deleted_comments.insert(*comment);
            }
            UserEvent::FollowerRemoved { follower } => {
                self.removed_followers.insert(follower.clone());
            }
            // The fold has the effects of these events. Comments are read from the command table.
            UserEvent::ProfileChanged(_)
            | UserEvent::UserFollowed { .. }
            | UserEvent::UserUnfollowed { .. }
            | UserEvent::UserMuted { .. }
            | UserEvent::UserUnmuted { .. }
            | UserEvent::UserBlocked { .. }
            | UserEvent::UserUnblocked { .. }
            | UserEvent::PostCommented { .. }
            | UserEvent::UserSuspended
            | UserEvent::UserReinstated
            | UserEvent::AccountDeleted => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::{CommandId, LogEvent, Spent, Standing, Unreadable},
        samples::{NOW, shown, user, version},
    };

    /// The events as the log of ada has them from this version on. Her total of followed accounts is the version.
    fn log(first: u64, events: impl IntoIterator<Item = UserEvent>) -> Vec<LogEntry> {
        let entry = |(version, event): (Version, UserEvent)| {
            let totals = Totals { following: version.get(), ..Totals::default() };
            let (command, spent) = (CommandId::new(NOW), Spent::default());
            let event = LogEvent {
                user: user("ada"),
                version,
                command,
                at: NOW,
                totals,
                spent,
                standing: Standing::Active,
                event,
            };
            LogEntry { version, event: Ok(event) }
        };
        (first..).map(version).zip(events).map(entry).collect()
    }

    fn state(viewer: &UserId) -> ViewerState<'_> {
        ViewerState::unread(ReadRequest { viewer, min_version: Some(version(1)) })
    }

    fn followed(author: &str) -> UserEvent {
        UserEvent::UserFollowed { followee: user(author) }
    }

    fn unfollowed(author: &str) -> UserEvent {
        UserEvent::UserUnfollowed { followee: user(author) }
    }

    #[test]
    fn a_projection_that_is_up_to_date_leaves_nothing_to_lay_over() {
        let ada = user("ada");
        let mut state = state(&ada);
        state.lay_over(&[]).unwrap();
        assert!(!state.is_overlaid() && !state.has_unfinished_profile());
        assert_eq!((state.unprojected_totals(), state.overlay), (None, Overlay::default()));
    }

    #[test]
    fn posts_and_a_profile_that_projections_have_not_reached_are_laid_over() {
        let ada = user("ada");
        let [created, edited, deleted] = [1, 2, 3].map(|_| PostId::new(NOW));
        let mut state = state(&ada);
        let events = [
            UserEvent::PostCreated { post: created, text: None, tags: Vec::new() },
            UserEvent::PostEdited { post: edited },
            UserEvent::PostDeleted { post: deleted },
            UserEvent::ProfileChanged(shown("ada")),
        ];
        state.lay_over(&log(1, events)).unwrap();
        assert_eq!(state.overlay.posts, BTreeSet::from([created, edited, deleted]));
        assert!(state.is_overlaid() && state.has_unfinished_profile());
        assert_eq!(state.viewer.applied, version(4));
        assert_eq!(state.unprojected_totals().map(|totals| totals.following), Some(4), "the totals of the last event");
    }

    #[test]
    fn rows_of_a_new_follow_are_read_from_its_author_unless_the_follow_has_ended() {
        let ada = user("ada");
        let mut state = state(&ada);
        let blocked = UserEvent::UserBlocked { blocked: user("dan") };
        let events = [followed("bob"), followed("cem"), unfollowed("cem"), followed("dan"), blocked, unfollowed("eve")];
        state.lay_over(&log(1, events)).unwrap();
        assert!(!state.may_pull(&user("bob")) && state.may_pull(&user("cem")));
        assert_eq!(state.viewer.unfinished.backfills.into_keys().collect::<Vec<_>>(), [user("bob")]);
    }

    #[test]
    fn an_event_that_is_not_understood_counts_as_applied_and_changes_nothing() {
        let ada = user("ada");
        let mut state = state(&ada);
        let newer = Unreadable::Newer("of another type".to_owned());
        state.lay_over(&[LogEntry { version: version(1), event: Err(newer) }]).unwrap();
        assert_eq!((state.viewer.applied, state.is_overlaid()), (version(1), false));
        state.lay_over(&log(2, [followed("bob")])).unwrap();
        assert!(state.viewer.follows(&user("bob")));
    }

    #[test]
    fn events_after_a_gap_cannot_be_laid_over() {
        let ada = user("ada");
        assert!(matches!(state(&ada).lay_over(&log(2, [followed("bob")])), Err(Error::Poison { .. })));
    }

    proptest! {
        #[test]
        fn how_the_log_is_cut_into_reads_makes_no_difference(
            events in proptest::collection::vec((any::<bool>(), 0u8..4), 0..40),
            per_read in 1usize..10,
        ) {
            let event = |(follows, author): (bool, u8)| {
                let author = format!("author-{author}");
                if follows { followed(&author) } else { unfollowed(&author) }
            };
            let entries = log(1, events.into_iter().map(event));
            let ada = user("ada");
            let (mut at_once, mut in_parts) = (state(&ada), state(&ada));
            at_once.lay_over(&entries).unwrap();
            entries.chunks(per_read).for_each(|entries| in_parts.lay_over(entries).unwrap());
            prop_assert_eq!(&at_once, &in_parts);
            prop_assert_eq!(
                at_once.viewer.unfinished.backfills.len(),
                at_once.viewer.followed.len(),
                "all follows are new"
            );
        }
    }
}
