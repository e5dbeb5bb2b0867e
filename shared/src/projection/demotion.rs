//! Demotion: a celebrity's posts are pushed again instead of pulled. The order of its phases makes sure that each post
//! is pushed, pulled, or both at every moment:
//!
//! 1. `demote-author` marks the celebrity as being demoted. Workers that know of the mark push new posts again.
//! 2. Once all workers know of it, the author's posts of the last 30 days are copied into the home of every follower.
//! 3. The author is removed from the list of celebrities, and readers stop pulling.
//!
//! The second phase goes through the followers in small steps. Each step is a task, which sends the task of the next
//! step. Repeating a step changes nothing.

use futures::{StreamExt, TryStreamExt, stream};

use super::backfill::Backfill;
use crate::{
    celebrities::Celebrities,
    error::Error,
    model::{Clock, UserId},
    store::command_table::CommandTable,
    stream::work_queue::{Task, WorkQueue},
};

/// Edges read in one step. Each of the homes may need thousands of rows.
const EDGES_PER_STEP: i32 = 20;
/// Homes backfilled at once.
const HOMES_AT_ONCE: usize = 4;

/// Demotes celebrities.
#[derive(Debug, Clone)]
pub struct Demotion {
    pub(super) commands: CommandTable,
    pub(super) celebrities: Celebrities,
    pub(super) backfill: Backfill,
    pub(super) work_queue: WorkQueue,
    pub(super) clock: Clock,
}

impl Demotion {
    /// One step of a demotion: backfills the homes of the next followers behind `after`. The last step ends the
    /// demotion.
    ///
    /// # Errors
    /// [`Error::Transient`] if the demotion began so recently that some workers may not know of it; otherwise as those
    /// of the stores and the queue.
    pub async fn backfill_step(&self, author: &UserId, after: Option<UserId>) -> Result<(), Error> {
        let celebrity = self.commands.celebrity(author).await?;
        let Some(begun_at) = celebrity.and_then(|celebrity| celebrity.demoted_at) else {
            tracing::info!(%author, "the author is not being demoted");
            return Ok(());
        };
        if self.clock.now() < self.celebrities.policy().known_after(begun_at) {
            return Err(Error::transient("demoting an author", "some workers may not know of the demotion yet"));
        }
        let page = self.commands.followers(author, after.as_ref(), EDGES_PER_STEP).await?;
        stream::iter(&page.users)
            .map(|follower| self.backfill.backfill_home(follower, author))
            .buffer_unordered(HOMES_AT_ONCE)
            .try_collect::<()>()
            .await?;
        match page.next {
            None => {
                self.commands.end_demotion(author, begun_at).await?;
                tracing::info!(%author, "the author is no longer a celebrity");
                Ok(())
            }
            after => self.work_queue.send(vec![Task::BackfillHomes { author: author.clone(), after }]).await,
        }
    }
}

#[cfg(test)]
mod tests;
