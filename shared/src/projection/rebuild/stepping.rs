//! What one step of a rebuild does with its segment.

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    super::{
        Dependencies, Projector,
        quarantine::catch_up_or_quarantine,
        tally::{self, CounterShown},
        trending::merge_soon,
    },
    Rebuilder,
};
use crate::{
    deadline::Deadline,
    error::Error,
    model::{
        HomeRows, Maintained, Phase, PostId, READ_MODELS, ReadModel, ReadModelsState, Rebuild, TallyChange, UserId,
        Version, limits::FEED_AGE_MAX,
    },
    retry::until_no_conflict,
    store::{
        Consistency, Meter,
        read_models::Segment,
        scan::ScanKey,
        segments::{Part, RebuildItem},
        timelines::{Range, Timeline},
    },
    stream::{
        walk::{BackfillAt, Walk},
        work_queue::Task,
    },
};

/// Items of the command table that are read at a time.
const PAGE: i32 = 500;
/// Likes of any posts that are shown at once.
const LIKES_TOGETHER: usize = 16;
/// Rows that are copied at a time.
const ROWS: usize = 200;

/// What is left of a step.
pub(super) enum Left {
    /// The segment goes on behind this place.
    More,
    /// The segment is done.
    Nothing,
}

/// The present step of a segment.
pub(super) struct Stepping<'a> {
    pub(super) rebuilder: &'a Rebuilder,
    /// Measures what the step costs.
    pub(super) meter: &'a Meter,
    pub(super) state: &'a ReadModelsState,
    pub(super) rebuild: &'a Rebuild,
    pub(super) part: Part,
    pub(super) segment: &'a mut Segment,
    pub(super) deadline: Deadline,
    /// Units that the step may use.
    pub(super) units_max: f64,
}

impl Stepping<'_> {
    /// Does what the phase is about, until the step or the segment ends.
    pub(super) async fn work(mut self) -> Result<Left, Error> {
        match self.rebuild.phase {
            Phase::Clear | Phase::Retire => self.clear().await,
            Phase::Fill | Phase::Settle => self.visit().await,
        }
    }

    /// Whether the step ends here: the time is up, or the budget.
    fn is_over(&self) -> bool {
        let cost = self.meter.cost();
        self.deadline.is_near() || cost.read_units + cost.write_units >= self.units_max
    }

    /// Empties the tables that are not active.
    async fn clear(&mut self) -> Result<Left, Error> {
        for model in READ_MODELS {
            let table = self.state.active.table(model).other();
            let emptied = self.rebuilder.projectors.0.tables.emptied(model, table);
            while let Some(deleted) = self.deadline.limit(emptied.delete_some(self.part)).await? {
                self.segment.done.cleared += deleted;
                if self.is_over() {
                    return Ok(Left::More);
                }
            }
        }
        Ok(Left::Nothing)
    }

    /// Visits the next items of the command table. The position moves behind each item that is done.
    async fn visit(&mut self) -> Result<Left, Error> {
        let projector = self.projector();
        loop {
            let commands = &self.rebuilder.projectors.0.commands;
            let page =
                self.deadline.limit(commands.rebuild_items(self.part, self.segment.after.as_ref(), PAGE)).await?;
            let mut items = page.items.into_iter();
            while let Some((mut place, item)) = items.next() {
                let done = match item {
                    Ok(RebuildItem::Like(user, post)) => {
                        // A user's likes stand next to each other.
                        let mut likes = vec![(user, post)];
                        while likes.len() < LIKES_TOGETHER
                            && let [(next, Ok(RebuildItem::Like(user, post))), ..] = items.as_slice()
                        {
                            place = next.clone();
                            likes.push((user.clone(), *post));
                            items.next();
                        }
                        self.show_likes(&projector, &likes).await?;
                        true
                    }
                    Ok(item) => self.visit_one(&projector, &place, item).await?,
                    Err(error) => {
                        tracing::error!(?place, %error, "an item of the command table makes no sense");
                        true
                    }
                };
                if !done {
                    return Ok(Left::More);
                }
                (self.segment.after, self.segment.within) = (Some(place), None);
                if self.is_over() {
                    return Ok(Left::More);
                }
            }
            match page.next {
                None => return Ok(Left::Nothing),
                next => self.segment.after = next,
            }
            if self.is_over() {
                return Ok(Left::More);
            }
        }
    }

    /// The projector of the target.
    fn projector(&self) -> Projector {
        let Rebuild { target, phase, .. } = *self.rebuild;
        // If the tables that are read are filled in place, their homes are filled at once, too.
        let in_place = target == self.state.active;
        let homes = if phase == Phase::Fill && !in_place { HomeRows::Later } else { HomeRows::Now };
        self.rebuilder.projectors.projector(Maintained { set: target, homes }, self.state)
    }

    /// Visits an item. False if it is not done yet.
    async fn visit_one(&mut self, projector: &Projector, place: &ScanKey, item: RebuildItem) -> Result<bool, Error> {
        let fills = |model| self.rebuild.models.contains(&model);
        match (item, self.rebuild.phase) {
            (RebuildItem::User(user), Phase::Settle) => {
                if !self.apply_log_to_active(&user).await? || !self.apply_log(projector, &user).await? {
                    return Ok(false);
                }
                if fills(ReadModel::Timelines) {
                    return self.fill_home(projector, place, &user, &user).await;
                }
                match self.take_over_backfills(projector, &user).await {
                    // The viewer items that are read may be why there is a rebuild.
                    Err(error @ Error::Poison { .. }) => {
                        tracing::error!(%user, %error, "a viewer item makes no sense");
                        Ok(true)
                    }
                    taken_over => taken_over.map(|()| true),
                }
            }
            (RebuildItem::User(user), _) => self.apply_log(projector, &user).await,
            (RebuildItem::Tally(change), Phase::Settle) if fills(ReadModel::Cards) => {
                self.show_tally(projector, change).await?;
                Ok(true)
            }
            (RebuildItem::Follow(follower, followee), Phase::Settle) if fills(ReadModel::Timelines) => {
                if !self.rebuilder.projectors.0.celebrities.are_pushed(&followee).await? {
                    return Ok(true);
                }
                let done = self.fill_home(projector, place, &followee, &follower).await?;
                self.segment.done.follows += u64::from(done);
                Ok(done)
            }
            (RebuildItem::Tally(_) | RebuildItem::Follow(..) | RebuildItem::Like(..), _) => Ok(true),
        }
    }

    /// Applies the user's log to its end, past the events that can never be applied. False if the time does not
    /// suffice. A user whose log makes no sense is left to the work queue, where the failure is dealt with as any
    /// other.
    async fn apply_log(&mut self, projector: &Projector, user: &UserId) -> Result<bool, Error> {
        let quarantine = &self.rebuilder.quarantine;
        let applied = catch_up_or_quarantine(&projector.catch_up, quarantine, user, self.deadline);
        match self.deadline.limit(applied).await {
            Ok(None) => self.segment.done.users += 1,
            Ok(Some(_)) => return Ok(false),
            Err(error @ Error::Poison { .. }) => {
                tracing::error!(%user, %error, "the log of a user cannot be applied");
                projector.work_queue.send(vec![Task::CatchUp { user: user.clone() }]).await?;
                self.segment.done.users_left += 1;
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Applies the user's log to the set that is read, if that is not the target. False if the time does not suffice.
    /// A log that makes no sense is passed over: the tables that are read may be why there is a rebuild.
    async fn apply_log_to_active(&self, user: &UserId) -> Result<bool, Error> {
        let active = Maintained { set: self.state.active, homes: HomeRows::Now };
        if active.set == self.rebuild.target {
            return Ok(true);
        }
        let Rebuilder { projectors, quarantine } = self.rebuilder;
        let projector = projectors.projector(active, self.state);
        let applied = catch_up_or_quarantine(&projector.catch_up, quarantine, user, self.deadline);
        match self.deadline.limit(applied).await {
            Ok(wait) => Ok(wait.is_none()),
            Err(error @ Error::Poison { .. }) => {
                tracing::error!(%user, %error, "the log of a user cannot be applied to the tables that are read");
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// If homes stay as they are, walks of the set that is read may still be copying posts into them. Readers make up
    /// for these walks, and have to do so after the switch, too. So the viewer item of the target gets the unfinished
    /// backfills of the one that is read, and each of them gets a walk that ends it there.
    async fn take_over_backfills(&self, projector: &Projector, user: &UserId) -> Result<(), Error> {
        let Rebuild { target, .. } = *self.rebuild;
        if target == self.state.active {
            return Ok(());
        }
        let active = self.state.active.table(ReadModel::Viewers);
        let active = self.rebuilder.projectors.0.tables.viewers(active);
        let read = self.deadline.limit(active.get(user, Consistency::Strong)).await?;
        let unfinished = read.viewer.unfinished.backfills;
        if unfinished.is_empty() {
            return Ok(());
        }
        // The walks are sent first, so that none is missing. They end after ten seconds at the earliest.
        let walk = |(author, version): (&UserId, &Version)| {
            let (viewer, author, version) = (user.clone(), author.clone(), *version);
            Walk::Backfill { viewer, author, version, at: BackfillAt::Start }.into()
        };
        projector.work_queue.send(unfinished.iter().map(walk).collect()).await?;
        let viewers = &projector.walks.viewers;
        let taken_over = until_no_conflict(async || {
            let before = viewers.get(user, Consistency::Strong).await?;
            let mut viewer = before.viewer.clone();
            for (author, version) in unfinished.iter().filter(|(author, _)| before.viewer.follows(author)) {
                viewer.unfinished.backfills.entry(author.clone()).or_insert(*version);
            }
            if viewer == before.viewer {
                return Ok(());
            }
            viewers.put(user, &before, viewer).await.map(drop)
        });
        self.deadline.limit(taken_over).await
    }

    /// Shows a counter. One without a card, or one that makes no sense on a card or in the search index, is left to
    /// the work queue, where the failure is dealt with as any other.
    async fn show_tally(&mut self, projector: &Projector, change: TallyChange) -> Result<(), Error> {
        let is_shown = match self.show_on_card(projector, &change).await {
            Err(error @ Error::Poison { .. }) => {
                tracing::error!(subject = ?change.subject, %error, "a counter cannot be shown");
                false
            }
            shown => shown?,
        };
        if !is_shown {
            let task = Task::SettleTally { subject: change.subject, shards: vec![change.shard] };
            projector.work_queue.send(vec![task]).await?;
        }
        self.segment.done.tallies += 1;
        Ok(())
    }

    /// Shows a counter on its card, and by it the user's place in the search index. False if there is no card.
    async fn show_on_card(&self, projector: &Projector, change: &TallyChange) -> Result<bool, Error> {
        let Dependencies { tables, clock, .. } = &self.rebuilder.projectors.0;
        let cards = tables.cards(self.rebuild.target.table(ReadModel::Cards));
        let shown = tally::show(cards, &change.subject, std::slice::from_ref(change));
        let CounterShown::OnCard { may_trend } = self.deadline.limit(shown).await? else { return Ok(false) };
        self.deadline.limit(projector.indexer.check_place(&change.subject)).await?;
        if may_trend {
            merge_soon(cards, &projector.work_queue, clock.now()).await?;
        }
        Ok(true)
    }

    /// Shows likes, if this is the time to do so. One that makes no sense is left to the work queue.
    async fn show_likes(&mut self, projector: &Projector, likes: &[(UserId, PostId)]) -> Result<(), Error> {
        if self.rebuild.phase != Phase::Fill || !self.rebuild.models.contains(&ReadModel::Timelines) {
            return Ok(());
        }
        let show = async |(user, post): &(UserId, PostId)| {
            let shown = projector.repair.settle_likes(*post, std::slice::from_ref(user)).await;
            match shown {
                Err(error @ Error::Poison { .. }) => {
                    tracing::error!(%user, %post, %error, "a like cannot be shown");
                    projector.work_queue.send(Task::settle_likes(*post, [user.clone()])).await
                }
                shown => shown,
            }
        };
        let shown = stream::iter(likes).map(show).buffer_unordered(LIKES_TOGETHER).try_collect::<()>();
        self.deadline.limit(shown).await?;
        self.segment.done.likes += likes.len() as u64;
        Ok(())
    }

    /// Copies the author's posts of the last 30 days into a home. False if the time does not suffice. If a row makes no
    /// sense, the home of a follower is left to the work queue. What the author's own home lacks, the audit finds.
    async fn fill_home(
        &mut self,
        projector: &Projector,
        place: &ScanKey,
        author: &UserId,
        viewer: &UserId,
    ) -> Result<bool, Error> {
        let error = match self.copy_posts(projector, place, author, viewer).await {
            Err(error @ Error::Poison { .. }) => error,
            copied => return copied,
        };
        tracing::error!(%author, %viewer, %error, "the posts of an author cannot be copied into a home");
        if viewer == author {
            let Dependencies { commands, clock, .. } = &self.rebuilder.projectors.0;
            commands.request_sweep(clock.now()).await?;
        } else {
            // Nothing is unfinished in the viewer item, so the version of the follow does not matter.
            let (viewer, author, version) = (viewer.clone(), author.clone(), Version::ZERO);
            let walk = Walk::Backfill { viewer, author, version, at: BackfillAt::Start };
            projector.work_queue.send(vec![walk.into()]).await?;
        }
        Ok(true)
    }

    /// Copies the author's posts of the last 30 days into a home. False if the time does not suffice.
    async fn copy_posts(
        &mut self,
        projector: &Projector,
        place: &ScanKey,
        author: &UserId,
        viewer: &UserId,
    ) -> Result<bool, Error> {
        let began: Option<PostId> =
            self.segment.within.as_ref().filter(|(item, _)| item == place).map(|(_, post)| *post);
        let mut range = Range { before: began, since: self.rebuilder.projectors.0.clock.now().before(FEED_AGE_MAX) };
        let (timeline, home) = (Timeline::Author(author.clone()), [Timeline::Home(viewer.clone())]);
        let timelines = &projector.walks.timelines;
        loop {
            let page = self.deadline.limit(timelines.newest(&timeline, range, ROWS, Consistency::Strong)).await?;
            self.deadline.limit(timelines.put_rows(&home, &page.rows)).await?;
            self.segment.done.home_rows += page.rows.len() as u64;
            let Some(last) = page.rows.last().filter(|_| page.more) else { return Ok(true) };
            range.before = Some(last.post);
            self.segment.within = Some((place.clone(), last.post));
            if self.is_over() {
                return Ok(false);
            }
        }
    }
}
