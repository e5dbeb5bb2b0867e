//! The end of an author's being a celebrity. When it began and has got around, all writers push the author's posts again;
//! then every follower's home is filled with the author's posts of the last 30 days; last, the author is taken from the
//! list, and readers stop pulling. At every moment each post is pushed, pulled, or both.
//!
//! The followers are walked through in small steps, each a message that ends with the next one. Steps may be repeated.

use futures::{StreamExt, TryStreamExt, stream};

use super::Projector;
use crate::{error::Error, model::UserId, stream::work_queue::Task};

/// Edges looked at in one step; each of the homes may need thousands of rows.
const EDGES_PER_STEP: i32 = 20;
/// Homes filled at once.
const HOMES_AT_ONCE: usize = 4;

impl Projector {
    /// A step of an author's demotion, from the follower after `after`.
    ///
    /// # Errors
    /// [`Error::Transient`] if the demotion began so recently that some writers may not know of it; otherwise as the
    /// stores'.
    pub async fn demote(&self, author: &UserId, after: Option<UserId>) -> Result<(), Error> {
        let celebrity = self.commands.celebrity(author).await?;
        let Some(begun_at) = celebrity.and_then(|celebrity| celebrity.demoted_at) else {
            tracing::info!(%author, "is not being demoted");
            return Ok(());
        };
        if self.clock.now() < self.celebrities.policy().known_after(begun_at) {
            return Err(Error::transient("demoting an author", "not all writers may know yet"));
        }
        let page = self.commands.followers(author, after.as_ref(), EDGES_PER_STEP).await?;
        stream::iter(&page.users)
            .map(|follower| self.fill(follower, author))
            .buffer_unordered(HOMES_AT_ONCE)
            .try_collect::<()>()
            .await?;
        match page.next {
            None => {
                self.commands.end_demotion(author, begun_at).await?;
                tracing::info!(%author, "is no celebrity any more");
                Ok(())
            }
            after => self.work_queue.send(vec![Task::BackfillHomes { author: author.clone(), after }]).await,
        }
    }
}
