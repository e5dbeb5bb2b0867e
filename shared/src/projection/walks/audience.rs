//! The audience of a post: the followers into whose homes the post is pushed.
//!
//! An audience of a few hundred is pushed to at once. A larger one becomes a single task in the work queue, however
//! large it is, so that its post does not hold up the posts behind it. The worker of that task enumerates the followers
//! and makes a task for every few hundred of them, which run in parallel. Posts of a celebrity are not pushed: readers
//! pull them.
//!
//! The counter of followers decides before the enumeration whether the author becomes a celebrity. From three lifetimes
//! of the list of celebrities on, all readers pull, and what is left of the enumeration ends. So an author with ten
//! million followers costs no more than what these minutes allow.

use std::collections::HashSet;

use super::{Completion, Step, Walks};
use crate::{
    error::Error,
    model::{PostId, UserId},
    store::{
        Consistency,
        timelines::{Row, Timeline},
    },
    stream::{walk::Walk, work_queue::LEFT_AFTER},
};

/// Followers that are pushed to together at most, at once or in one [`Walk::Push`]. They are 20 calls of
/// BatchWriteItem. If they are pushed to at once, the posts behind wait for these. Their ids are at most 130 kB of
/// JSON.
const VIEWERS_PER_PUSH: usize = 500;
/// Tasks made in one step of an enumeration. A further task then continues it.
const TASKS_PER_STEP: usize = 20;

impl Walks {
    /// Pushes the post to all followers of its author, now or by tasks. The post has to be in the author's timeline
    /// already: that is this side of the handshake with a new follow.
    pub(in crate::projection) async fn push_to_followers(&self, row: &Row) -> Result<Completion, Error> {
        if !self.fills_homes() || !self.celebrities.are_pushed(&row.author).await? {
            return Ok(Completion::Complete);
        }
        // DynamoDB reports a next page whenever it has read as many as it may. One more tells whether there is one.
        let most = per_push(self.step_rows.get()) + 1;
        let page = self.commands.followers(&row.author, None, most).await?;
        if page.next.is_none() {
            self.celebrities.promote_if_popular(&row.author, page.users.len() as u64).await?;
            let Some(left) = self.push_to_homes(row, page.users).await? else { return Ok(Completion::Complete) };
            self.work_queue.send_after(LEFT_AFTER, vec![left.into()]).await?;
            return Ok(Completion::Walking);
        }
        let counted = self.cards.users(std::slice::from_ref(&row.author), Consistency::Eventual).await?;
        let followers = counted.get(&row.author).map_or(0, |card| card.followers);
        self.celebrities.promote_if_popular(&row.author, followers).await?;
        let (post, author) = (row.post, row.author.clone());
        self.send(vec![Walk::Audience { post, author, after: None, found: 0 }]).await?;
        Ok(Completion::Walking)
    }

    /// One step of enumerating a large audience: makes tasks for the followers behind `after`. Earlier steps found
    /// `found` followers. The counter may be behind, so an author who turns out to have enough followers is promoted in
    /// the end.
    pub(super) async fn audience_step(
        &self,
        post: PostId,
        author: UserId,
        mut after: Option<UserId>,
        mut found: u64,
        rows: usize,
    ) -> Result<Step, Error> {
        if !self.celebrities.are_pushed(&author).await? {
            tracing::info!(%author, %post, found, "readers pull the post by now, so nobody else is pushed to");
            return Ok(Step::Done);
        }
        let mut next = Vec::with_capacity(TASKS_PER_STEP + 1);
        for _ in 0..TASKS_PER_STEP {
            let page = self.commands.followers(&author, after.as_ref(), per_push(rows)).await?;
            found += page.users.len() as u64;
            after = page.next;
            if !page.users.is_empty() {
                next.push(Walk::Push { post, author: author.clone(), viewers: page.users });
            }
            if after.is_none() {
                break;
            }
        }
        match after {
            None => self.celebrities.promote_if_popular(&author, found).await?,
            after => next.push(Walk::Audience { post, author, after, found }),
        }
        Ok(Step::Next(next))
    }

    /// Pushes the post to these followers, unless all readers pull it by now, or it is deleted.
    pub(super) async fn push_step(
        &self,
        post: PostId,
        author: UserId,
        mut viewers: Vec<UserId>,
    ) -> Result<Step, Error> {
        let exists = self.commands.post(post).await?.is_some_and(|post| !post.is_deleted());
        if !exists || !self.celebrities.are_pushed(&author).await? {
            return Ok(Step::Done);
        }
        // The viewers were listed when the post was new. The account of one of them may be erased by now.
        if self.clock.now().since(post.created_at()) > self.erasure_delay / 2 {
            viewers = self.not_deleted(viewers).await?;
        }
        let left = self.push_to_homes(&Row { post, author }, viewers).await?;
        Ok(left.map_or(Step::Done, |left| Step::Later(LEFT_AFTER, left)))
    }

    /// Those of the viewers who have not deleted their accounts.
    pub(super) async fn not_deleted(&self, mut viewers: Vec<UserId>) -> Result<Vec<UserId>, Error> {
        let existing: HashSet<_> = self.commands.with_profile(&viewers).await?.into_iter().collect();
        let mut deleted = HashSet::new();
        for viewer in viewers.iter().filter(|viewer| !existing.contains(*viewer)) {
            if self.commands.head(viewer).await?.standing.is_deleted() {
                deleted.insert(viewer.clone());
            }
        }
        viewers.retain(|viewer| !deleted.contains(viewer));
        Ok(viewers)
    }

    /// Pushes the row into the homes of those of these viewers who read them. Returns the push of what is left, if
    /// DynamoDB did not take all.
    async fn push_to_homes(&self, row: &Row, viewers: Vec<UserId>) -> Result<Option<Walk>, Error> {
        let homes: Vec<_> = self.awake(viewers).await?.into_iter().map(Timeline::Home).collect();
        let left = self.timelines.put_some(&homes, row).await?;
        let viewer = |home| match home {
            Timeline::Home(viewer) => Some(viewer),
            _ => None,
        };
        let viewers: Vec<_> = left.into_iter().filter_map(viewer).collect();
        let (post, author) = (row.post, row.author.clone());
        Ok((!viewers.is_empty()).then_some(Walk::Push { post, author, viewers }))
    }
}

/// The followers of one push, if a step has this many rows.
fn per_push(rows: usize) -> i32 {
    i32::try_from(rows.min(VIEWERS_PER_PUSH)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
