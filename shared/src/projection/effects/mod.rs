//! Effects: what events change in the read models. [`Effect::of`] is the one match from events to effects. [`plan`] has
//! the effects of a page of a log, equal ones once.

mod blocks;
mod plan;
mod posts;
mod profile;

pub(super) use blocks::BlockEffects;
pub(super) use plan::{Planned, plan};
pub(super) use posts::PostEffects;
pub(super) use profile::ProfileEffects;

use super::{backfill::Backfill, owner::LogOwner};
use crate::{
    celebrities::Celebrities,
    error::Error,
    model::{PostId, Totals, UserEvent, UserId, Version},
    store::cards::Cards,
};

/// What an event changes in the read models. An effect writes what the truth says at present. So one effect does the
/// work of all equal ones, and needs no order among others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Effect {
    /// Show the owner's profile, also on the owner's posts.
    ShowProfile,
    /// Show a post that may be in no timeline yet.
    ShowNewPost(PostId),
    /// Show a post that was edited.
    ShowPost(PostId),
    /// Remove a post that was deleted.
    RemovePost(PostId),
    /// Remove the comments on this post if it was deleted: a comment was committed meanwhile.
    PurgeIfDeleted(PostId),
    /// Copy this user's posts into the owner's home.
    FillHome(UserId),
    /// Show this user whether the owner blocks them, and end this user's follow of the owner if so.
    ShowBlock(UserId),
}

impl Effect {
    /// The effect of an event. Events that change no read model beside the viewer item have none.
    fn of(event: &UserEvent) -> Option<Self> {
        match event {
            UserEvent::ProfileChanged(_) => Some(Self::ShowProfile),
            UserEvent::PostCreated { post, .. } => Some(Self::ShowNewPost(*post)),
            UserEvent::PostEdited { post } => Some(Self::ShowPost(*post)),
            UserEvent::PostDeleted { post } => Some(Self::RemovePost(*post)),
            UserEvent::UserFollowed { followee } => Some(Self::FillHome(followee.clone())),
            UserEvent::UserBlocked { blocked } | UserEvent::UserUnblocked { blocked } => {
                Some(Self::ShowBlock(blocked.clone()))
            }
            // Comments are read from the truth. The post's counter, not this event, tells how many there are. But the
            // post may have been deleted, and purged, while the comment was committed.
            UserEvent::PostCommented { post, .. } => Some(Self::PurgeIfDeleted(*post)),
            // Readers filter by whom they follow, mute and block. So nothing is removed from timelines.
            UserEvent::UserUnfollowed { .. }
            | UserEvent::FollowerRemoved { .. }
            | UserEvent::UserMuted { .. }
            | UserEvent::UserUnmuted { .. }
            | UserEvent::CommentDeleted { .. } => None,
        }
    }
}

/// Applies effects.
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
    /// Applies the effect of one event in the owner's log.
    ///
    /// # Errors
    /// As [`Effects::apply`].
    pub(super) async fn apply_event(&self, owner: &LogOwner<'_>, event: &UserEvent) -> Result<(), Error> {
        match Effect::of(event) {
            Some(effect) => self.apply(owner, &effect).await,
            None => Ok(()),
        }
    }

    /// Applies an effect of the owner's log.
    ///
    /// # Errors
    /// [`Error::Poison`] if the truth lacks what the effect is about; otherwise as the stores'.
    pub(super) async fn apply(&self, owner: &LogOwner<'_>, effect: &Effect) -> Result<(), Error> {
        match effect {
            Effect::ShowProfile => self.profile.show(owner).await,
            Effect::ShowNewPost(post) => self.posts.show_new(owner, *post).await,
            Effect::ShowPost(post) => self.posts.show(owner, *post).await,
            Effect::RemovePost(post) => self.posts.remove(owner, *post).await,
            Effect::PurgeIfDeleted(post) => self.posts.purge.begin_if_deleted(*post).await,
            Effect::FillHome(followee) => self.fill_home_after_follow(owner.user, followee).await,
            Effect::ShowBlock(blocked) => self.blocks.show(owner.user, blocked).await,
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
