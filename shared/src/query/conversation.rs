//! A post by itself, and what was said about it. Comments are read from the truth, where they stand in order; what is
//! shown of their authors, from cards.

use std::collections::{HashMap, hash_map::Entry};

use super::{Conversations, FeedPost, ReadRequest, Sight, page::Page, posts, profile::card_from_truth};
use crate::{
    error::{Error, Rejection},
    model::{Comment, CommentId, Post, PostId, Profile, UserId},
    store::{
        cards::{PostCard, UserCard},
        comments::CommentOrder,
    },
};

/// Reads of one page at most; deleted comments are kept, so a read may find nothing.
const ROUNDS_MAX: usize = 10;

/// A comment with its author as the author is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentWithAuthor {
    /// The comment.
    pub comment: Comment,
    /// Its author.
    pub author: UserCard,
}

impl Conversations {
    /// A post.
    ///
    /// # Errors
    /// [`Rejection::PostNotFound`] if there is no such post.
    pub async fn post(&self, reader: ReadRequest<'_>, post: PostId) -> Result<FeedPost, Error> {
        // What the reader did to it shows only if it is asked for.
        let sight = match reader.consistent() {
            true => Sight::of(reader, &self.viewers, &self.commands).await?,
            false => Sight::default(),
        };
        let read = posts::read(&self.commands, &self.cards, None, reader, &sight, &[post]).await?.remove(&post);
        match read {
            Some(shown) => Ok(shown),
            None => Ok(FeedPost::new(self.new_card(post).await?, false)),
        }
    }

    /// A post that the viewer has just written so, with what others made of it.
    ///
    /// # Errors
    /// [`Rejection::PostNotFound`] if it was deleted meanwhile.
    pub async fn written(&self, viewer: &UserId, post: Post, author: Profile) -> Result<FeedPost, Error> {
        let shown = self.post(ReadRequest { user: viewer, min_version: None }, post.post).await?;
        let PostCard { likes, comments, heat, .. } = shown.card;
        Ok(FeedPost { card: PostCard { likes, comments, heat, ..PostCard::new(post, author) }, ..shown })
    }

    /// The card of a post so new that it is not projected yet.
    async fn new_card(&self, post: PostId) -> Result<PostCard, Error> {
        let post = self.commands.post(post).await?.filter(|post| !post.is_deleted()).ok_or(Rejection::PostNotFound)?;
        let author = self.commands.profile(&post.author).await?.ok_or(Rejection::PostNotFound)?;
        Ok(PostCard::new(post, author))
    }

    /// At most `limit` comments on a post, those after `after` in the order.
    ///
    /// # Errors
    /// [`Rejection::PostNotFound`] if there is no such post.
    pub async fn comments(
        &self,
        reader: ReadRequest<'_>,
        post: PostId,
        order: CommentOrder,
        after: Option<CommentId>,
        limit: usize,
    ) -> Result<Page<CommentWithAuthor, CommentId>, Error> {
        let mut found = Vec::new();
        let mut after = after;
        let mut more = true;
        let mut sight = Sight::default();
        for round in 0..ROUNDS_MAX {
            let wanted = i32::try_from(limit + 1 - found.len()).unwrap_or(i32::MAX);
            let comments = self.commands.comments(post, order, after, wanted, reader.consistent());
            let page = if round > 0 {
                comments.await?
            } else {
                let first = Sight::of(reader, &self.viewers, &self.commands);
                let (page, (), first) = tokio::try_join!(comments, self.require_post(reader, post), first)?;
                sight = first;
                page
            };
            after = page.comments.last().map(|comment| comment.comment).or(after);
            more = page.more;
            let shown = |comment: &Comment| !comment.is_deleted() && !sight.viewer.hides(&comment.author);
            found.extend(page.comments.into_iter().filter(shown));
            if found.len() > limit || !more {
                break;
            }
        }
        if found.len() > limit {
            found.truncate(limit);
            after = found.last().map(|comment| comment.comment);
            more = true;
        }
        Ok(Page { entries: self.with_authors(reader, &sight, found).await?, next: after.filter(|_| more) })
    }

    /// Tells a post that nobody commented on from none.
    async fn require_post(&self, reader: ReadRequest<'_>, post: PostId) -> Result<(), Error> {
        if reader.consistent() {
            return self.new_card(post).await.map(|_| ());
        }
        match self.cards.posts(&[post], false).await?.remove(&post) {
            Some(card) if card.deleted => Err(Rejection::PostNotFound.into()),
            Some(_) => Ok(()),
            None => self.new_card(post).await.map(|_| ()),
        }
    }

    async fn with_authors(
        &self,
        reader: ReadRequest<'_>,
        sight: &Sight,
        comments: Vec<Comment>,
    ) -> Result<Vec<CommentWithAuthor>, Error> {
        let mut authors: Vec<_> = comments.iter().map(|comment| comment.author.clone()).collect();
        authors.sort_unstable();
        authors.dedup();
        let mut cards: HashMap<_, _> = self.cards.users(&authors, reader.consistent()).await?;
        if sight.overlay.profile {
            // The truth is newer.
            cards.remove(reader.user);
        }
        for author in authors {
            if let Entry::Vacant(unknown) = cards.entry(author) {
                let card = card_from_truth(&self.commands, unknown.key()).await?;
                unknown.insert(card);
            }
        }
        let with_author = |comment: Comment| {
            let author = cards.get(&comment.author)?.clone();
            Some(CommentWithAuthor { comment, author })
        };
        Ok(comments.into_iter().filter_map(with_author).collect())
    }
}
