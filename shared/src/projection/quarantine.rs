//! Events that can never be applied: poison. Such an event is put into the quarantine, where it waits for a person, and
//! the user's log is applied past it (INV-9). Once the cause is fixed, the event's effects are applied out of order.
//!
//! Nothing else is put there. An event whose effects fail for a reason that may pass, such as throttling, an outage, or
//! a type that only a newer release knows, is tried again for as long as the work queue keeps its task.

use std::time::Duration;

use super::{
    catch_up::{CatchUp, Progress},
    effects::Effect,
    owner::LogOwner,
};
use crate::{
    deadline::Deadline,
    error::Error,
    model::{EdgeKey, EdgeKind, UserId, Version},
    retry::until_no_conflict,
    store::Consistency,
    stream::{quarantine::Quarantine, work_queue::Task},
};

/// Events of one user that one catch-up puts into the quarantine at most. More failing events mean that the cause is
/// elsewhere.
const QUARANTINED_MAX: u32 = 100;

/// Applies the user's log to its end, past the events that it puts into the quarantine: those that can never succeed
/// ([`Error::Poison`]). If the time does not suffice, returns after which time the caller has to let a worker go on.
///
/// # Errors
/// The error of an event that may succeed later; otherwise as those of the stores and the queue.
pub async fn catch_up_or_quarantine(
    catch_up: &CatchUp,
    quarantine: &Quarantine,
    user: &UserId,
    deadline: Deadline,
) -> Result<Option<Duration>, Error> {
    for _ in 0..QUARANTINED_MAX {
        let (version, error) = match catch_up.user(user, None, deadline).await? {
            Progress::UpToDate => return Ok(None),
            Progress::Paused(wait) => return Ok(Some(wait)),
            Progress::Stuck { version, error } => (version, error),
        };
        if !matches!(error, Error::Poison { .. }) {
            return Err(error);
        }
        if catch_up.viewers.get(user, Consistency::Strong).await?.viewer.applied >= version {
            // Another worker has got past the event meanwhile. Two workers that get here at once both put the event
            // into the quarantine. Its effects are then applied twice, which changes nothing.
            continue;
        }
        tracing::error!(%user, %version, %error, "the event is put into the quarantine");
        let redo = Task::Redo { user: user.clone(), version, error: error.to_string() };
        quarantine.put(&redo).await?;
        skip(catch_up, user, version).await?;
    }
    Err(Error::transient("catching up", format!("more than {QUARANTINED_MAX} events of {user} fail")))
}

/// Folds the event into the viewer although its effects failed, unless another worker got past it.
async fn skip(catch_up: &CatchUp, user: &UserId, version: Version) -> Result<(), Error> {
    let before = catch_up.viewers.get(user, Consistency::Strong).await?;
    if before.viewer.applied.next() != version {
        return Ok(());
    }
    let mut viewer = before.viewer.clone();
    for entry in catch_up.commands.log_after(user, before.viewer.applied, 1).await? {
        viewer.fold(&entry)?;
    }
    match catch_up.viewers.put(user, &before, viewer).await {
        Err(Error::Conflict) => Ok(()),
        written => written.map(drop),
    }
}

/// Applies the effects of an event that was put into the quarantine. Later events have been folded meanwhile, so the
/// edges that the event may have changed are set to what the truth says now.
///
/// # Errors
/// [`Error::Poison`] if the event still cannot be understood; otherwise as the stores'.
pub async fn redo(catch_up: &CatchUp, user: &UserId, version: Version) -> Result<(), Error> {
    if catch_up.effects.walks.begin_erasure(user).await? {
        return Ok(());
    }
    let entry = catch_up.commands.event(user, version).await?;
    let entry = entry.ok_or_else(|| Error::poison(format!("event {version} of {user}"), "the event does not exist"))?;
    let mut effects = Effect::of(&entry.event);
    for (kind, other) in entry.event.edges() {
        let key = EdgeKey::new(user, kind, other);
        let more = until_no_conflict(async || settle_edge(catch_up, &key).await).await?;
        effects.extend(more.filter(|effect| !effects.contains(effect)));
    }
    let owner = LogOwner::new(user, &catch_up.commands);
    catch_up.effects.count(&owner, &[&entry]).await?;
    for effect in effects {
        catch_up.effects.apply_late(&owner, &effect).await?;
    }
    Ok(())
}

/// Sets an edge in the viewer item to what the truth says. Returns the effect that has to follow, if there is one: the
/// event may have ended a follow that is there again.
///
/// # Errors
/// [`Error::Conflict`] if another worker changed the viewer item meanwhile.
async fn settle_edge(catch_up: &CatchUp, key: &EdgeKey) -> Result<Option<Effect>, Error> {
    let before = catch_up.viewers.get(&key.from, Consistency::Strong).await?;
    // A block changes a follow only if there is one.
    let Some(edge) = catch_up.commands.edges(std::slice::from_ref(key)).await?.get(key) else { return Ok(None) };
    if before.viewer.applied < edge.version {
        // The event that last changed the edge is not applied yet. It will set the edge.
        return Ok(None);
    }
    let mut viewer = before.viewer.clone();
    viewer.set(key.kind, &key.to, edge.state());
    let is_follow = key.kind == EdgeKind::Follows && edge.active;
    // Readers read the author's own rows until the home is filled. Where the viewer item has the follow already, the
    // fold has told them so, until somebody filled the home. If the message of this redo came twice, the second worker
    // would tell them again; and if it died then, nobody would take it back.
    if is_follow && !before.viewer.follows(&key.to) {
        viewer.unfinished.backfills.insert(key.to.clone(), edge.version);
    }
    if viewer != before.viewer {
        catch_up.viewers.put(&key.from, &before, viewer).await?;
    }
    Ok(is_follow.then(|| Effect::FillHome(key.to.clone())))
}

#[cfg(test)]
mod tests;
