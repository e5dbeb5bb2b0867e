//! Notices of new followers.

use futures::{StreamExt, TryStreamExt, stream};

use super::{Notices, crowds::AT_ONCE, of_follow};
use crate::{
    error::Error,
    model::{EdgeKey, EdgeKind, UserId},
    stream::work_queue::Task,
};

impl Notices {
    /// Shows a follow, or its end, to the followed user. If very many follow the user at this moment, a task does so
    /// within a minute.
    ///
    /// # Errors
    /// As the stores' and the queue's.
    pub(in crate::projection) async fn show_follow(&self, follower: &UserId, followee: &UserId) -> Result<(), Error> {
        if self.timelines.pace.count_follow(followee, self.clock.now()) {
            return self.crowds.leave_follow(follower, followee, &self.work_queue).await;
        }
        self.show_follows(followee, std::slice::from_ref(follower)).await
    }

    /// Shows follows of a user, or their ends.
    ///
    /// # Errors
    /// As [`Self::show_many`].
    pub async fn show_follows(&self, followee: &UserId, followers: &[UserId]) -> Result<(), Error> {
        let show = async |some: &[UserId]| self.show_follows_at_once(followee, some).await;
        self.show_many(followee, followers, show, |some| Task::show_follows(followee, some)).await
    }

    async fn show_follows_at_once(&self, followee: &UserId, followers: &[UserId]) -> Result<(), Error> {
        let keys: Vec<_> = followers.iter().map(|user| EdgeKey::new(user, EdgeKind::Follows, followee)).collect();
        let edges = self.commands.edges(&keys).await?;
        let edge = |key: &EdgeKey| of_follow(&key.from, followee, edges.get(key)?);
        let shown = stream::iter(keys.iter().filter_map(edge)).map(|notice| self.notify(notice));
        shown.buffer_unordered(AT_ONCE).try_collect().await
    }
}
