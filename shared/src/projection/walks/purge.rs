//! Purge: what is left of a deleted post is removed. The command removes the text of the post. Afterwards, at rest, no
//! table holds a text, tag or mention of the post or of the comments on it.
//!
//! The first step removes the tags, and the post from the search index. A post may have any number of comments, so some
//! of them are removed in each step. If there are many, the rest is split once by the time of creation into parts,
//! which run in parallel. The likes that are shown have a walk of their own. Nothing that a late worker writes escapes:
//!
//! - Rows of tags are written in one transaction with a check of the post's version.
//! - The likes that are shown hold only ids. One that is shown late stays, and nobody sees it.
//! - A comment may be committed just after the deletion. The effect of its event finds the post deleted, and sends a
//!   part that has only this comment: of a busy post, many may come.
//!
//! Comments are removed from the truth without an event. Their events stay in the logs of their authors, without text.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};

use super::{Step, Walks};
use crate::{
    error::Error,
    model::{Comment, CommentId, Post, PostId, TallySubject, UserId},
    store::{
        Consistency,
        comments::{CommentOrder, CommentPage},
        transaction::Change,
    },
    stream::walk::Walk,
};

/// Comments removed in one step at most. Each takes a transaction of two items.
const COMMENTS_PER_STEP: usize = 100;
/// Parts into which the comments behind the first step are split.
const PARTS: u32 = 8;
/// Comments, or rows of tags, removed at once.
const REMOVALS_AT_ONCE: usize = 8;

impl Walks {
    /// Lets a worker purge the post, which is deleted.
    pub(in crate::projection) async fn begin_purge(&self, post: &Post) -> Result<(), Error> {
        if !self.fills_homes() {
            // A rebuild meets posts that were deleted, and purged, long ago.
            return Ok(());
        }
        self.send(vec![purge(post.post, &post.author)]).await
    }

    /// If the post is deleted, lets a worker remove this comment on it. The account of its author may have been erased
    /// with it. Then `commenter` has the walk.
    pub(in crate::projection) async fn remove_comment_if_deleted(
        &self,
        commenter: &UserId,
        id: PostId,
        comment: CommentId,
        post: Option<&Post>,
    ) -> Result<(), Error> {
        let author = match post {
            Some(post) if !post.is_deleted() => return Ok(()),
            // A rebuild meets comments that were removed long ago.
            Some(_) if !self.fills_homes() => return Ok(()),
            Some(post) => post.author.clone(),
            None => commenter.clone(),
        };
        let before = CommentId::lowest(comment.created_at().before(Duration::from_millis(1)));
        self.send(vec![Walk::Purge { post: id, author, after: Some(before), until: Some(comment) }]).await
    }

    /// One step of a purge: removes comments on the post, from the one behind `after` to the one at `until`. The walk
    /// belongs to `user`: the post's author, or a commenter if the author's account was erased.
    pub(super) async fn purge_step(
        &self,
        post: PostId,
        user: &UserId,
        after: Option<CommentId>,
        until: Option<CommentId>,
        rows: usize,
    ) -> Result<Step, Error> {
        let deleted = self.commands.post(post).await?;
        if deleted.as_ref().is_some_and(|post| !post.is_deleted()) {
            tracing::warn!(%post, "the post to purge is not deleted");
            return Ok(Step::Done);
        }
        if let Some(deleted) = &deleted {
            self.remove_tags(deleted).await?;
        }
        // The words of a post are searched for in rows that an erased account leaves behind, too.
        for search in self.shared.search.with_content.iter().filter(|_| after.is_none()) {
            search.remove(&TallySubject::Post(post)).await?;
        }
        let mut next = match after {
            None => self.clear_likes(post, user.clone(), rows).await?,
            Some(_) => Vec::new(),
        };
        let limit = i32::try_from(rows.min(COMMENTS_PER_STEP)).unwrap_or(i32::MAX);
        let oldest = CommentOrder::OldestFirst;
        let CommentPage { mut comments, more } =
            self.commands.comments(post, oldest, after, limit, Consistency::Strong).await?;
        let read = comments.len();
        comments.retain(|comment| until.is_none_or(|until| comment.comment <= until));
        stream::iter(&comments)
            .map(|comment| self.remove_comment(comment))
            .buffer_unordered(REMOVALS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        let part = |(after, until)| {
            let author = user.clone();
            Walk::Purge { post, author, after: Some(after), until: Some(until) }
        };
        if let Some(last) = comments.last().map(|last| last.comment).filter(|_| more && comments.len() == read) {
            let rest = match until {
                Some(until) => vec![(last, until)],
                None => self.parts(post, last).await?,
            };
            next.extend(rest.into_iter().map(part));
        }
        Ok(Step::next(next))
    }

    /// One step of the removal of likes that are shown.
    pub(super) async fn purge_likes_step(&self, post: PostId, author: UserId, rows: usize) -> Result<Step, Error> {
        match self.commands.post(post).await? {
            Some(post) if !post.is_deleted() => Ok(Step::Done),
            _ => Ok(Step::next(self.clear_likes(post, author, rows).await?)),
        }
    }

    /// Removes some of the likes that are shown. Returns the walk that removes more, if there are more.
    async fn clear_likes(&self, post: PostId, author: UserId, rows: usize) -> Result<Vec<Walk>, Error> {
        let mut more = false;
        for timelines in &self.shared.timelines.with_content {
            more |= timelines.clear_likes(post, rows).await?;
        }
        Ok(more.then_some(Walk::PurgeLikes { post, author }).into_iter().collect())
    }

    /// Splits the comments behind this one into parts of equal time.
    async fn parts(&self, post: PostId, after: CommentId) -> Result<Vec<(CommentId, CommentId)>, Error> {
        let newest = CommentOrder::NewestFirst;
        let newest = self.commands.comments(post, newest, None, 1, Consistency::Strong).await?.comments;
        let Some(end) = newest.first().map(|newest| newest.comment) else { return Ok(Vec::new()) };
        let (from, span) = (after.created_at(), end.created_at().since(after.created_at()));
        let bound = |number| CommentId::lowest(from.after(span * number / PARTS));
        let bounds = std::iter::once(after).chain((1..PARTS).map(bound)).chain(std::iter::once(end));
        let mut bounds: Vec<_> = bounds.filter(|bound| (after..=end).contains(bound)).collect();
        bounds.dedup();
        Ok(bounds.windows(2).filter_map(|part| Some((*part.first()?, *part.last()?))).collect())
    }

    async fn remove_tags(&self, deleted: &Post) -> Result<(), Error> {
        if deleted.tags_ever.is_empty() {
            return Ok(());
        }
        // The tags are forgotten after that, so no set of tables may keep a row.
        let version = deleted.version;
        let all = self.shared.timelines.with_content.iter();
        let rows = all.flat_map(|it| deleted.tags_ever.iter().map(move |tag| (it, tag)));
        stream::iter(rows)
            .map(|(timelines, tag)| timelines.untag(tag, deleted.post, version))
            .buffer_unordered(REMOVALS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        self.commands.commit_unlogged(&[Change::ForgetTags(deleted.post)]).await
    }

    async fn remove_comment(&self, comment: &Comment) -> Result<(), Error> {
        let changes = [
            Change::RemoveComment { post: comment.post, comment: comment.comment, shard: comment.shard },
            Change::ScrubEvent { user: comment.author.clone(), version: comment.event_version },
        ];
        self.commands.commit_unlogged(&changes).await
    }
}

fn purge(post: PostId, user: &UserId) -> Walk {
    Walk::Purge { post, author: user.clone(), after: None, until: None }
}

#[cfg(test)]
mod tests;
