//! Who likes a post: those who liked it last come first.

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    model::{Group, Notice, PostId, Timestamp},
    query::{
        pipeline::{Page, PageDraft, ReadRequest, ViewerState},
        services::{Conversations, Feeds},
        users::cards_for,
    },
    store::{
        cards::UserCard,
        notices::{NoticeAt, NoticePage},
    },
};

/// A place in the list: behind the user of this key, who first liked the post at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LikerAt {
    at: Timestamp,
    user: String,
}

impl Feeds {
    /// At most `limit` users who like the post, behind `after`. Suspended users, and those between whom and the viewer
    /// there is a block, are left out.
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
        let Self { read_models, commands, viewers, cards, .. } = self.clone();
        let posts = Conversations { read_models, commands, viewers, cards };
        let draft = PageDraft::new(limit);
        let mut after = after.map(|LikerAt { at, user }| NoticeAt { at, id: user });
        let source = async |after: Option<&NoticeAt>, count| {
            let count = i32::try_from(count).unwrap_or(i32::MAX);
            self.timelines.notices(request.viewer, Group::Like(post), after, count, request.consistency()).await
        };
        let (state, author, first) = tokio::try_join!(
            ViewerState::read(request, &self.viewers, &self.commands),
            posts.author_of(request, post),
            source(after.as_ref(), draft.wanted())
        )?;
        posts.require_no_block(&state, &author).await?;
        let mut ahead = Some(first);
        let read = async |count| {
            let NoticePage { mut notices, next } = match ahead.take() {
                Some(first) => first,
                None => source(after.as_ref(), count).await?,
            };
            notices.retain(|like| like.active && !state.viewer.blocks(&like.actor));
            let users: Vec<_> = notices.iter().map(|like| like.actor.clone()).collect();
            let blockers = state.blockers_among(&self.commands, &users).await?;
            notices.retain(|like| !blockers.contains(&like.actor));
            let users: Vec<_> = notices.iter().map(|like| like.actor.clone()).collect();
            let mut cards = cards_for(&state, &self.commands, &self.cards, &users).await?;
            cards.retain(|_, card| card.is_shown_to(request.viewer));
            let with_card = |like: Notice| Some((cards.remove(&like.actor)?, like));
            let entries = notices.into_iter().filter_map(with_card).collect();
            after.clone_from(&next);
            Ok(Page { entries, next })
        };
        let position = |(_, like): &(UserCard, Notice)| NoticeAt { at: like.at, id: like.id.clone() };
        let Page { entries, next } = draft.fill(position, read).await?;
        let next = next.map(|NoticeAt { at, id }| LikerAt { at, user: id });
        Ok(Page { entries: entries.into_iter().map(|(card, _)| card).collect(), next })
    }
}
