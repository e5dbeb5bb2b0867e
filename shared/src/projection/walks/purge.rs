//! Purge: what is left of a deleted post is removed. The command removes the text of the post. Afterwards, at rest, no
//! table holds a text, tag or mention of the post or of the comments on it.
//!
//! A post may have any number of comments, so some of them are removed in each step. Nothing that a late worker writes
//! escapes:
//!
//! - Rows of tags are written in one transaction with a check of the post's version.
//! - A comment may be committed just after the deletion. The effect of its event finds the post deleted, and sends the
//!   walk again.
//!
//! Comments are removed from the truth without an event. Their events stay in the logs of their authors, without text.

use futures::{StreamExt, TryStreamExt, stream};

use super::{Step, Walks};
use crate::{
    error::Error,
    model::{Comment, Post, PostId},
    store::{
        Consistency,
        comments::{CommentOrder, CommentPage},
        transaction::Change,
    },
    stream::walk::Walk,
};

/// Comments removed in one step at most. Each takes a transaction of two items.
const COMMENTS_PER_STEP: usize = 100;
/// Comments, or rows of tags, removed at once.
const REMOVALS_AT_ONCE: usize = 8;

impl Walks {
    /// Lets a worker purge the post, which is deleted.
    pub(in crate::projection) async fn begin_purge(&self, post: &Post) -> Result<(), Error> {
        if !self.fills_homes() {
            // A rebuild meets posts that were deleted, and purged, long ago.
            return Ok(());
        }
        self.send(vec![purge(post)]).await
    }

    /// If the post is deleted, lets a worker purge it.
    pub(in crate::projection) async fn begin_purge_if_deleted(&self, post: PostId) -> Result<(), Error> {
        match self.commands.post(post).await? {
            Some(post) if post.is_deleted() => self.begin_purge(&post).await,
            _ => Ok(()),
        }
    }

    /// One step of a purge: removes some comments on the post. The last step removes its tags.
    pub(super) async fn purge_step(&self, post: PostId, rows: usize) -> Result<Step, Error> {
        let Some(deleted) = self.commands.post(post).await?.filter(Post::is_deleted) else {
            tracing::warn!(%post, "the post to purge is not deleted");
            return Ok(Step::Done);
        };
        let order = CommentOrder::OldestFirst;
        let limit = i32::try_from(rows.min(COMMENTS_PER_STEP)).unwrap_or(i32::MAX);
        let CommentPage { comments, more } =
            self.commands.comments(post, order, None, limit, Consistency::Strong).await?;
        stream::iter(&comments)
            .map(|comment| self.remove_comment(comment))
            .buffer_unordered(REMOVALS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        if more {
            return Ok(Step::Next(vec![purge(&deleted)]));
        }
        // The tags are forgotten after that, so no set of tables may keep a row.
        let version = deleted.version;
        let rows = self.shared.with_content.iter().flat_map(|it| deleted.tags_ever.iter().map(move |tag| (it, tag)));
        stream::iter(rows)
            .map(|(timelines, tag)| timelines.untag(tag, post, version))
            .buffer_unordered(REMOVALS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        if !deleted.tags_ever.is_empty() {
            self.commands.commit_unlogged(&[Change::ForgetTags(post)]).await?;
        }
        Ok(Step::Done)
    }

    async fn remove_comment(&self, comment: &Comment) -> Result<(), Error> {
        let changes = [
            Change::RemoveComment { post: comment.post, comment: comment.comment },
            Change::ScrubEvent { user: comment.author.clone(), version: comment.event_version },
        ];
        self.commands.commit_unlogged(&changes).await
    }
}

fn purge(post: &Post) -> Walk {
    Walk::Purge { post: post.post, author: post.author.clone() }
}

#[cfg(test)]
mod tests;
