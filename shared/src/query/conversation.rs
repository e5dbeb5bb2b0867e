//! A post by itself, and its comments. Comments are read from the command table, where they are stored in order. Their
//! authors are shown as their cards have them.

use std::collections::{HashMap, hash_map::Entry};

use super::{
    pipeline::{FeedPost, Hydrator, Page, PageDraft, ReadRequest, ViewerState},
    services::Conversations,
    users::card_from_truth,
};
use crate::{
    error::{Error, Rejection},
    model::{Comment, CommentId, Post, PostId, Profile, UserId},
    store::{
        Consistency,
        cards::{PostCard, UserCard},
        comments::{CommentOrder, CommentPage},
    },
};

/// A comment, and its author as the author is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentWithAuthor {
    /// The comment.
    pub comment: Comment,
    /// The author.
    pub author: UserCard,
}

impl Conversations {
    /// A post.
    ///
    /// # Errors
    /// [`Rejection::PostNotFound`] if the post does not exist.
    pub async fn post(&self, request: ReadRequest<'_>, post: PostId) -> Result<FeedPost, Error> {
        let state = ViewerState::read_own_writes(request, &self.viewers, &self.commands).await?;
        let hydrator = Hydrator { commands: &self.commands, cards: &self.cards, recent_cards: None };
        match hydrator.posts(&state, &[post]).await?.remove(&post) {
            Some(post) => Ok(post),
            None => Ok(FeedPost::new(self.post_from_truth(post).await?, false)),
        }
    }

    /// The post that the viewer has just written, with the likes and comments of others.
    ///
    /// # Errors
    /// [`Rejection::PostNotFound`] if the post was deleted meanwhile.
    pub async fn written(&self, viewer: &UserId, post: Post, author: Profile) -> Result<FeedPost, Error> {
        let shown = self.post(ReadRequest { viewer, min_version: None }, post.post).await?;
        let PostCard { likes, comments, heat, .. } = shown.card;
        Ok(FeedPost { card: PostCard { likes, comments, heat, ..PostCard::new(post, author) }, ..shown })
    }

    /// The card of a post that is so new that no projection has made the card yet.
    async fn post_from_truth(&self, post: PostId) -> Result<PostCard, Error> {
        let post = self.commands.post(post).await?.filter(|post| !post.is_deleted()).ok_or(Rejection::PostNotFound)?;
        let author = self.commands.profile(&post.author).await?.ok_or(Rejection::PostNotFound)?;
        Ok(PostCard::new(post, author))
    }

    /// At most `limit` comments on a post, those after `after` in the order. Comments by users whom the viewer mutes or
    /// blocks are left out.
    ///
    /// # Errors
    /// [`Rejection::PostNotFound`] if the post does not exist.
    pub async fn comments(
        &self,
        request: ReadRequest<'_>,
        post: PostId,
        order: CommentOrder,
        mut after: Option<CommentId>,
        limit: usize,
    ) -> Result<Page<CommentWithAuthor, CommentId>, Error> {
        let draft = PageDraft::new(limit);
        let source = async |after, count| -> Result<CommentPage, Error> {
            let count = i32::try_from(count).unwrap_or(i32::MAX);
            self.commands.comments(post, order, after, count, request.consistency()).await
        };
        let (state, (), first) = tokio::try_join!(
            ViewerState::read(request, &self.viewers, &self.commands),
            self.require_post(request, post),
            source(after, draft.wanted())
        )?;
        let mut ahead = Some(first);
        let read = async |count| {
            let CommentPage { comments, more } = match ahead.take() {
                Some(first) => first,
                None => source(after, count).await?,
            };
            after = comments.last().map(|comment| comment.comment).or(after);
            let visible = |comment: &Comment| !comment.is_deleted() && !state.viewer.hides(&comment.author);
            Ok(Page { entries: comments.into_iter().filter(visible).collect(), next: after.filter(|_| more) })
        };
        let Page { entries, next } = draft.fill(|comment: &Comment| comment.comment, read).await?;
        Ok(Page { entries: self.with_authors(&state, entries).await?, next })
    }

    /// A comment on a post. A comment by a user whom the viewer mutes can still be looked up.
    ///
    /// # Errors
    /// [`Rejection::PostNotFound`] if the post does not exist. [`Rejection::CommentNotFound`] if the comment does not
    /// exist, or if the viewer blocks its author.
    pub async fn comment(
        &self,
        request: ReadRequest<'_>,
        post: PostId,
        comment: CommentId,
    ) -> Result<CommentWithAuthor, Error> {
        let (state, (), found) = tokio::try_join!(
            ViewerState::read(request, &self.viewers, &self.commands),
            self.require_post(request, post),
            self.commands.comment(post, comment)
        )?;
        let visible = |found: &Comment| !found.is_deleted() && !state.viewer.blocked.contains(&found.author.hash());
        let found = found.filter(visible).ok_or(Rejection::CommentNotFound)?;
        let mut with_author = self.with_authors(&state, vec![found]).await?;
        Ok(with_author.pop().ok_or(Rejection::CommentNotFound)?)
    }

    /// Checks that the post exists.
    async fn require_post(&self, request: ReadRequest<'_>, post: PostId) -> Result<(), Error> {
        let card = match request.consistency() {
            Consistency::Strong => None,
            Consistency::Eventual => self.cards.posts(&[post], Consistency::Eventual).await?.remove(&post),
        };
        match card {
            Some(card) if card.deleted => Err(Rejection::PostNotFound.into()),
            Some(_) => Ok(()),
            None => self.post_from_truth(post).await.map(|_| ()),
        }
    }

    async fn with_authors(
        &self,
        state: &ViewerState<'_>,
        comments: Vec<Comment>,
    ) -> Result<Vec<CommentWithAuthor>, Error> {
        let mut authors: Vec<_> = comments.iter().map(|comment| comment.author.clone()).collect();
        authors.sort_unstable();
        authors.dedup();
        let mut cards: HashMap<_, _> = self.cards.users(&authors, state.consistency()).await?;
        if state.has_unprojected_profile() {
            cards.remove(state.request.viewer);
        }
        for author in authors {
            if let Entry::Vacant(missing) = cards.entry(author) {
                let card = card_from_truth(&self.commands, missing.key()).await?;
                missing.insert(card);
            }
        }
        let with_author = |comment: Comment| {
            let author = cards.get(&comment.author)?.clone();
            Some(CommentWithAuthor { comment, author })
        };
        Ok(comments.into_iter().filter_map(with_author).collect())
    }
}
