//! Effects of a post: its card, and its rows in timelines.

use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    error::Error,
    model::{Clock, Post, PostId, Profile, limits::ANNOUNCEMENT_KEPT},
    projection::{indexer::Indexer, notices::Notices, owner::LogOwner, trending::merge_soon, walks::Walks},
    store::{
        cards::{Cards, PostCard},
        command_table::CommandTable,
        timelines::{Row, Timeline, Timelines},
    },
};

/// Rows of tags deleted at once.
const TAGS_AT_ONCE: usize = 8;

/// What posts change in the read models.
#[derive(Debug, Clone)]
pub(in crate::projection) struct PostEffects {
    pub(in crate::projection) commands: CommandTable,
    pub(in crate::projection) cards: Cards,
    pub(in crate::projection) timelines: Timelines,
    pub(in crate::projection) walks: Walks,
    pub(in crate::projection) notices: Notices,
    pub(in crate::projection) indexer: Indexer,
    pub(in crate::projection) clock: Clock,
}

impl PostEffects {
    /// Shows a new post as the truth has it now. The post may have been edited or deleted since the event.
    pub(in crate::projection) async fn show_new(&self, owner: &LogOwner<'_>, post: PostId) -> Result<(), Error> {
        let post = self.read(post).await?;
        tokio::try_join!(self.show_new_in_feeds(owner, &post), self.indexer.show_post(&post)).map(drop)
    }

    async fn show_new_in_feeds(&self, owner: &LogOwner<'_>, post: &Post) -> Result<(), Error> {
        if post.is_deleted() {
            return self.hide(owner, post).await;
        }
        let row = Row { post: post.post, author: post.author.clone() };
        // The handshake: this row is written before the followers are read, and an edge is committed before its
        // backfill reads this timeline. Whichever comes first, the other sees it.
        let is_in_feeds = row.post.leaves_feeds_at() > self.clock.now();
        // Nobody reads tables that are being filled, so nobody keeps rows that an announcement would complete. But once
        // they are read, they tell a client what was announced since it asked before.
        let is_read = self.walks.fills_homes();
        let is_recent = self.clock.now().since(post.post.created_at()) < ANNOUNCEMENT_KEPT;
        let may_be_asked_for = is_in_feeds && (is_read || is_recent);
        if may_be_asked_for && self.walks.celebrities.are_announced(&row.author).await? {
            self.timelines.put_announced(&row, &self.clock).await?;
        } else {
            self.timelines.put(&[Timeline::Author(row.author.clone())], &row).await?;
        }
        // The walk of a new profile finds posts by these rows. So the profile is read after the row is written:
        // whichever comes first, the card gets the new profile.
        self.put_card_and_tags(post, owner.read_profile().await?).await?;
        if !is_in_feeds {
            return Ok(());
        }
        if is_read {
            self.timelines.put(&[Timeline::Home(row.author.clone())], &row).await?;
        }
        self.walks.push_to_followers(&row).await.map(drop)
    }

    /// Shows an edited or deleted post as the truth has it now.
    pub(super) async fn show(&self, owner: &LogOwner<'_>, post: PostId) -> Result<(), Error> {
        let post = self.read(post).await?;
        let shown = async {
            if post.is_deleted() {
                return self.hide(owner, &post).await;
            }
            self.put_card_and_tags(&post, owner.profile().await?.clone()).await
        };
        tokio::try_join!(shown, self.indexer.show_post(&post)).map(drop)
    }

    /// Hides a deleted post, and lets a worker remove what is left of it.
    pub(in crate::projection) async fn remove(&self, owner: &LogOwner<'_>, post: PostId) -> Result<(), Error> {
        let post = self.read(post).await?;
        tokio::try_join!(self.hide(owner, &post), self.indexer.show_post(&post))?;
        self.walks.begin_purge(&post).await
    }

    async fn read(&self, post: PostId) -> Result<Post, Error> {
        let truth = self.commands.post(post).await?;
        truth.ok_or_else(|| Error::poison(format!("post {post}"), "an event names the post, but it does not exist"))
    }

    async fn put_card_and_tags(&self, post: &Post, profile: Profile) -> Result<(), Error> {
        let may_trend = self.cards.put_post(&PostCard::new(post.clone(), profile), self.clock.now()).await?;
        if may_trend || post.hidden().is_some() {
            // Others of the author's posts count more without a hidden one.
            merge_soon(&self.cards, &self.walks.work_queue, self.clock.now()).await?;
        }
        self.notices.show_mentions(post).await?;
        self.notices.statistics.count_tags(post).await?;
        self.show_tags(post).await
    }

    /// Hides a deleted post. Its rows in homes stay until they expire: they hold no text, and the card tells readers
    /// that the post is deleted.
    async fn hide(&self, owner: &LogOwner<'_>, post: &Post) -> Result<(), Error> {
        self.put_card_and_tags(post, owner.profile().await?.clone()).await?;
        self.timelines.delete(&Timeline::Author(post.author.clone()), post.post).await
    }

    /// Puts the post into the timelines of its tags. Removes it from those of all tags that earlier versions had.
    async fn show_tags(&self, post: &Post) -> Result<(), Error> {
        let row = &Row { post: post.post, author: post.author.clone() };
        if post.post.leaves_feeds_at() > self.clock.now() {
            self.timelines.tag(&self.commands, &post.tags, row, post.version).await?;
        }
        stream::iter(post.tags_ever.iter().filter(|tag| !post.tags.contains(tag)))
            .map(|tag| self.timelines.untag(tag, post.post, post.version))
            .buffer_unordered(TAGS_AT_ONCE)
            .try_collect()
            .await
    }
}
