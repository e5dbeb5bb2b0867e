//! Effects: what each event changes in the read models. [`Effects::apply`] is the one match from events to effects.

mod blocks;
mod posts;
mod profile;

use blocks::BlockEffects;
use posts::PostEffects;
use profile::ProfileEffects;

use super::{audience::Audience, backfill::Backfill, owner::LogOwner};
use crate::{
    celebrities::Celebrities,
    error::Error,
    model::{Clock, Totals, UserEvent, UserId, Version},
    store::{cards::Cards, command_table::CommandTable, timelines::Timelines, viewers::Viewers},
};

/// The effects of all events.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    posts: PostEffects,
    blocks: BlockEffects,
    profile: ProfileEffects,
    celebrities: Celebrities,
    backfill: Backfill,
    cards: Cards,
}

impl Effects {
    /// Gives each effect what it needs.
    #[expect(clippy::too_many_arguments, reason = "these are the stores of all read models")]
    pub(super) fn new(
        commands: CommandTable,
        viewers: Viewers,
        cards: Cards,
        timelines: Timelines,
        celebrities: Celebrities,
        audience: Audience,
        backfill: Backfill,
        clock: Clock,
    ) -> Self {
        let profile = ProfileEffects { cards: cards.clone(), timelines: timelines.clone(), clock: clock.clone() };
        let blocks = BlockEffects { commands: commands.clone(), viewers };
        let posts = PostEffects { commands, cards: cards.clone(), timelines, audience, clock };
        Self { posts, blocks, profile, celebrities, backfill, cards }
    }

    /// Applies the effects of an event in the owner's log. Events that change no read model beside the viewer item have
    /// none.
    ///
    /// # Errors
    /// [`Error::Poison`] if the truth lacks what the event is about; otherwise as the stores'.
    pub(super) async fn apply(&self, owner: &LogOwner<'_>, event: &UserEvent) -> Result<(), Error> {
        match event {
            UserEvent::ProfileChanged(_) => self.profile.show(owner).await,
            UserEvent::PostCreated { post, .. } => self.posts.show_new(owner, *post).await,
            UserEvent::PostEdited { post } | UserEvent::PostDeleted { post } => self.posts.show(owner, *post).await,
            UserEvent::UserFollowed { followee } => self.fill_home_after_follow(owner.user, followee).await,
            UserEvent::UserBlocked { blocked } | UserEvent::UserUnblocked { blocked } => {
                self.blocks.show(owner.user, blocked).await
            }
            // Readers filter by whom they follow, mute and block. So nothing is removed from timelines.
            UserEvent::UserUnfollowed { .. }
            | UserEvent::FollowerRemoved { .. }
            | UserEvent::UserMuted { .. }
            | UserEvent::UserUnmuted { .. } => Ok(()),
            // Comments are read from the truth. The post's counter, not this event, tells how many there are.
            UserEvent::PostCommented { .. } | UserEvent::CommentDeleted { .. } => Ok(()),
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
