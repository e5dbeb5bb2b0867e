//! Notices: who likes a post, comments on it, mentions or follows somebody, for the user whom it concerns, and the
//! inboxes that list them in groups ([decision 0060](../../../docs/decisions/0060-notices-and-inboxes.md)).
//!
//! A notice is a row that says what the truth says, under a version. It is written whenever a worker hears of what it
//! is about. Then the worker reads the newest notices of the group, and writes the inbox if there is one among them
//! that the inbox does not know. However many notices come, an inbox is written once a second at most: a worker that
//! comes too early leaves the inbox to a task, of which its process then sends no further one for a second.

mod comments;
mod crowds;
mod followers;

use std::time::Duration;

pub use crowds::Crowds;
use futures::future::try_join_all;

use super::statistics::Statistics;
use crate::{
    error::Error,
    model::{
        Clock, Comment, Day, Edge, Group, Growth, LikeChange, Mentioned, ModelSet, Notice, PartitionShard, Post,
        PostId, ReadModel, StatisticsPolicy, Timestamp, UserId,
        limits::{NOTICES_COUNTED_MAX, NOTIFICATIONS_KEPT},
    },
    read_models::ReadModels,
    retry::until_no_conflict,
    store::{AWAITED_AFTER, Consistency, ModelTables, actor, command_table::CommandTable, timelines::Timelines},
    stream::work_queue::{Task, WorkQueue},
};

/// The shortest time between two writes of an inbox.
const INTERVAL: Duration = Duration::from_secs(1);

/// A notice, and whom it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed {
    /// The user whom it concerns.
    pub recipient: UserId,
    /// The group that it belongs to.
    pub group: Group,
    /// The notice.
    pub notice: Notice,
}

/// The notice of a like.
pub fn of_like(like: &LikeChange) -> Addressed {
    let (at, id, actor) = (like.liked_at(), actor(&like.user), like.user.clone());
    let notice = Notice { at, id, actor, active: like.liked, version: like.like_version, shard: like.shard };
    Addressed { recipient: like.author.clone(), group: Group::Like(like.post), notice }
}

/// The notices of a comment on this post. The author of the post is notified of the comment, and so not of a mention.
pub fn of_comment(post: &Post, comment: &Comment) -> Vec<Addressed> {
    let (at, id, actor) = (comment.comment.created_at(), comment.comment.to_string(), comment.author.clone());
    let version = if comment.is_deleted() { 2 } else { 1 };
    let notice = Notice { at, id, actor, active: !comment.is_deleted(), version, shard: PartitionShard::default() };
    let mentioned = comment.mentioned.iter().map(|mentioned| &mentioned.user).filter(|user| **user != post.author);
    let mentions = mentioned.map(|user| (user, Group::Mention(post.post)));
    let all = std::iter::once((&post.author, Group::Comment(post.post))).chain(mentions);
    all.map(|(user, group)| Addressed { recipient: user.clone(), group, notice: notice.clone() }).collect()
}

/// The notices of the mentions in a post.
pub fn of_post(post: &Post) -> Vec<Addressed> {
    let mention = |mentioned: &Mentioned| {
        let (at, id, actor) = (mentioned.at, post.post.to_string(), post.author.clone());
        let notice = Notice { at, id, actor, active: true, version: 1, shard: PartitionShard::default() };
        Addressed { recipient: mentioned.user.clone(), group: Group::Mention(post.post), notice }
    };
    post.mentioned.iter().map(mention).collect()
}

/// The notice of a follow; none of one that began before there were notices.
pub fn of_follow(follower: &UserId, followee: &UserId, edge: Edge) -> Option<Addressed> {
    let (at, id, actor) = (edge.since?, actor(follower), follower.clone());
    let notice = Notice { at, id, actor, active: edge.active, version: edge.version.get(), shard: edge.shard };
    Some(Addressed { recipient: followee.clone(), group: Group::Follow(Day::of(at)), notice })
}

/// Where events of likes are shown: the notices and inboxes of all sets of tables that are kept current.
#[derive(Debug, Clone)]
pub struct NoticeSets {
    /// The truth.
    pub commands: CommandTable,
    /// The tables of the read models.
    pub tables: ModelTables,
    /// Which of these tables are kept current.
    pub read_models: ReadModels,
    /// Takes what has to wait.
    pub work_queue: WorkQueue,
    /// How long an erasure waits before it removes items.
    pub erasure_delay: Duration,
    /// How long statistics are kept.
    pub statistics: StatisticsPolicy,
    /// What this process leaves to the work queue at this moment, because there is so much of it.
    pub crowds: Crowds,
    /// The clock.
    pub clock: Clock,
}

impl NoticeSets {
    /// Those that are kept current at this moment. Those that are read come first.
    ///
    /// # Errors
    /// As [`ReadModels::state`].
    pub async fn maintained(&self) -> Result<Vec<Notices>, Error> {
        let (state, mut sets) = (self.read_models.state().await?, self.read_models.maintained().await?);
        let table = |set: ModelSet| set.table(ReadModel::Timelines);
        sets.dedup_by_key(|it| table(it.set));
        let of_set = |set: ModelSet| Notices {
            commands: self.commands.clone(),
            timelines: self.tables.timelines(table(set)).clone(),
            statistics: Statistics {
                commands: self.commands.clone(),
                timelines: self.tables.timelines(table(set)).clone(),
                policy: self.statistics,
                clock: self.clock.clone(),
            },
            // Without a rebuild, there is only one set, and messages name none.
            work_queue: match state.rebuild.is_some() {
                true => self.work_queue.about(set),
                false => self.work_queue.clone(),
            },
            clock: self.clock.clone(),
            crowds: self.crowds.clone(),
            filled_until: state.timelines_filled_until(table(set)),
        };
        Ok(sets.into_iter().map(|it| of_set(it.set)).collect())
    }

    /// Whether the event of a like, of this moment, is too old to be taken at its word: the account of the user who
    /// liked may have been erased since, with the like. That is so once half of the time has passed for which an
    /// erasure waits. The other half is longer than a write takes from here, so nobody shows what an erasure has
    /// removed.
    pub fn may_be_gone(&self, at: Option<Timestamp>) -> bool {
        at.is_none_or(|at| self.clock.now().since(at) > self.erasure_delay / 2)
    }
}

/// Keeps the notices and inboxes of a set of tables.
#[derive(Debug, Clone)]
pub struct Notices {
    /// The truth.
    pub commands: CommandTable,
    /// Where notices and inboxes stand.
    pub timelines: Timelines,
    /// Counts what the notices tell of, in the same table.
    pub statistics: Statistics,
    /// Takes what has to wait.
    pub work_queue: WorkQueue,
    /// The clock.
    pub clock: Clock,
    /// What this process leaves to the work queue at this moment, because there is so much of it.
    pub crowds: Crowds,
    /// If a rebuild fills these inboxes, or has filled them: what was done until this moment may have been seen before.
    pub filled_until: Option<Timestamp>,
}

impl Notices {
    /// Shows a like, or its end, among those of its post. What it tells [is not gone](NoticeSets::may_be_gone).
    ///
    /// # Errors
    /// As the store's.
    pub async fn show_like(&self, like: &LikeChange) -> Result<(), Error> {
        self.put(&of_like(like)).await
    }

    /// Writes a notice. If it does not stand in the first partition of its group, the mark that says so comes before.
    async fn put(&self, Addressed { recipient, group, notice }: &Addressed) -> Result<(), Error> {
        if !notice.shard.is_first() {
            self.timelines.mark_group(recipient, *group, self.clock.now()).await?;
        }
        self.timelines.put_notice(recipient, *group, notice, self.may_be_known(notice.at)).await
    }

    /// Whether likes of this post are shown: those of a deleted post are not. Whoever shows many likes asks once,
    /// because all likes of a crowded post ask for the same item.
    ///
    /// # Errors
    /// As the store's.
    pub async fn shows_likes_of(&self, post: PostId) -> Result<bool, Error> {
        Ok(self.commands.post(post).await?.is_some_and(|post| !post.is_deleted()))
    }

    /// Shows these users' likes of a post [whose likes are shown](Self::shows_likes_of), or their ends, as the truth
    /// says. Returns them: see [`CommandTable::likes_as_they_stand`].
    ///
    /// # Errors
    /// As the stores'. Some of the likes may be shown then.
    pub async fn show_likes_as_they_stand(&self, post: PostId, users: &[UserId]) -> Result<Vec<LikeChange>, Error> {
        let likes = self.commands.likes_as_they_stand(post, users).await?;
        try_join_all(likes.iter().map(|like| self.show_like(like))).await?;
        Ok(likes)
    }

    /// Shows a post to those whom it mentions. A deleted post mentions nobody any more, and its card says that it is
    /// deleted.
    ///
    /// # Errors
    /// As the stores' and the queue's.
    pub async fn show_mentions(&self, post: &Post) -> Result<(), Error> {
        self.notify_all(of_post(post)).await
    }

    async fn notify_all(&self, notices: impl IntoIterator<Item = Addressed>) -> Result<(), Error> {
        for notice in notices {
            self.notify(notice).await?;
        }
        Ok(())
    }

    /// Whether anybody is told of it: nobody is of what they did themselves, or of what is too old.
    fn is_told(&self, Addressed { recipient, notice, .. }: &Addressed) -> bool {
        notice.actor != *recipient && notice.at.after(NOTIFICATIONS_KEPT) > self.clock.now()
    }

    async fn notify(&self, addressed: Addressed) -> Result<(), Error> {
        let Addressed { recipient, group, notice } = &addressed;
        if !self.is_told(&addressed) {
            return Ok(());
        }
        if self.commands.recent_standing(recipient, self.clock.now()).await?.is_none() {
            // The account is deleted, and nothing may be written for it any more.
            return Ok(());
        }
        self.put(&addressed).await?;
        match self.may_grow(notice.active, notice.at) {
            true => self.settle(recipient, *group).await,
            false => Ok(()),
        }
    }

    /// Whether a notice of this moment, which stands or does not, may make a group grow. What has ended does not, but
    /// an inbox that is filled has to know it, so that it is nothing new when it begins again.
    pub fn may_grow(&self, stands: bool, at: Timestamp) -> bool {
        stands || self.may_be_known(at)
    }

    /// Whether a notice of this moment may have been seen in the inbox of another table.
    fn may_be_known(&self, at: Timestamp) -> bool {
        self.filled_until.is_some_and(|until| at <= until)
    }

    /// Brings a group of an inbox up to date. If the inbox was written less than a second ago, a task does so later. It
    /// does so for everything that this process writes within a second, too: a group of which many notices come costs
    /// one task a second.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other workers kept writing the inbox; otherwise as the store's and the queue's.
    pub async fn settle(&self, recipient: &UserId, group: Group) -> Result<(), Error> {
        if self.timelines.pace.is_awaited(recipient, group, self.clock.now()) {
            return Ok(());
        }
        let limit = i32::try_from(NOTICES_COUNTED_MAX).unwrap_or(i32::MAX);
        until_no_conflict(async || {
            let before = self.timelines.inbox(recipient, Consistency::Strong).await?;
            let mut newest = self.timelines.notices(recipient, group, None, limit, Consistency::Strong).await?.notices;
            let now = self.clock.now();
            newest.retain(|notice| notice.counts_for(recipient, now));
            let mut inbox = before.inbox.clone();
            let growth = match self.filled_until {
                Some(until) if newest.iter().all(|notice| notice.at <= until) => Growth::Restored,
                _ => Growth::News,
            };
            if !inbox.grow(group, &newest, now, growth) {
                return Ok(());
            }
            if !before.exists() && self.commands.profile(recipient).await?.is_none() {
                // The account is deleted. While it is erased, it may still have an inbox, which goes then.
                return Ok(());
            }
            if before.written_at.after(INTERVAL) > now {
                let task = Task::Notify { user: recipient.clone(), group };
                self.work_queue.send_after(AWAITED_AFTER, vec![task]).await?;
                self.timelines.pace.awaits(recipient, group, now);
                return Ok(());
            }
            self.timelines.put_inbox(recipient, &before, &inbox, now).await
        })
        .await
    }
}

#[cfg(test)]
mod tests;
