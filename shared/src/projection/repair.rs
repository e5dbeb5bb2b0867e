//! Repairs: they set a part of the read models to what the truth says, whatever is there. `audit` asks for them by
//! tasks. Each can be repeated at any time, and changes nothing where nothing is wrong.

use super::{catch_up::CatchUp, effects::Effect, owner::LogOwner, trending::merge_soon};
use crate::{
    error::Error,
    model::{
        EdgeKind, Group, LikeChange, PostId, TallyShard, TallySubject, UserHash, UserId, Version,
        limits::NOTIFICATIONS_KEPT,
    },
    retry::until_no_conflict,
    store::{
        Consistency,
        timelines::{Row, Timeline},
    },
    stream::work_queue::{LEFT_AFTER, Task, WorkQueue},
};

/// Events whose effects are applied again in one step.
const EVENTS_PER_STEP: i32 = 50;
/// Likes of a post that are shown at once. More than these are left to the work queue by a batch of the bus.
pub const LIKES_AT_ONCE: usize = 8;
/// Edges read at a time.
const EDGES_PAGE: i32 = 1000;
/// Pages of edges that are read at most. A user has up to [`crate::model::limits::FOLLOWING_MAX`] edges of a kind, and
/// any number of ended ones.
const EDGE_PAGES_MAX: usize = 1000;

/// Repairs read models.
#[derive(Debug, Clone)]
pub struct Repair {
    pub(super) catch_up: CatchUp,
    pub(super) work_queue: WorkQueue,
    /// Whether a rebuild is making the cards. It shows all counters afterwards.
    pub(super) cards_are_made: bool,
}

impl Repair {
    /// Applies the effects of the next events behind `after` again, and sends the task of the next step. An event that
    /// can never be applied is passed over: it is in the quarantine.
    ///
    /// # Errors
    /// Of the effects that may succeed later; otherwise as those of the store and the queue.
    pub async fn reapply_step(&self, user: &UserId, after: Version) -> Result<(), Error> {
        let entries = self.catch_up.commands.log_after(user, after, EVENTS_PER_STEP).await?;
        let Some(last) = entries.last() else { return Ok(()) };
        let after = match self.catch_up.apply_again(user, &entries).await {
            None => last.version,
            Some((version, error @ Error::Poison { .. })) => {
                tracing::warn!(%user, %version, %error, "an event cannot be applied again");
                version
            }
            Some((_, error)) => return Err(error),
        };
        self.work_queue.send(vec![Task::Reapply { user: user.clone(), after }]).await
    }

    /// Sets the user's viewer item and card to what the truth says. The card of a user who does not exist is deleted.
    ///
    /// If `applied` is ahead of the log, nobody knows which events were applied. It is then set to the end of the log,
    /// and all effects are applied again.
    ///
    /// # Errors
    /// As those of the stores and the queue.
    pub async fn settle_user(&self, user: &UserId) -> Result<(), Error> {
        let CatchUp { commands, effects, .. } = &self.catch_up;
        if commands.profile(user).await?.is_none() {
            return effects.cards.remove(&TallySubject::User(user.clone())).await;
        }
        until_no_conflict(async || self.settle_viewer(user).await).await?;
        let owner = LogOwner::new(user, commands);
        effects.apply_late(&owner, &Effect::ShowProfile).await?;
        let head = commands.head(user).await?;
        effects.show_totals(user, head.totals, head.version).await?;
        self.settle_tally(&TallySubject::User(user.clone()), &[]).await
    }

    /// The edges are read after the item. So they may be those of events that are not applied yet; these events then
    /// set the same edges again.
    async fn settle_viewer(&self, user: &UserId) -> Result<(), Error> {
        let CatchUp { commands, viewers, .. } = &self.catch_up;
        let before = viewers.get(user, Consistency::Strong).await?;
        let head = commands.head(user).await?.version;
        let mut viewer = before.viewer.clone();
        if viewer.applied > head {
            tracing::error!(%user, applied = %viewer.applied, %head, "more events are applied than there are");
            self.work_queue.send(vec![Task::Reapply { user: user.clone(), after: Version::ZERO }]).await?;
            viewer.applied = head;
        }
        for (kind, users) in [
            (EdgeKind::Follows, &mut viewer.followed),
            (EdgeKind::Mutes, &mut viewer.muted),
            (EdgeKind::Blocks, &mut viewer.blocked),
        ] {
            *users = self.others(user, kind).await?.into_iter().collect();
        }
        let followed = &viewer.followed;
        viewer.unfinished.backfills.retain(|author, _| followed.contains(&author.hash()));
        if viewer == before.viewer && !before.has_lost_sets {
            return Ok(());
        }
        viewers.put(user, &before, viewer).await.map(drop)
    }

    /// The users to whom edges of this kind go.
    async fn others(&self, user: &UserId, kind: EdgeKind) -> Result<Vec<UserHash>, Error> {
        let (mut others, mut after) = (Vec::new(), None);
        for _ in 0..EDGE_PAGES_MAX {
            let page = self.catch_up.commands.edges_from(user, kind, after.as_ref(), EDGES_PAGE).await?;
            others.extend(page.users.iter().map(UserId::hash));
            after = page.next;
            if after.is_none() {
                return Ok(others);
            }
        }
        Err(Error::poison(format!("the edges of {user}"), "there are too many"))
    }

    /// Sets the post's card, and its rows, to what the truth says. The card of a post that does not exist is deleted.
    /// If the author has deleted the account, the post is erased with it.
    ///
    /// # Errors
    /// As those of the stores and the queue.
    pub async fn settle_post(&self, post: PostId) -> Result<(), Error> {
        let CatchUp { commands, effects, clock, .. } = &self.catch_up;
        let subject = TallySubject::Post(post);
        let Some(truth) = commands.post(post).await? else { return effects.cards.remove(&subject).await };
        if commands.profile(&truth.author).await?.is_none() && effects.walks.begin_erasure(&truth.author).await? {
            return Ok(());
        }
        let shown = effects.cards.posts(&[post], Consistency::Strong).await?.remove(&post);
        if shown.is_some_and(|card| card.version > truth.version) {
            tracing::error!(%post, "a card has a version that its post never had");
            effects.cards.remove(&subject).await?;
        }
        let owner = LogOwner::new(&truth.author, commands);
        match truth.is_deleted() {
            true => effects.posts.remove(&owner, post).await?,
            false => effects.posts.show_new(&owner, post).await?,
        }
        if effects.cards.put_author(post, owner.profile().await?, clock.now()).await? {
            merge_soon(&effects.cards, &self.work_queue, clock.now()).await?;
        }
        self.settle_tally(&subject, &[]).await
    }

    /// Sets these shards of a counter on its card to what the truth says, or all of them if none is named. The card is
    /// read first: if an image of a later write comes between, this worker notices and begins again. If neither the
    /// card nor the subject is there, what is left of the counter of a post is removed.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other workers kept changing the card; [`Error::Transient`] if the card is still to be
    /// made, unless a rebuild makes it; otherwise as those of the stores.
    pub async fn settle_tally(&self, subject: &TallySubject, shards: &[TallyShard]) -> Result<(), Error> {
        let CatchUp { commands, effects, clock, .. } = &self.catch_up;
        effects.cards.learn_contenders(clock.now()).await?;
        let may_trend = until_no_conflict(async || {
            let before = effects.cards.tally(subject).await?;
            if !before.has_card {
                if self.cards_are_made {
                    return Ok(false);
                }
                if self.exists(subject).await? {
                    return Err(Error::transient("setting a counter", "the card is still to be made"));
                }
                // An unlike that came during the erasure has left it. No post ever has that id again; a user may.
                if matches!(subject, TallySubject::Post(_)) {
                    commands.remove_tally(subject).await?;
                }
                return Ok(false);
            }
            let tally = match shards {
                [] => commands.tally(subject).await?,
                named => before.tally.with(named, &commands.tally_of(subject, named.iter().copied()).await?),
            };
            match shards.is_empty() || tally != before.tally {
                true => effects.cards.put_tally(subject, &before, &tally).await?,
                false => effects.cards.cache_is_in_doubt(subject).await,
            }
            Ok(effects.cards.may_trend(subject, &before, &tally))
        })
        .await?;
        if may_trend {
            merge_soon(&effects.cards, &self.work_queue, clock.now()).await?;
        }
        effects.posts.indexer.check_place(subject).await
    }

    async fn exists(&self, subject: &TallySubject) -> Result<bool, Error> {
        let commands = &self.catch_up.commands;
        Ok(match subject {
            TallySubject::User(user) => commands.profile(user).await?.is_some(),
            TallySubject::Post(post) => commands.post(*post).await?.is_some(),
        })
    }

    /// Shows likes of a post, or their ends, as the truth says, and then tells its author once. An inbox does not list
    /// what is too old. The partitions of the post's likes may not take all of these at once: what is left goes into
    /// another task, so that nothing is written twice.
    ///
    /// # Errors
    /// As the stores' and the queue's, if no like could be shown.
    pub async fn settle_likes(&self, post: PostId, users: &[UserId]) -> Result<(), Error> {
        match self.settle_likes_together(post, users).await {
            Err(error @ Error::Poison { .. }) if users.len() > 1 => {
                tracing::error!(%post, %error, "likes are settled one by one, because one of them makes no sense");
                let alone = users.iter().flat_map(|user| Task::settle_likes(post, [user.clone()]));
                self.work_queue.send(alone.collect()).await
            }
            settled => settled,
        }
    }

    async fn settle_likes_together(&self, post: PostId, users: &[UserId]) -> Result<(), Error> {
        let notices = &self.catch_up.effects.notices;
        notices.statistics.count_likes_as_they_stand(post, users).await?;
        if !notices.shows_likes_of(post).await? {
            return Ok(());
        }
        let mut shown = Vec::new();
        for (done, some) in users.chunks(LIKES_AT_ONCE).enumerate() {
            match notices.show_likes_as_they_stand(post, some).await {
                Ok(likes) => shown.extend(likes),
                Err(error) if done == 0 || matches!(error, Error::Poison { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(%post, %error, "some likes are shown later");
                    let left = users.iter().skip(done * LIKES_AT_ONCE).cloned();
                    self.work_queue.send_after(LEFT_AFTER, Task::settle_likes(post, left)).await?;
                    break;
                }
            }
        }
        let now = notices.clock.now();
        let is_listed = |like: &&LikeChange| {
            let is_new = like.liked_at().after(NOTIFICATIONS_KEPT) > now;
            is_new && notices.may_grow(like.liked, like.liked_at()) && like.user != like.author
        };
        match shown.iter().find(is_listed) {
            Some(like) => notices.settle(&like.author, Group::Like(post)).await,
            None => Ok(()),
        }
    }

    /// Deletes a row of a timeline unless it follows from the truth. A row of a deleted post stays in homes: it holds
    /// no text, and the card tells readers that the post is deleted.
    ///
    /// # Errors
    /// [`Error::Poison`] if there is no such timeline; otherwise as the stores'.
    pub async fn check_row(&self, timeline: &str, row: &Row) -> Result<(), Error> {
        let Some(timeline) = Timeline::parse(timeline) else {
            return Err(Error::poison("a row to be checked", format!("there is no timeline {timeline}")));
        };
        let commands = &self.catch_up.commands;
        let truth = commands.post(row.post).await?;
        if truth.as_ref().is_some_and(|post| timeline.may_have(row, post)) {
            return Ok(());
        }
        if let Timeline::Author(author) = &timeline
            && truth.is_some()
            && commands.head(author).await?.standing.is_deleted()
        {
            // An erasure puts deleted posts back among the author's rows, to find them in homes. It removes them last.
            return Ok(());
        }
        self.catch_up.effects.posts.timelines.delete_of(&timeline, row).await
    }
}

#[cfg(test)]
mod tests;
