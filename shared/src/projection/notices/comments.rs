//! Notices of comments, and of mentions in them.

use futures::future::try_join_all;

use super::{Notices, of_comment};
use crate::{
    error::Error,
    model::{CommentId, Post, PostId},
    stream::work_queue::Task,
};

impl Notices {
    /// Shows a comment, or its deletion, to the author of the post and to those whom it mentions. If very many comment
    /// on the post at this moment, a task does so within a minute. A deletion is shown now: queries of whoever deletes
    /// a comment rely on it (INV-4). Returns the post.
    ///
    /// # Errors
    /// As the stores' and the queue's.
    pub async fn show_comment(&self, post: PostId, comment: CommentId) -> Result<Option<Post>, Error> {
        let (post, comment) = tokio::try_join!(self.commands.post(post), self.commands.comment(post, comment))?;
        // A comment on a deleted post is gone, or will be.
        if let (Some(post), Some(comment)) = (post.as_ref().filter(|post| !post.is_deleted()), comment) {
            let notices = of_comment(post, &comment);
            let is_told = notices.iter().any(|notice| self.is_told(notice)) && !comment.is_deleted();
            if is_told && self.timelines.pace.count_comment(post.post, self.clock.now()) {
                self.crowds.leave_comment(post.post, comment.comment, &self.work_queue).await?;
            } else {
                self.notify_all(notices).await?;
            }
        }
        Ok(post)
    }

    /// Shows comments on a post, or their deletions, to the author of the post and to those whom they mention.
    ///
    /// # Errors
    /// As [`Self::show_many`].
    pub async fn show_comments(&self, post: PostId, comments: &[CommentId]) -> Result<(), Error> {
        let Some(post) = self.commands.post(post).await?.filter(|post| !post.is_deleted()) else { return Ok(()) };
        let show = async |some: &[CommentId]| self.show_comments_at_once(&post, some).await;
        self.show_many(&post.post, comments, show, |some| Task::show_comments(post.post, some)).await
    }

    async fn show_comments_at_once(&self, post: &Post, comments: &[CommentId]) -> Result<(), Error> {
        let show = async |comment: &CommentId| match self.commands.comment(post.post, *comment).await? {
            Some(comment) => self.notify_all(of_comment(post, &comment)).await,
            None => Ok(()),
        };
        try_join_all(comments.iter().map(show)).await.map(drop)
    }
}
