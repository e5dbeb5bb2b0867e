//! What happens to an event whose effects fail again and again: it is kept aside for a person, and the user goes on
//! (INV-9). Once its cause is fixed, it is redone, out of its turn.

use super::{Progress, Projector, catch_up::Author, catch_up::fold};
use crate::{
    error::Error,
    model::{EdgeKey, UserId, Version},
    store::Consistency,
    stream::work_queue::{Task, WorkQueue},
};

/// Events of one user that are put aside in one go; more of them mean that the fault is elsewhere.
const SKIPS_MAX: u32 = 100;
/// Times that the viewer is read again after another worker moved it.
const RACES_MAX: u32 = 20;

impl Projector {
    /// Catches up as [`Projector::catch_up`], but puts aside what cannot be applied: poison at once, anything else only if
    /// this is the `last_try`.
    ///
    /// # Errors
    /// As the stores', and whatever is worth another try.
    pub async fn catch_up_or_quarantine(
        &self,
        user: &UserId,
        last_try: bool,
        quarantine: &WorkQueue,
    ) -> Result<(), Error> {
        for _ in 0..SKIPS_MAX {
            match self.catch_up(user, None).await? {
                Progress::UpToDate => return Ok(()),
                Progress::Stuck { version, error } if last_try || matches!(error, Error::Poison { .. }) => {
                    if self.viewers.get(user, Consistency::Strong).await?.viewer.applied >= version {
                        // Another worker has put it aside meanwhile. Of two at once each still does, which repeats an effect.
                        continue;
                    }
                    tracing::error!(%user, %version, %error, "event quarantined");
                    let redo = Task::Redo { user: user.clone(), version, error: error.to_string() };
                    quarantine.send(vec![redo]).await?;
                    self.skip(user, version).await?;
                }
                Progress::Stuck { error, .. } => return Err(error),
            }
        }
        Err(Error::transient("catching up", format!("more than {SKIPS_MAX} events of {user} fail")))
    }

    /// Counts the event as applied though its effects are not, unless somebody else got past it.
    async fn skip(&self, user: &UserId, version: Version) -> Result<(), Error> {
        let before = self.viewers.get(user, Consistency::Strong).await?;
        if before.viewer.applied.next() != version {
            return Ok(());
        }
        let mut viewer = before.viewer.clone();
        for entry in self.commands.log_after(user, before.viewer.applied, 1).await? {
            fold(&mut viewer, &entry)?;
        }
        match self.viewers.put(user, &before, &viewer).await {
            Err(Error::Conflict) => Ok(()),
            written => written,
        }
    }

    /// Does the effects of an event that was put aside, and settles what its fold would have settled by the truth, since
    /// later events have been folded meanwhile.
    ///
    /// # Errors
    /// As the stores'; [`Error::Poison`] if the event still cannot be understood.
    pub async fn redo(&self, user: &UserId, version: Version) -> Result<(), Error> {
        let event = self.commands.event(user, version).await?;
        let event = event.ok_or_else(|| Error::poison(format!("event {version} of {user}"), "does not exist"))?.event;
        self.apply_effect(&Author::new(user), &event).await?;
        for (kind, other) in event.edges() {
            self.settle(EdgeKey::new(user, kind, other)).await?;
        }
        Ok(())
    }

    /// Makes the viewer item say of an edge what the truth says.
    async fn settle(&self, key: EdgeKey) -> Result<(), Error> {
        for _ in 0..RACES_MAX {
            let before = self.viewers.get(&key.from, Consistency::Strong).await?;
            // A block changes the edge of a follow only if there is one.
            let Some(edge) = self.commands.edges(std::slice::from_ref(&key)).await?.get(&key) else { return Ok(()) };
            if before.viewer.applied < edge.version {
                // The event that changed the edge last is still to come, and will settle it.
                return Ok(());
            }
            let mut viewer = before.viewer.clone();
            viewer.set(key.kind, &key.to, edge.active);
            match self.viewers.put(&key.from, &before, &viewer).await {
                Err(Error::Conflict) => {}
                written => return written,
            }
        }
        Err(Error::Conflict)
    }
}
