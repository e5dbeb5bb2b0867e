//! Who gets a row of a post: a small audience at once, a large one through the queue.

use super::Projector;
use crate::{
    error::Error,
    model::UserId,
    store::timelines::{Row, Timeline},
    stream::deliveries::Message,
};

/// Followers that are written to directly; more go through the queue, so that one post never holds up a batch for long.
const DIRECT_MAX: usize = 100;
/// Viewers named in one message: 20 calls of BatchWriteItem, and at most 130 kB of user ids as JSON.
const VIEWERS_PER_MESSAGE: usize = 500;
/// Edges looked at in one read.
const PAGE: i32 = 1000;

impl Projector {
    /// Puts the row into the home of each of the author's followers. Runs after the row is in the author's timeline: see
    /// the handshake in [`Projector::show_post`].
    pub(super) async fn deliver_to_followers(&self, row: &Row) -> Result<(), Error> {
        let mut viewers = Vec::new();
        let mut after = None;
        let mut large = false;
        loop {
            let page = self.commands.followers(&row.author, after.as_ref(), PAGE).await?;
            viewers.extend(page.users);
            after = page.next;
            large |= viewers.len() > DIRECT_MAX;
            if large {
                // What does not fill a message waits for the next page, if there is one.
                let whole = viewers.len() - viewers.len() % VIEWERS_PER_MESSAGE;
                let ready = if after.is_some() { whole } else { viewers.len() };
                self.enqueue(row, viewers.drain(..ready).collect()).await?;
            }
            if after.is_none() {
                return self.deliver(row, viewers).await;
            }
        }
    }

    /// Puts the row into the homes of these viewers.
    pub async fn deliver(&self, row: &Row, viewers: Vec<UserId>) -> Result<(), Error> {
        let homes: Vec<_> = viewers.into_iter().map(Timeline::Home).collect();
        self.timelines.put(&homes, row).await
    }

    async fn enqueue(&self, row: &Row, viewers: Vec<UserId>) -> Result<(), Error> {
        let messages = viewers.chunks(VIEWERS_PER_MESSAGE).map(|viewers| Message::Deliver {
            post: row.post,
            author: row.author.clone(),
            viewers: viewers.to_vec(),
        });
        self.deliveries.send(messages.collect()).await
    }
}
