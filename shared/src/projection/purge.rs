//! Purge: what is left of a deleted post is removed. The command removes the text of the post. Afterwards, at rest, no
//! table holds a text, tag or mention of the post or of the comments on it.
//!
//! A post may have any number of comments. So a purge goes in small steps: each step is a task, which sends the task of
//! the next step. Repeating a step changes nothing. Nothing that a late worker writes escapes:
//!
//! - Rows of tags are written in one transaction with a check of the post's version.
//! - A comment may be committed just after the deletion. The effect of its event finds the post deleted, and sends the
//!   task again.
//!
//! Comments are removed from the truth without an event. Their events stay in the logs of their authors, without text.

use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    error::Error,
    model::{Comment, Post, PostId, UserId},
    store::{
        Consistency,
        command_table::CommandTable,
        comments::{CommentOrder, CommentPage},
        timelines::Timelines,
        transaction::Change,
    },
    stream::work_queue::{Task, WorkQueue},
};

/// Comments removed in one step. Each takes a transaction of two items.
const COMMENTS_PER_STEP: i32 = 100;
/// Comments, or rows of tags, removed at once.
const REMOVALS_AT_ONCE: usize = 8;

/// Purges deleted posts.
#[derive(Debug, Clone)]
pub struct Purge {
    pub(super) commands: CommandTable,
    pub(super) timelines: Timelines,
    pub(super) work_queue: WorkQueue,
}

impl Purge {
    /// Lets a worker purge the post, which is deleted.
    pub(super) async fn begin(&self, post: &Post) -> Result<(), Error> {
        self.send_next(post.post, &post.author).await
    }

    /// If the post is deleted, lets a worker purge it.
    pub(super) async fn begin_if_deleted(&self, post: PostId) -> Result<(), Error> {
        match self.commands.post(post).await? {
            Some(post) if post.is_deleted() => self.begin(&post).await,
            _ => Ok(()),
        }
    }

    /// One step of a purge: removes some comments on the post. The last step removes its tags.
    ///
    /// # Errors
    /// As those of the stores and the queue.
    pub async fn step(&self, post: PostId) -> Result<(), Error> {
        let Some(deleted) = self.commands.post(post).await?.filter(Post::is_deleted) else {
            tracing::warn!(%post, "the post to purge is not deleted");
            return Ok(());
        };
        let order = CommentOrder::OldestFirst;
        let CommentPage { comments, more } =
            self.commands.comments(post, order, None, COMMENTS_PER_STEP, Consistency::Strong).await?;
        stream::iter(&comments)
            .map(|comment| self.remove_comment(comment))
            .buffer_unordered(REMOVALS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        if more {
            return self.send_next(post, &deleted.author).await;
        }
        stream::iter(&deleted.tags_ever)
            .map(|tag| self.timelines.untag(tag, post, deleted.version))
            .buffer_unordered(REMOVALS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        if deleted.tags_ever.is_empty() {
            return Ok(());
        }
        self.commands.commit_unlogged(&[Change::ForgetTags(post)]).await
    }

    async fn send_next(&self, post: PostId, author: &UserId) -> Result<(), Error> {
        self.work_queue.send(vec![Task::PurgePost { post, author: author.clone() }]).await
    }

    async fn remove_comment(&self, comment: &Comment) -> Result<(), Error> {
        let changes = [
            Change::RemoveComment { post: comment.post, comment: comment.comment },
            Change::ScrubEvent { user: comment.author.clone(), version: comment.event_version },
        ];
        self.commands.commit_unlogged(&changes).await
    }
}

#[cfg(test)]
mod tests;
