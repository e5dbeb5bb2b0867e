//! What very many do to one user or post at once: follows of a user, and comments on a post. Their notices may be more
//! than a partition takes, and nothing else of the logs that they come from may wait for that. So they are left to the
//! work queue, many in one task.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use rand::Rng;
use tokio::time::sleep;

use super::Notices;
use crate::{
    error::Error,
    model::{CommentId, ModelSet, PostId, UserId},
    stream::work_queue::{LEFT_AFTER, Task, WorkQueue},
};

/// How long the first notice of a task waits for others.
const COLLECTED_FOR: Duration = Duration::from_millis(50);
/// How long a task waits at most. Their times spread what comes at once.
const WAITS_MAX: Duration = Duration::from_secs(60);
/// Notices written at once.
pub(super) const AT_ONCE: usize = 8;

/// What workers of a process leave to the queue at this moment, by the set of tables that it is about. Clones share it.
#[derive(Clone, Default)]
pub struct Crowds(Arc<Mutex<BTreeMap<Option<ModelSet>, Open>>>);

/// A call to the queue that several workers wait for.
type Sending = Shared<BoxFuture<'static, Result<(), Arc<Error>>>>;

#[derive(Default)]
struct Open {
    /// Followers by the followed user.
    follows: BTreeMap<UserId, Vec<UserId>>,
    /// By the post that they are on.
    comments: BTreeMap<PostId, Vec<CommentId>>,
    /// What sends them.
    sending: Option<Sending>,
}

impl Crowds {
    /// Leaves a follow to the queue, together with what other workers leave. Returns once it is there.
    pub(super) async fn leave_follow(
        &self,
        follower: &UserId,
        followee: &UserId,
        queue: &WorkQueue,
    ) -> Result<(), Error> {
        let add = |open: &mut Open| open.follows.entry(followee.clone()).or_default().push(follower.clone());
        self.leave(add, queue).await
    }

    /// The same of a comment.
    pub(super) async fn leave_comment(&self, post: PostId, comment: CommentId, queue: &WorkQueue) -> Result<(), Error> {
        self.leave(|open| open.comments.entry(post).or_default().push(comment), queue).await
    }

    async fn leave(&self, add: impl FnOnce(&mut Open), queue: &WorkQueue) -> Result<(), Error> {
        let sending = {
            let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let open = sets.entry(queue.model_set()).or_default();
            add(open);
            let send = || self.clone().send(queue.clone()).boxed().shared();
            open.sending.get_or_insert_with(send).clone()
        };
        sending.await.map_err(|error| Error::transient("leaving notices to the queue", error))
    }

    async fn send(self, queue: WorkQueue) -> Result<(), Arc<Error>> {
        sleep(COLLECTED_FOR).await;
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&queue.model_set());
        let Open { follows, comments, .. } = open.unwrap_or_default();
        let follows = follows.iter().flat_map(|(followee, followers)| Task::show_follows(followee, followers));
        let comments = comments.iter().flat_map(|(post, comments)| Task::show_comments(*post, comments));
        let delay = WAITS_MAX.mul_f64(rand::rng().random());
        queue.send_after(delay, follows.chain(comments).collect()).await.map_err(Arc::new)
    }
}

impl fmt::Debug for Crowds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowds").finish_non_exhaustive()
    }
}

impl Notices {
    /// Shows many things that concern one user or post, some at once. A partition may not take all of them: what is
    /// left goes into another task. If one of them makes no sense, each has a task of its own.
    ///
    /// # Errors
    /// As `show`, if none of them could be shown; otherwise as the queue's.
    pub(super) async fn show_many<T>(
        &self,
        concerned: &impl fmt::Display,
        all: &[T],
        show: impl AsyncFn(&[T]) -> Result<(), Error>,
        tasks: impl Fn(&[T]) -> Vec<Task>,
    ) -> Result<(), Error> {
        for (done, some) in all.chunks(AT_ONCE).enumerate() {
            match show(some).await {
                Err(error @ Error::Poison { .. }) if all.len() > 1 => {
                    tracing::error!(%concerned, %error, "notices are shown one by one: one of them makes no sense");
                    return self.work_queue.send(all.chunks(1).flat_map(tasks).collect()).await;
                }
                Err(error) if done > 0 && !matches!(error, Error::Poison { .. }) => {
                    let left = all.get(done * AT_ONCE..).unwrap_or_default();
                    tracing::warn!(%concerned, left = left.len(), %error, "some notices are shown later");
                    return self.work_queue.send_after(LEFT_AFTER, tasks(left)).await;
                }
                shown => shown?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
