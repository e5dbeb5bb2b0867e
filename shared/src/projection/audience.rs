//! Who gets a row of a post. A small audience gets it at once. A larger one is one message to the queue, whatever its size,
//! so that its post holds up nobody behind it; there the followers are walked through, and handed out in messages of some
//! hundreds. Followers of a celebrity get nothing: they pull.

use super::Projector;
use crate::{
    error::Error,
    model::UserId,
    store::timelines::{Row, Timeline},
    stream::work_queue::Task,
};

/// Edges looked at before an audience counts as large; so many rows are 4 calls of BatchWriteItem.
const DIRECT_MAX: i32 = 100;
/// Edges looked at for one message: its viewers are 20 calls of BatchWriteItem, and at most 130 kB of user ids as JSON.
const EDGES_PER_MESSAGE: i32 = 500;
/// Messages made in one step of a walk; then a message says where it goes on.
const MESSAGES_PER_STEP: usize = 20;

impl Projector {
    /// Sees to it that the row gets into the home of each of the author's followers. Runs after the row is in the author's
    /// timeline: see the handshake in [`Projector::show_post`].
    pub(super) async fn deliver_to_followers(&self, row: &Row) -> Result<(), Error> {
        if !self.celebrities.are_pushed(&row.author).await? {
            return Ok(());
        }
        let page = self.commands.followers(&row.author, None, DIRECT_MAX).await?;
        if page.next.is_some() {
            let walk = Task::EnumerateAudience { post: row.post, author: row.author.clone(), after: None, found: 0 };
            return self.work_queue.send(vec![walk]).await;
        }
        self.celebrities.count(&row.author, page.users.len() as u64).await?;
        self.deliver(row, page.users).await
    }

    /// A step of the walk through a large audience, from the follower after `after`; `found` were found before.
    pub async fn spread(&self, row: &Row, mut after: Option<UserId>, mut found: u64) -> Result<(), Error> {
        let mut messages = Vec::with_capacity(MESSAGES_PER_STEP);
        let is_first = after.is_none();
        for _ in 0..MESSAGES_PER_STEP {
            let page = self.commands.followers(&row.author, after.as_ref(), EDGES_PER_MESSAGE).await?;
            found += page.users.len() as u64;
            after = page.next;
            if is_first && messages.is_empty() && after.is_none() {
                // It is one message's worth, and this is one message.
                self.celebrities.count(&row.author, found).await?;
                return self.deliver(row, page.users).await;
            }
            messages.push(Task::PushToHomes { post: row.post, author: row.author.clone(), viewers: page.users });
            if after.is_none() {
                break;
            }
        }
        match after {
            None => self.celebrities.count(&row.author, found).await?,
            after => {
                messages.push(Task::EnumerateAudience { post: row.post, author: row.author.clone(), after, found });
            }
        }
        self.work_queue.send(messages).await
    }

    /// Puts the row into the homes of these viewers.
    pub async fn deliver(&self, row: &Row, viewers: Vec<UserId>) -> Result<(), Error> {
        let homes: Vec<_> = viewers.into_iter().map(Timeline::Home).collect();
        self.timelines.put(&homes, row).await
    }
}
