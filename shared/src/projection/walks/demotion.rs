//! Demotion: a celebrity's posts are pushed again instead of pulled. The order of its phases makes sure that each post
//! is pushed, pulled, or both at every moment:
//!
//! 1. `demote-author` marks the celebrity as being demoted. Workers that know of the mark push new posts again.
//! 2. Once all workers know of it, the author's posts of the last 30 days are copied into the home of every follower.
//! 3. The author is removed from the list of celebrities, and readers stop pulling.
//!
//! The second phase enumerates the followers and makes a part for every few of them. Parts run in parallel. Each copies
//! the author's rows to all of its homes, some rows in each step. The command table lists the open parts, and the one
//! that closes the last of them begins the third phase.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};

use super::{Step, WAIT_MAX, Walks};
use crate::{
    error::Error,
    model::{PostId, Timestamp, UserId},
    store::{demotions::DemotionPart, timelines::Timeline},
    stream::walk::Walk,
};

/// Homes of one part at most.
const HOMES_PER_PART: usize = 20;
/// Edges read, and so parts made, in one step of the enumeration: 10 parts.
const EDGES_PER_STEP: i32 = 200;
/// Parts opened at once.
const OPENED_AT_ONCE: usize = 8;

impl Walks {
    /// One step of the enumeration: makes parts for the followers behind `after`. It waits until every worker knows of
    /// the demotion.
    ///
    /// # Errors
    /// As those of the stores.
    pub(super) async fn demotion_step(
        &self,
        author: UserId,
        after: Option<UserId>,
        rows: usize,
    ) -> Result<Step, Error> {
        let celebrity = self.commands.celebrity(&author).await?;
        let Some(begun_at) = celebrity.and_then(|celebrity| celebrity.demoted_at) else {
            tracing::info!(%author, "the author is not being demoted");
            return Ok(Step::Done);
        };
        let left = self.celebrities.policy().known_after(begun_at).since(self.clock.now());
        if left > Duration::ZERO {
            return Ok(Step::Later(left.min(WAIT_MAX), Walk::Demotion { author, after }));
        }
        self.commands.open_demotion_part(&author, begun_at, DemotionPart::Enumeration).await?;
        let page = self.commands.followers(&author, after.as_ref(), EDGES_PER_STEP).await?;
        let parts: Vec<_> = page.users.chunks(HOMES_PER_PART.min(rows)).collect();
        stream::iter(parts.iter().filter_map(|part| part.first()))
            .map(|first| self.commands.open_demotion_part(&author, begun_at, DemotionPart::Homes(first)))
            .buffer_unordered(OPENED_AT_ONCE)
            .try_collect::<()>()
            .await?;
        let part = |viewers: &[UserId]| Walk::FillHomes {
            author: author.clone(),
            begun_at,
            viewers: viewers.to_vec(),
            before: None,
        };
        let mut next: Vec<_> = parts.into_iter().map(part).collect();
        if page.next.is_some() {
            next.push(Walk::Demotion { author, after: page.next });
            return Ok(Step::Next(next));
        }
        // Closing the enumeration before its last parts are sent is safe: they are open.
        self.close(&author, begun_at, DemotionPart::Enumeration).await?;
        Ok(Step::Next(next))
    }

    /// One step of a part: copies the author's next rows into each of its homes. The last step closes the part.
    pub(super) async fn fill_homes_step(
        &self,
        author: UserId,
        begun_at: Timestamp,
        viewers: Vec<UserId>,
        before: Option<PostId>,
        rows: usize,
    ) -> Result<Step, Error> {
        let celebrity = self.commands.celebrity(&author).await?;
        if celebrity.and_then(|celebrity| celebrity.demoted_at) != Some(begun_at) {
            return Ok(Step::Done);
        }
        let homes: Vec<_> = viewers.iter().cloned().map(Timeline::Home).collect();
        let rows = (rows / homes.len().max(1)).max(1);
        // When the demotion ends, nobody pulls any more, whichever tables are read.
        let mut last = None;
        for timelines in &self.shared.timelines.maintained {
            last = last.max(self.copy_posts(timelines, &author, &homes, before, rows).await?.more_below);
        }
        match last {
            Some(last) => Ok(Step::Next(vec![Walk::FillHomes { author, begun_at, viewers, before: Some(last) }])),
            None => {
                if let Some(first) = viewers.first() {
                    self.close(&author, begun_at, DemotionPart::Homes(first)).await?;
                }
                Ok(Step::Done)
            }
        }
    }

    /// Closes the part. If it was the last one, the author is no longer a celebrity.
    async fn close(&self, author: &UserId, begun_at: Timestamp, part: DemotionPart<'_>) -> Result<(), Error> {
        if self.commands.close_demotion_part(author, begun_at, part).await? {
            self.commands.end_demotion(author, begun_at).await?;
            tracing::info!(%author, "the author is no longer a celebrity");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
