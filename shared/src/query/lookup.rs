//! Posts and users by their ids, many at once, in the order of the request. What the viewer may not see is left out, as
//! if it did not exist.

use std::collections::{BTreeSet, HashMap};

use super::{
    pipeline::{FeedPost, Filter, Hydrated, Hydrator, ReadRequest, ViewerState},
    services::{Conversations, People},
    users::cards_from_truth,
};
use crate::{
    error::Error,
    model::{PostId, UserId},
    store::{
        Consistency,
        cards::{PostCard, UserCard},
        command_table::CommandTable,
    },
};

impl Conversations {
    /// Those of the posts that the viewer may look up: neither deleted nor taken down, not by a suspended author, and
    /// without a block between the viewer and the author.
    ///
    /// # Errors
    /// As [`ViewerState::read`] and the stores'.
    pub async fn posts(&self, request: ReadRequest<'_>, posts: &[PostId]) -> Result<Vec<FeedPost>, Error> {
        let hydrator = Hydrator { commands: &self.commands, cards: &self.cards, recent_cards: None };
        let read = ViewerState::read(request, &self.viewers, &self.commands);
        let unread = ViewerState::unread(request);
        let (state, Hydrated { posts: mut shown, liked, .. }) = match request.consistency() {
            Consistency::Eventual => tokio::try_join!(read, hydrator.hydrate(&unread, posts))?,
            Consistency::Strong => {
                let state = read.await?;
                let found = hydrator.hydrate(&state, posts).await?;
                (state, found)
            }
        };
        let unknown = posts.iter().copied().filter(|post| !shown.contains_key(post)).collect();
        let new = new_posts(&self.commands, request.viewer, unknown).await?;
        shown.extend(new.into_iter().map(|card| (card.post, FeedPost::new(card.clone(), liked.contains(&card.post)))));
        let filter = Filter::LookedUp;
        let authors: BTreeSet<UserId> = shown.values().map(|post| post.card.author.clone()).collect();
        let blockers = filter.blockers(&state, &self.commands, &authors).await?;
        let admits = |author: &UserId| filter.admits_author(&state, author) && !blockers.contains(author);
        shown.retain(|_, post| admits(&post.card.author));
        self.show_own_profile(&state, shown.values_mut()).await?;
        Ok(posts.iter().filter_map(|post| shown.remove(post)).collect())
    }
}

/// The cards of those of the posts that are so new that no projection has made their cards. Posts that are deleted
/// or hidden from the viewer, and those that never were, are not among them.
pub(super) async fn new_posts(
    commands: &CommandTable,
    viewer: &UserId,
    posts: Vec<PostId>,
) -> Result<Vec<PostCard>, Error> {
    let mut found = commands.posts(&posts).await?;
    found.retain(|post| !post.is_deleted());
    let authors: BTreeSet<_> = found.iter().map(|post| post.author.clone()).collect();
    let authors = commands.profiles(&authors.into_iter().collect::<Vec<_>>()).await?;
    let authors: HashMap<_, _> = authors.into_iter().map(|profile| (profile.user.clone(), profile)).collect();
    Ok(found
        .into_iter()
        .filter_map(|post| Some(PostCard::new(post.clone(), authors.get(&post.author)?.clone())))
        .filter(|card| card.is_shown_to(viewer))
        .collect())
}

impl People {
    /// Those of the users whom the viewer may see: not suspended, and without a block between the two.
    ///
    /// # Errors
    /// As [`ViewerState::read`] and the stores'.
    pub async fn users(&self, request: ReadRequest<'_>, users: &[UserId]) -> Result<Vec<UserCard>, Error> {
        let read = ViewerState::read(request, &self.viewers, &self.commands);
        let (state, mut cards) = match request.consistency() {
            Consistency::Eventual => tokio::try_join!(read, self.cards.users(users, Consistency::Eventual))?,
            // Cards that are read after the viewer state have all that it counts as projected (INV-4).
            Consistency::Strong => (read.await?, self.cards.users(users, Consistency::Strong).await?),
        };
        if state.has_unfinished_profile() {
            cards.remove(request.viewer);
        }
        let new: Vec<_> = users.iter().filter(|user| !cards.contains_key(*user)).cloned().collect();
        let (blockers, new) =
            tokio::try_join!(state.blockers_among(&self.commands, users), cards_from_truth(&self.commands, &new))?;
        cards.extend(new.into_iter().map(|card| (card.user.clone(), card)));
        cards.retain(|_, card| card.is_shown_to(request.viewer));
        let seen = users.iter().filter(|user| !state.viewer.blocks(user) && !blockers.contains(user));
        Ok(seen.filter_map(|user| cards.remove(user)).collect())
    }
}
