//! What follows from a post: its card, and its rows in timelines.

use super::{Projector, catch_up::Author};
use crate::{
    error::Error,
    model::{Post, PostId},
    store::{
        cards::PostCard,
        timelines::{Row, Timeline},
    },
};

impl Projector {
    /// Makes the read model show the post as the truth has it: created, or deleted by now.
    pub(super) async fn show_post(&self, author: &Author<'_>, post: PostId) -> Result<(), Error> {
        let truth = self.commands.post(post).await?;
        let truth = truth.ok_or_else(|| Error::poison(format!("post {post}"), "is in a log but does not exist"))?;
        if truth.is_deleted() { self.hide(author, truth).await } else { self.show(author, truth).await }
    }

    async fn show(&self, author: &Author<'_>, post: Post) -> Result<(), Error> {
        let row = Row { post: post.post, author: post.author.clone() };
        // The handshake: this row is written before the followers are read, and an edge is committed before its backfill
        // reads this timeline. Whichever comes first, the other sees it.
        self.timelines.put(&[Timeline::Author(row.author.clone())], &row).await?;
        let tags = post.tags.iter().cloned().map(Timeline::Tag);
        let near: Vec<_> = tags.chain([Timeline::Home(row.author.clone())]).collect();
        let profile = author.profile(self).await?.clone();
        self.cards.put_post(&PostCard::new(post, profile)).await?;
        if row.post.leaves_feeds_at() <= self.clock.now() {
            return Ok(());
        }
        self.timelines.put(&near, &row).await?;
        self.deliver_to_followers(&row).await
    }

    /// The rows in home timelines stay until they expire: they say nothing, and the card says that the post is gone.
    async fn hide(&self, author: &Author<'_>, post: Post) -> Result<(), Error> {
        let rows: Vec<_> = post.tags_ever.iter().cloned().map(Timeline::Tag).collect();
        let (id, timeline) = (post.post, Timeline::Author(post.author.clone()));
        let profile = author.profile(self).await?.clone();
        self.cards.put_post(&PostCard::new(post, profile)).await?;
        for row in rows.iter().chain([&timeline]) {
            self.timelines.delete(row, id).await?;
        }
        Ok(())
    }
}
