//! Demotion: a celebrity's posts are pushed again instead of pulled. The order of its phases makes sure that each post
//! is pushed, pulled, or both at every moment:
//!
//! 1. `demote-author` marks the celebrity as being demoted. Workers that know of the mark push new posts again.
//! 2. Once all workers know of it, the author's posts of the last 30 days are copied into the home of every follower.
//! 3. The author is removed from the list of celebrities, and readers stop pulling.
//!
//! The second phase enumerates the followers, and each step of that makes a part. Parts run in parallel. Each copies
//! the author's rows to all of its homes, some rows in each step. The command table lists the open parts, and the one
//! that closes the last of them begins the third phase. The late copy of a step does not open a part again that was
//! closed.

use std::time::Duration;

use super::{Step, WAIT_MAX, Walks};
use crate::{
    error::Error,
    model::{PostId, Timestamp, UserId},
    store::{demotions::DemotionPart, timelines::Timeline},
    stream::walk::Walk,
};

/// Homes of one part at most: the edges that are read in one step of the enumeration.
const HOMES_PER_PART: usize = 100;

impl Walks {
    /// One step of the enumeration: makes a part of the followers behind `after`. It waits until every worker knows of
    /// the demotion.
    ///
    /// # Errors
    /// As those of the stores.
    pub(super) async fn demotion_step(
        &self,
        author: UserId,
        begun_at: Option<Timestamp>,
        after: Option<UserId>,
        rows: usize,
    ) -> Result<Step, Error> {
        let under_way = self.commands.celebrity(&author).await?.and_then(|celebrity| celebrity.demoted_at);
        let Some(begun_at) = under_way.filter(|at| begun_at.is_none_or(|begun_at| begun_at == *at)) else {
            tracing::info!(%author, "the author is not being demoted, or the demotion began anew");
            return Ok(Step::Done);
        };
        let step = |after| Walk::Demotion { author: author.clone(), begun_at: Some(begun_at), after };
        let left = self.celebrities.policy().known_after(begun_at).since(self.clock.now());
        if left > Duration::ZERO {
            return Ok(Step::Later(left.min(WAIT_MAX), step(after)));
        }
        self.commands.open_demotion_part(&author, begun_at, DemotionPart::Enumeration).await?;
        let limit = i32::try_from(rows.min(HOMES_PER_PART)).unwrap_or(i32::MAX);
        let page = self.commands.followers(&author, after.as_ref(), limit).await?;
        let (mut next, homes) = (Vec::new(), DemotionPart::Homes(after.as_ref()));
        if page.users.is_empty() {
            // A try of this step that failed may have opened the part for followers who have gone since.
            self.close(&author, begun_at, homes).await?;
        } else {
            self.commands.open_demotion_part(&author, begun_at, homes).await?;
            let (author, viewers) = (author.clone(), page.users);
            next.push(Walk::FillHomes { author, begun_at, after, viewers, before: None });
        }
        match page.next {
            Some(last) => next.push(step(Some(last))),
            // Closing the enumeration before its last part is sent is safe: that part is open.
            None => self.close(&author, begun_at, DemotionPart::Enumeration).await?,
        }
        Ok(Step::next(next))
    }

    /// One step of a part: copies the author's next rows into each of its homes. The last step closes the part.
    pub(super) async fn fill_homes_step(
        &self,
        author: UserId,
        begun_at: Timestamp,
        after: Option<UserId>,
        viewers: Vec<UserId>,
        before: Option<PostId>,
        rows: usize,
    ) -> Result<Step, Error> {
        let celebrity = self.commands.celebrity(&author).await?;
        if celebrity.and_then(|celebrity| celebrity.demoted_at) != Some(begun_at) {
            return Ok(Step::Done);
        }
        // The account of one of them may be erased by now.
        let viewers = self.not_deleted(viewers).await?;
        let homes: Vec<_> = viewers.iter().cloned().map(Timeline::Home).collect();
        let rows = (rows / homes.len().max(1)).max(1);
        // When the demotion ends, nobody pulls any more, whichever tables are read.
        let mut last = None;
        for timelines in &self.shared.timelines.maintained {
            last = last.max(self.copy_posts(timelines, &author, &homes, before, rows).await?.more_below);
        }
        if let Some(last) = last {
            return Ok(Step::Next(vec![Walk::FillHomes { author, begun_at, after, viewers, before: Some(last) }]));
        }
        self.close(&author, begun_at, DemotionPart::Homes(after.as_ref())).await?;
        Ok(Step::Done)
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
