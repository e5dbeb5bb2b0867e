//! What follows from a post: its card, and its rows in timelines.

use futures::{StreamExt, TryStreamExt, stream};

use super::{Projector, catch_up::Author};
use crate::{
    error::Error,
    model::{Post, PostId},
    store::{
        cards::PostCard,
        timelines::{Row, Timeline},
    },
};

/// Rows of tags written at once.
const TAGS_AT_ONCE: usize = 8;

impl Projector {
    /// Makes the read model show a new post as the truth has it: edited or deleted by now, perhaps.
    pub(super) async fn show_new_post(&self, author: &Author<'_>, post: PostId) -> Result<(), Error> {
        let post = self.post(post).await?;
        if post.is_deleted() {
            return self.hide(author, &post).await;
        }
        let row = Row { post: post.post, author: post.author.clone() };
        // The handshake: this row is written before the followers are read, and an edge is committed before its backfill
        // reads this timeline. Whichever comes first, the other sees it.
        self.timelines.put(&[Timeline::Author(row.author.clone())], &row).await?;
        self.show(author, &post).await?;
        if row.post.leaves_feeds_at() <= self.clock.now() {
            return Ok(());
        }
        self.timelines.put(&[Timeline::Home(row.author.clone())], &row).await?;
        self.deliver_to_followers(&row).await
    }

    /// Makes the read model show a post that it may show already as the truth has it.
    pub(super) async fn show_post(&self, author: &Author<'_>, post: PostId) -> Result<(), Error> {
        let post = self.post(post).await?;
        if post.is_deleted() { self.hide(author, &post).await } else { self.show(author, &post).await }
    }

    async fn post(&self, post: PostId) -> Result<Post, Error> {
        let truth = self.commands.post(post).await?;
        truth.ok_or_else(|| Error::poison(format!("post {post}"), "is in a log but does not exist"))
    }

    async fn show(&self, author: &Author<'_>, post: &Post) -> Result<(), Error> {
        let profile = author.profile(self).await?.clone();
        self.cards.put_post(&PostCard::new(post.clone(), profile)).await?;
        self.show_tags(post).await
    }

    /// The rows in home timelines stay until they expire: they say nothing, and the card says that the post is gone.
    async fn hide(&self, author: &Author<'_>, post: &Post) -> Result<(), Error> {
        let profile = author.profile(self).await?.clone();
        self.cards.put_post(&PostCard::new(post.clone(), profile)).await?;
        self.show_tags(post).await?;
        self.timelines.delete(&Timeline::Author(post.author.clone()), post.post).await
    }

    /// Puts the post under its tags, and takes it from under those that it had, through however many edits.
    async fn show_tags(&self, post: &Post) -> Result<(), Error> {
        let row = &Row { post: post.post, author: post.author.clone() };
        let expired = post.post.leaves_feeds_at() <= self.clock.now();
        stream::iter(&post.tags_ever)
            .map(|tag| async move {
                match post.tags.contains(tag) && !expired {
                    true => self.timelines.tag(tag, row, post.version).await,
                    false => self.timelines.untag(tag, post.post, post.version).await,
                }
            })
            .buffer_unordered(TAGS_AT_ONCE)
            .try_collect()
            .await
    }
}
