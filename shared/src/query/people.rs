//! Who follows whom, in the order of the edges' keys (user ids, percent-encoded): the one order in which the edges can be read page by page without keeping
//! another copy of them.

use super::{People, ReadRequest, Sight, page::Page, profile::card_from_truth, require_user};
use crate::{
    error::Error,
    model::{EdgeKind, UserId},
    store::{cards::UserCard, edges::UserPage},
};

/// Reads of one page at most; edges that are no more are kept, so a read may find nothing.
const ROUNDS_MAX: usize = 10;

/// Which side of the edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who follows the user.
    Followers,
    /// Whom the user follows.
    Following,
    /// Whom the user mutes.
    Muted,
    /// Whom the user blocks.
    Blocked,
}

impl People {
    /// At most `limit` people on this side of the user's edges, after `after`.
    ///
    /// # Errors
    /// [`crate::error::Rejection::UserNotFound`] if there is no such user.
    pub async fn people(
        &self,
        reader: ReadRequest<'_>,
        side: Side,
        user: &UserId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Page<UserCard, UserId>, Error> {
        let sight = match reader.consistent() {
            true => Sight::of(reader, &self.viewers, &self.commands).await?,
            false => Sight::default(),
        };
        let mut found = Vec::new();
        let mut next = after;
        for _ in 0..ROUNDS_MAX {
            let edges = self.edges(side, user, next.as_ref(), limit + 1 - found.len()).await?;
            let mut cards = self.cards.users(&edges.users, reader.consistent()).await?;
            if sight.overlay.profile && edges.users.contains(reader.user) {
                cards.insert(reader.user.clone(), card_from_truth(&self.commands, reader.user).await?);
            }
            found.extend(edges.users.iter().filter_map(|user| cards.remove(user)));
            next = edges.next;
            if found.len() > limit || next.is_none() {
                break;
            }
        }
        if found.is_empty() {
            require_user(&self.commands, user).await?;
        }
        if found.len() > limit {
            found.truncate(limit);
            next = found.last().map(|card| card.user.clone());
        }
        Ok(Page { entries: found, next })
    }

    async fn edges(&self, side: Side, user: &UserId, after: Option<&UserId>, limit: usize) -> Result<UserPage, Error> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let kind = match side {
            Side::Followers => return self.commands.followers(user, after, limit).await,
            Side::Following => EdgeKind::Follows,
            Side::Muted => EdgeKind::Mutes,
            Side::Blocked => EdgeKind::Blocks,
        };
        self.commands.edges_from(user, kind, after, limit).await
    }
}
