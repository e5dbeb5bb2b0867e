//! Effects: what events change in the read models. [`Effect::of`] is the one match from events to effects. [`plan`] has
//! the effects of a page of a log, equal ones once.

mod plan;
mod posts;

pub(super) use plan::{Planned, plan};
pub(super) use posts::PostEffects;

use super::{
    blocks::BlockEffects,
    notices::Notices,
    owner::LogOwner,
    trending::merge_soon,
    walks::{Completion, Walks},
};
use crate::{
    error::Error,
    model::{CommentId, LogEvent, PostId, TallySubject, Totals, Unfinished, UserEvent, UserId, Version},
    store::cards::Cards,
    stream::work_queue::{Recount, Task},
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
    /// Show a post that was restored, and put it back among those that trend.
    RestorePost(PostId),
    /// Remove a post that was deleted.
    RemovePost(PostId),
    /// Show a comment on this post, or its deletion, to those whom it concerns. Remove the comments on the post if it
    /// was deleted: this one may have been committed meanwhile.
    ShowComment(PostId, CommentId),
    /// Show the owner's follow to this user, and copy this user's posts into the owner's home.
    FillHome(UserId),
    /// Show the end of the owner's follow to this user, and remove this user's posts from the owner's home, if the
    /// owner once followed the user.
    ClearHome(UserId),
    /// Show this user whether the owner blocks them, and end this user's follow of the owner if so.
    ShowBlock(UserId),
    /// Show the end of this user's follow to the owner, who has removed the follower.
    ShowLostFollower(UserId),
    /// Erase the owner's account.
    EraseAccount,
}

impl Effect {
    /// The effects of an event. Events that change no read model beside the viewer item have none.
    pub(super) fn of(event: &UserEvent) -> Vec<Self> {
        match event {
            UserEvent::ProfileChanged(_) | UserEvent::UserSuspended | UserEvent::UserReinstated => {
                vec![Self::ShowProfile]
            }
            UserEvent::AccountDeleted => vec![Self::EraseAccount],
            UserEvent::PostCreated { post, .. } => vec![Self::ShowNewPost(*post)],
            UserEvent::PostEdited { post } | UserEvent::PostTakenDown { post } => vec![Self::ShowPost(*post)],
            UserEvent::PostRestored { post } => vec![Self::RestorePost(*post)],
            UserEvent::PostDeleted { post } => vec![Self::RemovePost(*post)],
            UserEvent::UserFollowed { followee } => vec![Self::FillHome(followee.clone())],
            UserEvent::UserUnfollowed { followee } => vec![Self::ClearHome(followee.clone())],
            // A block ends the follow, and needs no event for that.
            UserEvent::UserBlocked { blocked } => {
                vec![Self::ShowBlock(blocked.clone()), Self::ClearHome(blocked.clone())]
            }
            UserEvent::UserUnblocked { blocked } => vec![Self::ShowBlock(blocked.clone())],
            // Comments are read from the truth. The post's counter, not this event, tells how many there are. But the
            // post may have been deleted, and purged, while the comment was committed.
            UserEvent::PostCommented { post, comment, .. } | UserEvent::CommentDeleted { post, comment } => {
                vec![Self::ShowComment(*post, *comment)]
            }
            // The follow ends in the follower's own log, whose projection may be behind.
            UserEvent::FollowerRemoved { follower } => vec![Self::ShowLostFollower(follower.clone())],
            // Readers filter by whom they mute.
            UserEvent::UserMuted { .. } | UserEvent::UserUnmuted { .. } => Vec::new(),
        }
    }

    /// Takes note that the effect is complete for events up to this version.
    pub(super) fn complete(&self, unfinished: &mut Unfinished, version: Version) {
        match self {
            Self::ShowProfile => unfinished.end_profile(version),
            Self::FillHome(followee) => unfinished.end_backfill(followee, version),
            Self::ShowNewPost(_)
            | Self::ShowPost(_)
            | Self::RemovePost(_)
            | Self::ShowComment(..)
            | Self::ClearHome(_)
            | Self::RestorePost(_)
            | Self::ShowBlock(_)
            | Self::ShowLostFollower(_)
            | Self::EraseAccount => {}
        }
    }
}

/// Applies effects.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    pub(super) posts: PostEffects,
    pub(super) blocks: BlockEffects,
    pub(super) walks: Walks,
    pub(super) notices: Notices,
    pub(super) cards: Cards,
}

impl Effects {
    /// Applies an effect of an event that the viewer item has already. If the effect is complete at once, the item need
    /// not name it as unfinished any more: a profile from now on, a backfill after the pages that have begun by now.
    ///
    /// # Errors
    /// As [`Effects::apply`].
    pub(super) async fn apply_late(&self, owner: &LogOwner<'_>, effect: &Effect) -> Result<(), Error> {
        // What is complete is the follow, or the profile, that was there before the effect began.
        let version = match effect {
            Effect::FillHome(followee) => self.walks.follow(owner.user, followee).await?.map(|it| it.version),
            Effect::ShowProfile => Some(owner.profile().await?.version),
            _ => None,
        };
        let completion = self.apply(owner, effect).await?;
        if let (Completion::Complete, Some(version)) = (completion, version) {
            if let Effect::FillHome(followee) = effect {
                return self.walks.end_backfill_later(owner.user, followee, version).await;
            }
            let completed = |unfinished: &mut Unfinished| effect.complete(unfinished, version);
            self.walks.end_if_applied(owner.user, version, completed).await?;
        }
        Ok(())
    }

    /// Applies an effect of the owner's log.
    ///
    /// # Errors
    /// [`Error::Poison`] if the truth lacks what the effect is about; otherwise as the stores'.
    pub(super) async fn apply(&self, owner: &LogOwner<'_>, effect: &Effect) -> Result<Completion, Error> {
        match effect {
            Effect::ShowProfile => {
                let shown = self.walks.show_profile(owner.profile().await?);
                return Ok(tokio::try_join!(shown, self.posts.indexer.show_user(owner.user))?.0);
            }
            Effect::ShowNewPost(post) => self.posts.show_new(owner, *post).await?,
            Effect::ShowPost(post) => self.posts.show(owner, *post).await?,
            Effect::RemovePost(post) => self.posts.remove(owner, *post).await?,
            Effect::ShowComment(id, comment) => {
                let post = self.notices.show_comment(*id, *comment).await?;
                self.walks.remove_comment_if_deleted(owner.user, *id, *comment, post.as_ref()).await?;
            }
            Effect::RestorePost(post) => {
                self.posts.show(owner, *post).await?;
                self.cards.show_tally_again(&TallySubject::Post(*post)).await?;
                let Walks { work_queue, clock, .. } = &self.walks;
                merge_soon(&self.cards, work_queue, clock.now()).await?;
            }
            Effect::FillHome(followee) => {
                if !self.walks.begin_leaving(owner.user, followee).await? {
                    self.notices.show_follow(owner.user, followee).await?;
                    return self.walks.fill_home(owner.user, followee).await;
                }
            }
            Effect::ClearHome(followee) => {
                self.notices.show_follow(owner.user, followee).await?;
                self.walks.begin_unfollowed(owner.user, followee).await?;
            }
            Effect::ShowBlock(blocked) => self.blocks.show(owner.user, blocked).await?,
            // Now, and not when the owner's new followers are shown: queries of the owner rely on it (INV-4).
            Effect::ShowLostFollower(follower) => {
                self.notices.show_follows(owner.user, std::slice::from_ref(follower)).await?;
            }
            Effect::EraseAccount => drop(self.walks.begin_erasure(owner.user).await?),
        }
        Ok(Completion::Complete)
    }

    /// Counts what follows from these events, which are consecutive events of the owner's log.
    ///
    /// # Errors
    /// [`Error::Conflict`] if many count something of the same user at this moment; otherwise as the stores'.
    pub(super) async fn count(&self, owner: &LogOwner<'_>, events: &[&LogEvent]) -> Result<(), Error> {
        self.notices.statistics.count_events(owner, events).await
    }

    /// The same, but what many others keep it from counting, or what makes no sense, is left to the work queue, event
    /// by event: nothing else of the log waits for that.
    ///
    /// # Errors
    /// As the stores' and the queue's.
    pub(super) async fn count_soon(&self, owner: &LogOwner<'_>, events: &[&LogEvent]) -> Result<(), Error> {
        match self.count(owner, events).await {
            Err(Error::Conflict | Error::Poison { .. }) => {
                let recount = |event: &&LogEvent| {
                    Task::Recount(Recount::Event { user: owner.user.clone(), version: event.version })
                };
                self.notices.work_queue.send(events.iter().map(recount).collect()).await
            }
            counted => counted,
        }
    }

    /// Shows on the user's card the totals that the event of this version carries.
    pub(super) async fn show_totals(&self, user: &UserId, totals: Totals, version: Version) -> Result<(), Error> {
        self.cards.put_totals(user, totals, version).await
    }
}
