//! Lists of people: whom a user follows, mutes and blocks, and who follows a user. The order is that of the edges' sort
//! keys, which are percent-encoded user ids: no other order can be read page by page without another copy of the edges.

use super::{
    pipeline::{Page, PageDraft, ReadRequest, ViewerState},
    services::People,
    users::{cards_for, require_user},
};
use crate::{
    error::Error,
    model::{EdgeKind, UserId},
    store::{cards::UserCard, edges::UserPage},
};

/// A list of people that belongs to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The users who follow the user.
    Followers,
    /// The users whom the user follows.
    Following,
    /// The users whom the user mutes.
    Muted,
    /// The users whom the user blocks.
    Blocked,
}

impl Side {
    /// Its name in cursors, which stay valid across releases.
    pub fn name(self) -> &'static str {
        match self {
            Self::Followers => "Followers",
            Self::Following => "Following",
            Self::Muted => "Muted",
            Self::Blocked => "Blocked",
        }
    }
}

impl People {
    /// At most `limit` people of this list of the user's, after `after`. Followers and followed users are listed
    /// without those between whom and the viewer there is a block. If there is one with the user, the page is empty.
    ///
    /// # Errors
    /// [`crate::error::Rejection::UserNotFound`] if the user does not exist.
    pub async fn people(
        &self,
        request: ReadRequest<'_>,
        side: Side,
        user: &UserId,
        mut after: Option<UserId>,
        limit: usize,
    ) -> Result<Page<UserCard, UserId>, Error> {
        // Whom the viewer mutes and blocks is listed without exception, so that the viewer can undo it.
        let is_filtered = matches!(side, Side::Followers | Side::Following);
        let draft = PageDraft::new(limit);
        let state = async {
            match is_filtered {
                true => ViewerState::read(request, &self.viewers, &self.commands).await,
                false => ViewerState::read_own_writes(request, &self.viewers, &self.commands).await,
            }
        };
        let (state, first) = tokio::try_join!(state, self.edges(side, user, after.as_ref(), draft.wanted()))?;
        if is_filtered && state.is_cut_off_from(&self.commands, user).await? {
            return Ok(Page::empty());
        }
        let mut ahead = Some(first);
        let read = async |count| {
            let UserPage { mut users, next } = match ahead.take() {
                Some(first) => first,
                None => self.edges(side, user, after.as_ref(), count).await?,
            };
            if is_filtered {
                let found = users.clone();
                let blockers = state.blockers_among(&self.commands, &found).await?;
                users.retain(|user| !state.viewer.blocks(user) && !blockers.contains(user));
            }
            // A command of the viewer's may be about somebody whom no projection has reached.
            let mut cards = cards_for(&state, &self.commands, &self.cards, &users).await?;
            if is_filtered {
                cards.retain(|_, card| card.is_shown_to(request.viewer));
            }
            after.clone_from(&next);
            Ok(Page { entries: users.iter().filter_map(|user| cards.remove(user)).collect(), next })
        };
        let page = draft.fill(|card: &UserCard| card.user.clone(), read).await?;
        if page.entries.is_empty() && is_filtered {
            require_user(&self.commands, request.viewer, user).await?;
        }
        Ok(page)
    }

    async fn edges(&self, side: Side, user: &UserId, after: Option<&UserId>, count: usize) -> Result<UserPage, Error> {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        let kind = match side {
            Side::Followers => return self.commands.followers(user, after, count).await,
            Side::Following => EdgeKind::Follows,
            Side::Muted => EdgeKind::Mutes,
            Side::Blocked => EdgeKind::Blocks,
        };
        self.commands.edges_from(user, kind, after, count).await
    }
}
