//! Effects of a post: its card, and its rows in timelines.

use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    error::Error,
    model::{Clock, Post, PostId},
    projection::{audience::Audience, owner::LogOwner},
    store::{
        cards::{Cards, PostCard},
        command_table::CommandTable,
        timelines::{Row, Timeline, Timelines},
    },
};

/// Rows of tags written at once.
const TAGS_AT_ONCE: usize = 8;

/// What posts change in the read models.
#[derive(Debug, Clone)]
pub(super) struct PostEffects {
    pub(super) commands: CommandTable,
    pub(super) cards: Cards,
    pub(super) timelines: Timelines,
    pub(super) audience: Audience,
    pub(super) clock: Clock,
}

impl PostEffects {
    /// Shows a new post as the truth has it now. The post may have been edited or deleted since the event.
    pub(super) async fn show_new(&self, owner: &LogOwner<'_>, post: PostId) -> Result<(), Error> {
        let post = self.read(post).await?;
        if post.is_deleted() {
            return self.hide(owner, &post).await;
        }
        let row = Row { post: post.post, author: post.author.clone() };
        // The handshake: this row is written before the followers are read, and an edge is committed before its
        // backfill reads this timeline. Whichever comes first, the other sees it.
        self.timelines.put(&[Timeline::Author(row.author.clone())], &row).await?;
        self.put_card_and_tags(owner, &post).await?;
        if row.post.leaves_feeds_at() <= self.clock.now() {
            return Ok(());
        }
        self.timelines.put(&[Timeline::Home(row.author.clone())], &row).await?;
        self.audience.push_to_followers(&row).await
    }

    /// Shows an edited or deleted post as the truth has it now.
    pub(super) async fn show(&self, owner: &LogOwner<'_>, post: PostId) -> Result<(), Error> {
        let post = self.read(post).await?;
        if post.is_deleted() { self.hide(owner, &post).await } else { self.put_card_and_tags(owner, &post).await }
    }

    async fn read(&self, post: PostId) -> Result<Post, Error> {
        let truth = self.commands.post(post).await?;
        truth.ok_or_else(|| Error::poison(format!("post {post}"), "an event names the post, but it does not exist"))
    }

    async fn put_card_and_tags(&self, owner: &LogOwner<'_>, post: &Post) -> Result<(), Error> {
        let profile = owner.profile().await?.clone();
        self.cards.put_post(&PostCard::new(post.clone(), profile)).await?;
        self.show_tags(post).await
    }

    /// Hides a deleted post. Its rows in homes stay until they expire: they hold no text, and the card tells readers
    /// that the post is deleted.
    async fn hide(&self, owner: &LogOwner<'_>, post: &Post) -> Result<(), Error> {
        self.put_card_and_tags(owner, post).await?;
        self.timelines.delete(&Timeline::Author(post.author.clone()), post.post).await
    }

    /// Puts the post into the timelines of its tags. Removes it from those of all tags that earlier versions had.
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
