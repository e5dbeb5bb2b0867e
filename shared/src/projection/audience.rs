//! The audience of a post: the followers into whose homes the post is pushed.
//!
//! A small audience is pushed to at once. A large one becomes a single task in the work queue, however large it is, so
//! that its post does not hold up the posts behind it. The worker of that task enumerates the followers and makes a
//! task for every few hundred of them. Posts of a celebrity are not pushed: readers pull them.

use crate::{
    celebrities::Celebrities,
    error::Error,
    model::UserId,
    store::{
        command_table::CommandTable,
        timelines::{Row, Timeline, Timelines},
    },
    stream::work_queue::{Task, WorkQueue},
};

/// Edges of a small audience at most. So many rows are 4 calls of BatchWriteItem.
const DIRECT_MAX: i32 = 100;
/// Edges read for one [`Task::PushToHomes`]. Its viewers are 20 calls of BatchWriteItem, and their ids are at most 130
/// kB of JSON.
const EDGES_PER_TASK: i32 = 500;
/// Tasks made in one step of an enumeration. A further task then continues it.
const TASKS_PER_STEP: usize = 20;

/// Pushes posts to followers.
#[derive(Debug, Clone)]
pub struct Audience {
    pub(super) commands: CommandTable,
    pub(super) celebrities: Celebrities,
    pub(super) timelines: Timelines,
    pub(super) work_queue: WorkQueue,
}

impl Audience {
    /// Pushes the post to all followers of its author, now or by tasks. The post has to be in the author's timeline
    /// already: that is this side of the handshake with a new follow.
    pub(super) async fn push_to_followers(&self, row: &Row) -> Result<(), Error> {
        if !self.celebrities.are_pushed(&row.author).await? {
            return Ok(());
        }
        // DynamoDB says that there may be more whenever it has read as many as it may. So one more may be read.
        let page = self.commands.followers(&row.author, None, DIRECT_MAX + 1).await?;
        if page.next.is_some() {
            let task = Task::EnumerateAudience { post: row.post, author: row.author.clone(), after: None, found: 0 };
            return self.work_queue.send(vec![task]).await;
        }
        self.celebrities.promote_if_popular(&row.author, page.users.len() as u64).await?;
        self.push_to_homes(row, page.users).await
    }

    /// One step of enumerating a large audience: makes tasks for the followers behind `after`. Earlier steps found
    /// `found` followers. The worker that enumerates the followers also counts them, and promotes the author if there
    /// are enough.
    ///
    /// # Errors
    /// As those of the stores and the queue. Repeating the step repeats tasks, which changes nothing.
    pub async fn enumerate_audience(&self, row: &Row, mut after: Option<UserId>, mut found: u64) -> Result<(), Error> {
        let mut tasks = Vec::with_capacity(TASKS_PER_STEP);
        let is_first = after.is_none();
        for _ in 0..TASKS_PER_STEP {
            let page = self.commands.followers(&row.author, after.as_ref(), EDGES_PER_TASK).await?;
            found += page.users.len() as u64;
            after = page.next;
            if is_first && tasks.is_empty() && after.is_none() {
                // The whole audience fits one task. This is one.
                self.celebrities.promote_if_popular(&row.author, found).await?;
                return self.push_to_homes(row, page.users).await;
            }
            if !page.users.is_empty() {
                tasks.push(Task::PushToHomes { post: row.post, author: row.author.clone(), viewers: page.users });
            }
            if after.is_none() {
                break;
            }
        }
        match after {
            None => self.celebrities.promote_if_popular(&row.author, found).await?,
            after => {
                tasks.push(Task::EnumerateAudience { post: row.post, author: row.author.clone(), after, found });
            }
        }
        self.work_queue.send(tasks).await
    }

    /// Puts the post into the homes of these viewers.
    ///
    /// # Errors
    /// As the store's. Some of the rows may have been written.
    pub async fn push_to_homes(&self, row: &Row, viewers: Vec<UserId>) -> Result<(), Error> {
        let homes: Vec<_> = viewers.into_iter().map(Timeline::Home).collect();
        self.timelines.put(&homes, row).await
    }
}

#[cfg(test)]
mod tests;
