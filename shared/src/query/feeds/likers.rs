//! Who likes a post: those who liked it last come first.

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    model::{PostId, Timestamp, UserId},
    query::{
        pipeline::{Page, PageDraft, ReadRequest, ViewerState},
        services::{Conversations, Feeds},
    },
    store::{cards::UserCard, likers::Liker},
};

/// A place in the list: this user, who first liked the post at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LikerAt {
    at: Timestamp,
    user: UserId,
}

impl Feeds {
    /// At most `limit` users who like the post, behind `after`. Users between whom and the viewer there is a block are
    /// left out.
    ///
    /// # Errors
    /// [`crate::error::Rejection::PostNotFound`] if the post does not exist, or if the viewer or its author blocks the
    /// other.
    pub async fn likers(
        &self,
        request: ReadRequest<'_>,
        post: PostId,
        after: Option<LikerAt>,
        limit: usize,
    ) -> Result<Page<UserCard, LikerAt>, Error> {
        let Self { commands, viewers, cards, .. } = self.clone();
        let posts = Conversations { commands, viewers, cards };
        let draft = PageDraft::new(limit);
        let mut after = after.map(|LikerAt { at, user }| Liker { at, user });
        let source = async |after: Option<&Liker>, count| {
            let count = i32::try_from(count).unwrap_or(i32::MAX);
            self.timelines.likers(post, after, count, request.consistency()).await
        };
        let (state, author, first) = tokio::try_join!(
            ViewerState::read(request, &self.viewers, &self.commands),
            posts.author_of(request, post),
            source(after.as_ref(), draft.wanted())
        )?;
        posts.require_no_block(&state, &author).await?;
        let mut ahead = Some(first);
        let read = async |count| {
            let (mut likers, end) = match ahead.take() {
                Some(first) => first,
                None => source(after.as_ref(), count).await?,
            };
            let users: Vec<_> = likers.iter().map(|liker| liker.user.clone()).collect();
            let blockers = state.blockers_among(&self.commands, &users).await?;
            likers.retain(|liker| !state.viewer.blocks(&liker.user) && !blockers.contains(&liker.user));
            let users: Vec<_> = likers.iter().map(|liker| liker.user.clone()).collect();
            let mut cards = self.cards.users(&users, request.consistency()).await?;
            let with_card = |liker: Liker| Some((cards.remove(&liker.user)?, liker));
            let entries = likers.into_iter().filter_map(with_card).collect();
            after.clone_from(&end);
            Ok(Page { entries, next: end })
        };
        let Page { entries, next } = draft.fill(|(_, liker): &(UserCard, Liker)| liker.clone(), read).await?;
        let next = next.map(|Liker { at, user }| LikerAt { at, user });
        Ok(Page { entries: entries.into_iter().map(|(card, _)| card).collect(), next })
    }
}
