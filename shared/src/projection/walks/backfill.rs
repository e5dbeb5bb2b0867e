//! Backfill: an author's posts of the last 30 days are copied into the home of a new follower. Until all are copied,
//! readers read the author's own rows beside the home, so the follow is complete at once.
//!
//! The author's rows are read consistently, and after the edge was committed. That is this side of the handshake with a
//! new post, whose author row is written before the followers are read.

use std::time::Duration;

use super::{Completion, Step, Walks};
use crate::{
    error::Error,
    model::{Edge, EdgeKey, EdgeKind, PostId, UserId, Version, Viewer, limits::FEED_AGE_MAX},
    store::{
        Consistency,
        timelines::{Range, Timeline, Timelines},
    },
    stream::walk::{BackfillAt, Walk},
};

/// How long readers go on to read the authors' own rows after all of them are copied, here and in `dormant.rs`. A page
/// reads the home while it reads the viewer item. A page that read the home before the last rows came must not learn
/// from the viewer item that all are there. No page takes so long: it is the timeout of GetFeed.
pub(super) const PAGES_END: Duration = Duration::from_secs(10);

/// What was copied.
#[derive(Debug)]
pub(super) struct Copied {
    /// The number of rows.
    pub(super) rows: usize,
    /// The last of them, if there may be more below it.
    pub(super) more_below: Option<PostId>,
}

impl Walks {
    /// Copies the author's posts into the home of the viewer, who follows the author. Readers pull the posts of
    /// celebrities, so those are not copied.
    pub(in crate::projection) async fn fill_home(&self, viewer: &UserId, author: &UserId) -> Result<Completion, Error> {
        if !self.fills_homes() || !self.celebrities.are_pushed(author).await? {
            return Ok(Completion::Complete);
        }
        let Some(follow) = self.follow(viewer, author).await?.filter(|follow| follow.active) else {
            return Ok(Completion::Complete);
        };
        let homes = [Timeline::Home(viewer.clone())];
        match self.copy_posts(&self.timelines, author, &homes, None, self.inline_rows()).await?.more_below {
            None => Ok(Completion::Complete),
            Some(last) => {
                let (viewer, author, at) = (viewer.clone(), author.clone(), BackfillAt::Below(last));
                self.send(vec![Walk::Backfill { viewer, author, version: follow.version, at }]).await?;
                Ok(Completion::Walking)
            }
        }
    }

    /// Begins the oldest of the viewer's backfills again. A viewer who has too many of them waits for one to end, and
    /// this one does whatever became of its walk.
    pub(in crate::projection) async fn repeat_oldest_backfill(
        &self,
        viewer: &UserId,
        state: &Viewer,
    ) -> Result<(), Error> {
        let backfills = &state.unfinished.backfills;
        let Some((author, version)) = backfills.iter().min_by_key(|(_, version)| **version) else { return Ok(()) };
        let (viewer, author, version) = (viewer.clone(), author.clone(), *version);
        self.send(vec![Walk::Backfill { viewer, author, version, at: BackfillAt::Start }]).await
    }

    /// If the viewer item says that the backfill of a follow up to this version is unfinished, lets a worker end it
    /// once pages have ended that may have read the home before the last rows came.
    pub(in crate::projection) async fn end_backfill_later(
        &self,
        viewer: &UserId,
        author: &UserId,
        version: Version,
    ) -> Result<(), Error> {
        let stored = self.viewers.get(viewer, Consistency::Strong).await?;
        if stored.viewer.unfinished.backfills.get(author).is_none_or(|unfinished| *unfinished > version) {
            return Ok(());
        }
        let (viewer, author, at) = (viewer.clone(), author.clone(), BackfillAt::Copied);
        let walk = Walk::Backfill { viewer, author, version, at };
        self.work_queue.send_after(PAGES_END, vec![walk.into()]).await
    }

    /// One step: copies the next rows. The last step lets readers stop reading the author's own rows.
    pub(super) async fn backfill_step(
        &self,
        viewer: UserId,
        author: UserId,
        version: Version,
        at: BackfillAt,
        rows: usize,
    ) -> Result<Step, Error> {
        match self.follow(&viewer, &author).await? {
            // Nobody needs the rows. The fold of the unfollow removes the author from the viewer item. If the catch-up
            // waits for this backfill to end before it reaches the unfollow, this step removes the author.
            Some(follow) if !follow.active => {
                if at == BackfillAt::Start {
                    self.end_if_applied(&viewer, version, |walks| walks.end_backfill(&author, follow.version)).await?;
                }
                return Ok(Step::Done);
            }
            // A walk of its own belongs to a newer follow. This one goes on all the same: the catch-up may wait for it
            // before it reaches the newer follow. What it copies is right for both.
            Some(_) => {}
            // A follow that has ended is kept, so this one was erased, with the account of the viewer or of the author.
            // A viewer who is still there may wait for this backfill to end; an erased one never applies anything
            // again.
            None => {
                self.end_if_applied(&viewer, version, |walks| walks.end_backfill(&author, version)).await?;
                return Ok(Step::Done);
            }
        }
        let before = match at {
            BackfillAt::Start => None,
            BackfillAt::Below(last) => Some(last),
            BackfillAt::Copied => {
                let walk = Walk::Backfill { viewer: viewer.clone(), author: author.clone(), version, at };
                return self.end(&viewer, version, walk, |walks| walks.end_backfill(&author, version)).await;
            }
        };
        let is_pulled = !self.celebrities.are_pushed(&author).await?;
        let homes = [Timeline::Home(viewer.clone())];
        let timelines = &self.timelines;
        let last = match is_pulled {
            true => None,
            false => self.copy_posts(timelines, &author, &homes, before, rows).await?.more_below,
        };
        let walk = |at| Walk::Backfill { viewer, author, version, at };
        Ok(match last {
            Some(last) => Step::Next(vec![walk(BackfillAt::Below(last))]),
            None => Step::Later(PAGES_END, walk(BackfillAt::Copied)),
        })
    }

    /// Copies at most `rows` of the author's rows into each of these homes, from the newest one below `before` on.
    pub(super) async fn copy_posts(
        &self,
        timelines: &Timelines,
        author: &UserId,
        homes: &[Timeline],
        before: Option<PostId>,
        rows: usize,
    ) -> Result<Copied, Error> {
        let range = Range { before, since: self.clock.now().before(FEED_AGE_MAX) };
        let page = timelines.newest(&Timeline::Author(author.clone()), range, rows, Consistency::Strong).await?;
        timelines.put_rows(homes, &page.rows).await?;
        let more_below = page.rows.last().filter(|_| page.more).map(|last| last.post);
        Ok(Copied { rows: page.rows.len(), more_below })
    }

    /// The follow of the author by the viewer, if there ever was one.
    pub(in crate::projection) async fn follow(&self, viewer: &UserId, author: &UserId) -> Result<Option<Edge>, Error> {
        let key = EdgeKey::new(viewer, EdgeKind::Follows, author);
        Ok(self.commands.edges(std::slice::from_ref(&key)).await?.get(&key))
    }
}

#[cfg(test)]
mod tests;
