//! Dormant homes: a push leaves out homes that nobody has read for long, and completes those whose owners have come
//! back (docs/decisions/0086).
//!
//! Whether a home is left out is read consistently, after the author's own row was written. Whoever reads the home
//! later finds that its time is over, marks it as incomplete, and reads the authors' rows until a walk has copied them.
//! The next push to the home begins this walk. Until then, pages cost more.

use std::time::Duration;

use futures::{StreamExt, stream};

use super::{Step, Walks, backfill::PAGES_END};
use crate::{
    error::Error,
    metrics,
    model::{DormancyPolicy, EdgeKind, Timestamp, UserId, Visit},
    store::{Consistency, timelines::Timeline},
    stream::walk::{HomeAt, Walk},
};

/// A walk that has not ended after this time is begun again: it may be lost. If it is only slow, two do the same work.
const AGAIN_AFTER: Duration = Duration::from_secs(15 * 60);
/// Homes looked after at once.
const VISITS_AT_ONCE: usize = 16;
/// Authors of whom one step copies posts at most.
const AUTHORS_PER_STEP: i32 = 100;

impl Walks {
    /// Those of the viewers whose homes get rows. Begins the walks of homes that are incomplete.
    pub(super) async fn awake(&self, mut viewers: Vec<UserId>) -> Result<Vec<UserId>, Error> {
        if self.dormancy == DormancyPolicy(None) {
            return Ok(viewers);
        }
        let now = self.clock.now();
        let mut visits = self.timelines.visits(viewers.iter(), Consistency::Eventual).await?;
        let seem_dormant: Vec<_> = visits.iter().filter(|(_, visit)| self.dormancy.leaves_out(visit, now)).collect();
        if !seem_dormant.is_empty() {
            let exact = self.timelines.visits(seem_dormant.into_iter().map(|(viewer, _)| viewer), Consistency::Strong);
            let exact = exact.await?;
            visits.extend(exact);
        }
        // These homes have all rows, and get them for the usual time. Nothing is said of those whose owners are gone.
        let silent: Vec<_> = viewers.iter().filter(|viewer| !visits.contains_key(*viewer)).cloned().collect();
        let silent = self.commands.with_profile(&silent).await?;
        self.timelines.put_visits(&silent, &self.dormancy.visited(now)).await?;
        let awake = visits.iter().filter(|(_, visit)| !self.dormancy.leaves_out(visit, now));
        stream::iter(awake)
            .for_each_concurrent(VISITS_AT_ONCE, async |(viewer, visit)| {
                // The row does not depend on this, and a later push tries again.
                if let Err(error) = self.look_after(viewer, visit, now).await {
                    tracing::warn!(%viewer, %error, "a home is not looked after");
                }
            })
            .await;
        let before = viewers.len();
        viewers.retain(|viewer| visits.get(viewer).is_none_or(|visit| !self.dormancy.leaves_out(visit, now)));
        metrics::ROWS_LEFT_OUT.add(before - viewers.len());
        Ok(viewers)
    }

    /// Begins the walk that completes this home, if it is incomplete and no walk is under way. A home that gets rows
    /// for longer than it should, because `DormantDays` was another, gets them for the usual time.
    async fn look_after(&self, viewer: &UserId, visit: &Visit, now: Timestamp) -> Result<(), Error> {
        let Some(since) = visit.incomplete_since else {
            if self.dormancy.is_too_long(visit, now) {
                let usual = Visit { pushed_until: self.dormancy.visited(now).pushed_until, ..*visit };
                self.timelines.change_visit(viewer, visit, &usual).await?;
            }
            return Ok(());
        };
        if visit.walk_began.is_some_and(|began| now < began.after(AGAIN_AFTER)) {
            return Ok(());
        }
        let begun = Visit { walk_began: Some(now), ..*visit };
        if self.timelines.change_visit(viewer, visit, &begun).await? {
            let at = HomeAt::Followed { after: None, below: None };
            self.send(vec![Walk::CompleteHome { viewer: viewer.clone(), since, at }]).await?;
        }
        Ok(())
    }

    /// One step: copies posts of the next followed authors into a home that is incomplete since this moment.
    pub(super) async fn complete_home_step(
        &self,
        viewer: UserId,
        since: Timestamp,
        at: HomeAt,
        rows: usize,
    ) -> Result<Step, Error> {
        let visit = self.timelines.visit(&viewer, Consistency::Strong).await?;
        let Some(visit) = visit.filter(|visit| visit.incomplete_since == Some(since)) else { return Ok(Step::Done) };
        let HomeAt::Followed { mut after, mut below } = at else {
            let complete = Visit { incomplete_since: None, walk_began: None, ..visit };
            return Ok(match self.timelines.change_visit(&viewer, &visit, &complete).await? {
                true => {
                    metrics::HOMES_COMPLETED.add(1);
                    Step::Done
                }
                false => Step::Next(vec![Walk::CompleteHome { viewer, since, at: HomeAt::Copied }]),
            });
        };
        let page = self.commands.edges_from(&viewer, EdgeKind::Follows, after.as_ref(), AUTHORS_PER_STEP).await?;
        let (homes, mut left) = ([Timeline::Home(viewer.clone())], rows);
        for author in page.users {
            // Whoever was unfollowed or promoted since the last step is no longer the next one.
            let below_post = below.take().filter(|(of, _)| *of == author).map(|(_, post)| post);
            if self.celebrities.are_pushed(&author).await? {
                let copied = self.copy_posts(&self.timelines, &author, &homes, below_post, left.max(1)).await?;
                left = left.saturating_sub(copied.rows);
                below = copied.more_below.map(|post| (author.clone(), post));
            }
            if below.is_none() {
                after = Some(author);
            }
            if left == 0 || below.is_some() {
                return Ok(Step::Next(vec![Walk::CompleteHome {
                    viewer,
                    since,
                    at: HomeAt::Followed { after, below },
                }]));
            }
        }
        Ok(match page.next {
            Some(next) => {
                let at = HomeAt::Followed { after: Some(next), below: None };
                Step::Next(vec![Walk::CompleteHome { viewer, since, at }])
            }
            None => Step::Later(PAGES_END, Walk::CompleteHome { viewer, since, at: HomeAt::Copied }),
        })
    }
}

#[cfg(test)]
mod tests;
