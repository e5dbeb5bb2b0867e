//! A post by itself, and its comments. Comments are read from the command table, where they are stored in order. Their
//! authors are shown as their cards have them.

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use super::{
    pipeline::{FeedPost, Hydrated, Hydrator, Page, PageDraft, ReadRequest, ViewerState},
    services::Conversations,
    users::card_if_exists,
};
use crate::{
    error::{Error, Rejection},
    model::{Comment, CommentId, Post, PostId, Profile, UserId, Version},
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
    /// Whether the comment is hidden from the viewer, who asked for hidden comments.
    pub hidden: bool,
}

/// What becomes of comments that are hidden from the viewer: those by users with a block between them and the viewer,
/// and those by users whom the viewer mutes, except on their own posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HiddenComments {
    /// They are left out.
    LeaveOut,
    /// They are marked. Only the author of the post may see them, who can delete them.
    Mark,
}

/// Which comments on a post are read, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommentsOf {
    /// The post.
    pub post: PostId,
    /// The order.
    pub order: CommentOrder,
    /// What becomes of hidden comments.
    pub hidden: HiddenComments,
}

impl Conversations {
    /// A post. Who looks it up may mute its author.
    ///
    /// # Errors
    /// [`Rejection::PostNotFound`] if the post does not exist, or if the viewer or its author blocks the other.
    pub async fn post(&self, request: ReadRequest<'_>, post: PostId) -> Result<FeedPost, Error> {
        let read = ViewerState::read(request, &self.viewers, &self.commands);
        let unread = ViewerState::unread(request);
        let (state, mut shown) = match request.min_version {
            None => tokio::try_join!(read, self.shown(&unread, post))?,
            Some(_) => {
                let state = read.await?;
                let shown = self.shown(&state, post).await?;
                (state, shown)
            }
        };
        self.require_no_block(&state, &shown.card.author).await?;
        self.show_own_profile(&state, [&mut shown]).await?;
        Ok(shown)
    }

    /// Makes the viewer's own posts show the viewer's profile, if a walk has not shown it on all cards yet. For posts
    /// that were hydrated before the viewer state was known: those of a query without a version.
    pub(super) async fn show_own_profile<'b>(
        &self,
        state: &ViewerState<'_>,
        posts: impl IntoIterator<Item = &'b mut FeedPost>,
    ) -> Result<(), Error> {
        if state.request.min_version.is_some() || !state.has_unfinished_profile() {
            return Ok(());
        }
        let own: Vec<_> = posts.into_iter().filter(|post| post.card.author == *state.request.viewer).collect();
        if !own.is_empty()
            && let Some(profile) = self.commands.profile(state.request.viewer).await?
        {
            own.into_iter().for_each(|post| post.card.author_profile = profile.public.clone());
        }
        Ok(())
    }

    /// A post as it is shown to everybody who may see it.
    async fn shown(&self, state: &ViewerState<'_>, post: PostId) -> Result<FeedPost, Error> {
        let hydrator = Hydrator { commands: &self.commands, cards: &self.cards, recent_cards: None };
        let Hydrated { mut posts, liked, .. } = hydrator.hydrate(state, &[post]).await?;
        match posts.remove(&post) {
            Some(post) => Ok(post),
            None => {
                let card = self.post_from_truth(state.request.viewer, post).await?;
                Ok(FeedPost::new(card, liked.contains(&post)))
            }
        }
    }

    /// Where there is a block between the viewer and the author, the post does not exist for the viewer.
    pub(super) async fn require_no_block(&self, state: &ViewerState<'_>, author: &UserId) -> Result<(), Error> {
        match state.is_cut_off_from(&self.commands, author).await? {
            true => Err(Rejection::PostNotFound.into()),
            false => Ok(()),
        }
    }

    /// The post that the viewer has just written, in this version of the viewer's log, with the likes and comments of
    /// others.
    ///
    /// # Errors
    /// [`Rejection::PostNotFound`] if the post was deleted meanwhile.
    pub async fn written(
        &self,
        viewer: &UserId,
        version: Version,
        post: Post,
        author: Profile,
    ) -> Result<FeedPost, Error> {
        // Strongly consistent, so that a like that was just accepted shows.
        let request = ReadRequest { viewer, min_version: Some(version) };
        let shown = self.shown(&ViewerState::unread(request), post.post).await?;
        let PostCard { likes, comments, heat, .. } = shown.card;
        Ok(FeedPost { card: PostCard { likes, comments, heat, ..PostCard::new(post, author) }, ..shown })
    }

    /// The card of a post that is so new that no projection has made the card yet.
    async fn post_from_truth(&self, viewer: &UserId, post: PostId) -> Result<PostCard, Error> {
        let post = self.commands.post(post).await?.filter(|post| !post.is_deleted()).ok_or(Rejection::PostNotFound)?;
        let author = self.commands.profile(&post.author).await?.ok_or(Rejection::PostNotFound)?;
        let card = Some(PostCard::new(post, author)).filter(|card| card.is_shown_to(viewer));
        Ok(card.ok_or(Rejection::PostNotFound)?)
    }

    /// At most `limit` comments on a post, those after `after` in the order.
    ///
    /// # Errors
    /// [`Rejection::PostNotFound`] if the post does not exist, or if the viewer or its author blocks the other;
    /// [`Rejection::NotAuthor`] if another user than the author asks for hidden comments.
    pub async fn comments(
        &self,
        request: ReadRequest<'_>,
        CommentsOf { post, order, hidden }: CommentsOf,
        mut after: Option<CommentId>,
        limit: usize,
    ) -> Result<Page<CommentWithAuthor, CommentId>, Error> {
        let draft = PageDraft::new(limit);
        let source = async |after, count| -> Result<CommentPage, Error> {
            let count = i32::try_from(count).unwrap_or(i32::MAX);
            self.commands.comments(post, order, after, count, request.consistency()).await
        };
        let (state, post_author, first) = tokio::try_join!(
            ViewerState::read(request, &self.viewers, &self.commands),
            self.author_of(request, post),
            source(after, draft.wanted())
        )?;
        self.require_no_block(&state, &post_author).await?;
        if hidden == HiddenComments::Mark && post_author != *request.viewer {
            return Err(Rejection::NotAuthor.into());
        }
        let mut ahead = Some(first);
        let read = async |count| {
            let CommentPage { comments, more } = match ahead.take() {
                Some(first) => first,
                None => source(after, count).await?,
            };
            after = comments.last().map(|comment| comment.comment).or(after);
            let authors: BTreeSet<_> = comments.iter().map(|comment| comment.author.clone()).collect();
            let blockers = state.blockers_among(&self.commands, &authors).await?;
            // A muted author is looked up where the post is theirs.
            let is_hidden = |author: &UserId| {
                let muted = state.viewer.mutes(author) && *author != post_author;
                muted || state.viewer.blocks(author) || blockers.contains(author)
            };
            let marked = comments.into_iter().filter(|comment| !comment.is_deleted()).map(|comment| {
                let is_hidden = is_hidden(&comment.author);
                (comment, is_hidden)
            });
            let shown = marked.filter(|(_, is_hidden)| !is_hidden || hidden == HiddenComments::Mark);
            let entries = self.with_authors(&state, shown.collect()).await?;
            Ok(Page { entries, next: after.filter(|_| more) })
        };
        draft.fill(|shown: &CommentWithAuthor| shown.comment.comment, read).await
    }

    /// A comment on a post. A comment by a user whom the viewer mutes can still be looked up, and the author of the
    /// post can look up every comment.
    ///
    /// # Errors
    /// [`Rejection::PostNotFound`] if the post does not exist, or if there is a block between its author and the
    /// viewer. [`Rejection::CommentNotFound`] likewise for the comment.
    pub async fn comment(
        &self,
        request: ReadRequest<'_>,
        post: PostId,
        comment: CommentId,
    ) -> Result<CommentWithAuthor, Error> {
        let (state, post_author, found) = tokio::try_join!(
            ViewerState::read(request, &self.viewers, &self.commands),
            self.author_of(request, post),
            self.commands.comment(post, comment)
        )?;
        let found = found.filter(|found| !found.is_deleted()).ok_or(Rejection::CommentNotFound)?;
        let ((), is_hidden) = tokio::try_join!(
            self.require_no_block(&state, &post_author),
            state.is_cut_off_from(&self.commands, &found.author)
        )?;
        if is_hidden && post_author != *request.viewer {
            return Err(Rejection::CommentNotFound.into());
        }
        let mut with_author = self.with_authors(&state, vec![(found, is_hidden)]).await?;
        Ok(with_author.pop().ok_or(Rejection::CommentNotFound)?)
    }

    /// The author of a post that exists.
    pub(super) async fn author_of(&self, request: ReadRequest<'_>, post: PostId) -> Result<UserId, Error> {
        let card = match request.consistency() {
            Consistency::Strong => None,
            Consistency::Eventual => self.cards.posts(&[post], Consistency::Eventual).await?.remove(&post),
        };
        match card {
            Some(card) if !card.is_shown_to(request.viewer) => Err(Rejection::PostNotFound.into()),
            Some(card) => Ok(card.author),
            None => Ok(self.post_from_truth(request.viewer, post).await?.author),
        }
    }

    async fn with_authors(
        &self,
        state: &ViewerState<'_>,
        comments: Vec<(Comment, bool)>,
    ) -> Result<Vec<CommentWithAuthor>, Error> {
        let mut authors: Vec<_> = comments.iter().map(|(comment, _)| comment.author.clone()).collect();
        authors.sort_unstable();
        authors.dedup();
        let mut cards: HashMap<_, _> = self.cards.users(&authors, state.consistency()).await?;
        if state.has_unfinished_profile() {
            cards.remove(state.request.viewer);
        }
        for author in authors {
            if let Entry::Vacant(missing) = cards.entry(author)
                && let Some(card) = card_if_exists(&self.commands, missing.key()).await?
            {
                missing.insert(card);
            }
        }
        let with_author = |(comment, hidden): (Comment, bool)| {
            // A suspended author's comments are shown to the author only. Those of deleted accounts are being erased.
            let author = cards.get(&comment.author).filter(|card| card.is_shown_to(state.request.viewer))?.clone();
            Some(CommentWithAuthor { comment, author, hidden })
        };
        Ok(comments.into_iter().filter_map(with_author).collect())
    }
}
