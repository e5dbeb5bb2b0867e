//! New followers of users whom very many follow at once. Their notices may be more than their partitions take, and
//! nothing else of the followers' logs may wait for that. So they are left to the work queue, many in one task.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::{BoxFuture, Shared},
    stream,
};
use rand::Rng;
use tokio::time::sleep;

use super::{Notices, of_follow};
use crate::{
    error::Error,
    model::{EdgeKey, EdgeKind, ModelSet, UserId},
    stream::work_queue::{LEFT_AFTER, Task, WorkQueue},
};

/// How long the first follow of a task waits for others.
const COLLECTED_FOR: Duration = Duration::from_millis(50);
/// How long a task waits at most. Their times spread what comes at once.
const WAITS_MAX: Duration = Duration::from_secs(60);
/// Notices written at once.
const AT_ONCE: usize = 8;

/// Follows that workers of a process leave to the queue at this moment, by the set of tables that they are about.
/// Clones share them.
#[derive(Clone, Default)]
pub struct Crowds(Arc<Mutex<BTreeMap<Option<ModelSet>, Open>>>);

/// A call to the queue that several workers wait for.
type Sending = Shared<BoxFuture<'static, Result<(), Arc<Error>>>>;

#[derive(Default)]
struct Open {
    /// By the followed user.
    followers: BTreeMap<UserId, Vec<UserId>>,
    /// What sends them.
    sending: Option<Sending>,
}

impl Crowds {
    /// Leaves a follow to the queue, together with those of other workers. Returns once it is there.
    async fn leave(&self, follower: &UserId, followee: &UserId, queue: &WorkQueue) -> Result<(), Error> {
        let sending = {
            let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let open = sets.entry(queue.model_set()).or_default();
            open.followers.entry(followee.clone()).or_default().push(follower.clone());
            let send = || self.clone().send(queue.clone()).boxed().shared();
            open.sending.get_or_insert_with(send).clone()
        };
        sending.await.map_err(|error| Error::transient("leaving follows to the queue", error))
    }

    async fn send(self, queue: WorkQueue) -> Result<(), Arc<Error>> {
        sleep(COLLECTED_FOR).await;
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&queue.model_set());
        let followers = open.unwrap_or_default().followers;
        let tasks = followers.into_iter().flat_map(|(followee, followers)| Task::show_follows(&followee, &followers));
        let delay = WAITS_MAX.mul_f64(rand::rng().random());
        queue.send_after(delay, tasks.collect()).await.map_err(Arc::new)
    }
}

impl fmt::Debug for Crowds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowds").finish_non_exhaustive()
    }
}

impl Notices {
    /// Shows a follow, or its end, to the followed user. If very many follow the user at this moment, a task does so
    /// within a minute.
    ///
    /// # Errors
    /// As the stores' and the queue's.
    pub(in crate::projection) async fn show_follow(&self, follower: &UserId, followee: &UserId) -> Result<(), Error> {
        if self.timelines.pace.count_follow(followee, self.clock.now()) {
            return self.crowds.leave(follower, followee, &self.work_queue).await;
        }
        self.show_follows(followee, std::slice::from_ref(follower)).await
    }

    /// Shows follows of a user, or their ends. Partitions may not take all notices at once: what is left goes into
    /// another task. If one of the follows makes no sense, each has a task of its own.
    ///
    /// # Errors
    /// As the stores' and the queue's, if none of them could be shown.
    pub async fn show_follows(&self, followee: &UserId, followers: &[UserId]) -> Result<(), Error> {
        match self.show_follows_together(followee, followers).await {
            Err(error @ Error::Poison { .. }) if followers.len() > 1 => {
                tracing::error!(%followee, %error, "follows are shown one by one, because one of them makes no sense");
                let alone = followers.chunks(1).flat_map(|follower| Task::show_follows(followee, follower));
                self.work_queue.send(alone.collect()).await
            }
            shown => shown,
        }
    }

    async fn show_follows_together(&self, followee: &UserId, followers: &[UserId]) -> Result<(), Error> {
        for (done, some) in followers.chunks(AT_ONCE).enumerate() {
            let keys: Vec<_> = some.iter().map(|user| EdgeKey::new(user, EdgeKind::Follows, followee)).collect();
            let edges = self.commands.edges(&keys).await?;
            let edge = |key: &EdgeKey| of_follow(&key.from, followee, edges.get(key)?);
            let shown = stream::iter(keys.iter().filter_map(edge)).map(|notice| self.notify(notice));
            match shown.buffer_unordered(AT_ONCE).try_collect::<()>().await {
                Err(error) if done > 0 && !matches!(error, Error::Poison { .. }) => {
                    tracing::warn!(%followee, %error, "some follows are shown later");
                    let left = followers.get(done * AT_ONCE..).unwrap_or_default();
                    return self.work_queue.send_after(LEFT_AFTER, Task::show_follows(followee, left)).await;
                }
                shown => shown?,
            }
        }
        Ok(())
    }
}
