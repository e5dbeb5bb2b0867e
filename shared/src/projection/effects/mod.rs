//! Effects: what each event changes in the read models. [`Effects::apply`] is the one match from events to effects.

mod blocks;
mod posts;
mod profile;

pub(super) use blocks::BlockEffects;
pub(super) use posts::PostEffects;
pub(super) use profile::ProfileEffects;

use super::{backfill::Backfill, owner::LogOwner};
use crate::{
    celebrities::Celebrities,
    error::Error,
    model::{Totals, UserEvent, UserId, Version},
    store::cards::Cards,
};

/// The effects of all events.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    pub(super) posts: PostEffects,
    pub(super) blocks: BlockEffects,
    pub(super) profile: ProfileEffects,
    pub(super) celebrities: Celebrities,
    pub(super) backfill: Backfill,
    pub(super) cards: Cards,
}

impl Effects {
    /// Applies the effects of an event in the owner's log. Events that change no read model beside the viewer item have
    /// none.
    ///
    /// # Errors
    /// [`Error::Poison`] if the truth lacks what the event is about; otherwise as the stores'.
    pub(super) async fn apply(&self, owner: &LogOwner<'_>, event: &UserEvent) -> Result<(), Error> {
        match event {
            UserEvent::ProfileChanged(_) => self.profile.show(owner).await,
            UserEvent::PostCreated { post, .. } => self.posts.show_new(owner, *post).await,
            UserEvent::PostEdited { post } => self.posts.show(owner, *post).await,
            UserEvent::PostDeleted { post } => self.posts.remove(owner, *post).await,
            UserEvent::UserFollowed { followee } => self.fill_home_after_follow(owner.user, followee).await,
            UserEvent::UserBlocked { blocked } | UserEvent::UserUnblocked { blocked } => {
                self.blocks.show(owner.user, blocked).await
            }
            // Readers filter by whom they follow, mute and block. So nothing is removed from timelines.
            UserEvent::UserUnfollowed { .. }
            | UserEvent::FollowerRemoved { .. }
            | UserEvent::UserMuted { .. }
            | UserEvent::UserUnmuted { .. } => Ok(()),
            // Comments are read from the truth. The post's counter, not this event, tells how many there are. But the
            // post may have been deleted, and purged, while the comment was committed.
            UserEvent::PostCommented { post, .. } => self.posts.purge.begin_if_deleted(*post).await,
            UserEvent::CommentDeleted { .. } => Ok(()),
        }
    }

    /// Shows on the user's card the totals that the event of this version carries.
    pub(super) async fn show_totals(&self, user: &UserId, totals: Totals, version: Version) -> Result<(), Error> {
        self.cards.put_totals(user, totals, version).await
    }

    /// Readers pull the posts of celebrities. All others are copied.
    async fn fill_home_after_follow(&self, follower: &UserId, followee: &UserId) -> Result<(), Error> {
        match self.celebrities.are_pushed(followee).await? {
            true => self.backfill.backfill_home(follower, followee).await,
            false => Ok(()),
        }
    }
}
