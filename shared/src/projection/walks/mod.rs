//! Walks: work of any size, in steps. A message is one step, which reads and writes a bounded number of rows. Whoever
//! has taken it sends the walk with its new position to the work queue. So a kill repeats one step of a walk, and
//! nobody waits longer than for a step. Repeating a step changes nothing.
//!
//! A step that comes twice would make the walk go on twice from there. So every message says which step of which run it
//! is, and of two copies the one that is behind ends ([`RunStep`]).
//!
//! The first step is taken at once if it is small ([`INLINE_ROWS`], and 500 for the push of a post), so most work never
//! becomes a walk.
//!
//! - `audience` pushes a post to the followers of its author.
//! - `backfill` copies an author's posts into the home of a new follower, `unfollowed` removes them again.
//! - `profile` shows an author's profile on the author's posts.
//! - `purge` removes what is left of deleted posts.
//! - `erasure` removes everything of a deleted account.
//! - `dormant` leaves out homes that nobody reads, and completes those whose owners have come back.
//! - `demotion` copies a former celebrity's posts into all homes.
//!
//! While a backfill or the walk of a profile is under way, the viewer item says so ([`Unfinished`]), and readers make
//! up for it. So `applied` waits for no walk.

mod audience;
mod backfill;
mod demotion;
mod dormant;
mod erasure;
mod profile;
mod purge;
mod unfollowed;

use std::{num::NonZeroUsize, time::Duration};

use crate::{
    celebrities::Celebrities,
    error::Error,
    model::{Clock, DormancyPolicy, HomeRows, RunStep, Unfinished, UserId, Version},
    retry::until_no_conflict,
    store::{
        Consistency, cards::Cards, command_table::CommandTable, search::SearchIndex, timelines::Timelines,
        viewers::Viewers,
    },
    stream::{
        walk::Walk,
        work_queue::{Task, WorkQueue},
    },
};

/// Rows of a first step that a catch-up takes itself, at most: 4 calls of BatchWriteItem, which other users wait for.
/// The push of a post has a limit of its own (`audience`).
const INLINE_ROWS: usize = 100;
/// The step from which on the steps of a run are marked as done. Shorter walks, which are most, cost nothing more.
const MARKED_FROM: u64 = 4;
/// How long a walk waits for the viewer's own catch-up before it ends.
const APPLIED_WAIT: Duration = Duration::from_secs(10);

/// Takes steps of walks.
#[derive(Debug, Clone)]
pub struct Walks {
    pub(super) commands: CommandTable,
    pub(super) timelines: Timelines,
    pub(super) viewers: Viewers,
    pub(super) cards: Cards,
    pub(super) celebrities: Celebrities,
    pub(super) work_queue: WorkQueue,
    pub(super) clock: Clock,
    /// How long an erasure waits before it removes items: longer than any function runs.
    pub(super) erasure_delay: Duration,
    /// Rows that one step reads or writes at most.
    pub(super) step_rows: NonZeroUsize,
    /// Which homes pushes leave out.
    pub(super) dormancy: DormancyPolicy,
    /// When posts are put into homes.
    pub(super) homes: HomeRows,
    /// The tables of all sets.
    pub(super) shared: SharedTables,
}

/// The tables of all sets. A walk that ends with a change of the truth does its work on all of them first.
#[derive(Debug, Clone)]
pub(in crate::projection) struct SharedTables {
    pub(super) timelines: Shared<Timelines>,
    pub(super) viewers: Shared<Viewers>,
    pub(super) cards: Shared<Cards>,
    pub(super) search: Shared<SearchIndex>,
}

/// The tables of a model, of all sets.
#[derive(Debug, Clone)]
pub(in crate::projection) struct Shared<T> {
    /// Those that are kept current. Items are put into them.
    pub(super) maintained: Vec<T>,
    /// Those that may have items, but not those that are emptied at present. Items are removed from them.
    pub(super) with_content: Vec<T>,
}

/// A walk waits for this long at most, and then looks again. A delayed message counts as one that waits: after
/// `StaleSeconds`, its age would raise an alarm.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// What comes after a step.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing: the walk has ended.
    Done,
    /// These walks go on at once. There are several if the walk was split into parts, which run in parallel.
    Next(Vec<Walk>),
    /// The walk goes on after this time.
    Later(Duration, Walk),
}

impl Step {
    /// These walks, if there are any.
    fn next(walks: Vec<Walk>) -> Self {
        if walks.is_empty() { Self::Done } else { Self::Next(walks) }
    }
}

/// Whether an effect is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completion {
    /// All of it is in the read models.
    Complete,
    /// A walk does the rest. If readers have to make up for it, the viewer item has to say so.
    Walking,
}

impl Walks {
    /// Takes this step of a run, and sends what comes after it, unless another copy of the run has done so before.
    ///
    /// # Errors
    /// As those of the stores and the queue. The step may be taken again.
    pub async fn advance(&self, walk: Walk, run: RunStep) -> Result<(), Error> {
        let is_marked = run.steps >= MARKED_FROM && !matches!(walk, Walk::Push { .. });
        if is_marked && self.timelines.is_done(run).await? {
            tracing::info!(%run, ?walk, "a step is done already, and the walk goes on elsewhere");
            return Ok(());
        }
        let (delay, walks) = match self.step(walk, self.step_rows.get()).await? {
            Step::Done => return Ok(()),
            Step::Next(walks) => (Duration::ZERO, walks),
            Step::Later(delay, walk) => (delay, vec![walk]),
        };
        let next = run.next(walks.len()).zip(&walks).map(|(run, walk)| match walk {
            // Which followers stand before the part changes whenever somebody follows.
            Walk::FillHomes { after: Some(after), before: None, .. } => run.of_part(after.as_str()),
            _ => run,
        });
        let next: Vec<_> = next.collect();
        self.work_queue.send_steps(delay, walks.into_iter().zip(next).collect()).await?;
        if is_marked && let Err(error) = self.timelines.mark_done(run, self.clock.now()).await {
            // If the step came again, the walk would only go on twice.
            tracing::warn!(%run, %error, "a step of a walk is not marked as done");
        }
        Ok(())
    }

    async fn step(&self, walk: Walk, rows: usize) -> Result<Step, Error> {
        match walk {
            Walk::Audience { post, author, after, found } => self.audience_step(post, author, after, found, rows).await,
            Walk::Push { post, author, viewers } => self.push_step(post, author, viewers).await,
            Walk::Backfill { viewer, author, version, at } => {
                self.backfill_step(viewer, author, version, at, rows).await
            }
            Walk::Unfollowed { viewer, author, before } => self.unfollowed_step(viewer, author, before, rows).await,
            Walk::Profile { user, version, before } => self.profile_step(user, version, before, rows).await,
            Walk::Purge { post, author, after, until } => self.purge_step(post, &author, after, until, rows).await,
            Walk::PurgeLikes { post, author } => self.purge_likes_step(post, author, rows).await,
            Walk::Erase { user, begun_at, at } => self.erasure_step(user, begun_at, at, rows).await,
            Walk::Demotion { author, begun_at, after } => self.demotion_step(author, begun_at, after, rows).await,
            Walk::CompleteHome { viewer, since, at } => self.complete_home_step(viewer, since, at, rows).await,
            Walk::FillHomes { author, begun_at, after, viewers, before } => {
                self.fill_homes_step(author, begun_at, after, viewers, before, rows).await
            }
        }
    }

    async fn send(&self, walks: Vec<Walk>) -> Result<(), Error> {
        self.work_queue.send(walks.into_iter().map(Task::Walk).collect()).await
    }

    /// Whether posts are put into homes as events ask for it. While a rebuild fills tables, they are not: it does so
    /// later, for every follow.
    pub(super) fn fills_homes(&self) -> bool {
        self.homes == HomeRows::Now
    }

    /// Rows of a first step that a catch-up takes itself.
    fn inline_rows(&self) -> usize {
        self.step_rows.get().min(INLINE_ROWS)
    }

    /// The last step of a walk that belongs to an event of this version, in the log of `user`: the viewer item no
    /// longer names the walk. If the event is not applied yet, the step comes again later, as the viewer item will name
    /// the walk.
    async fn end(
        &self,
        user: &UserId,
        version: Version,
        walk: Walk,
        end: impl Fn(&mut Unfinished),
    ) -> Result<Step, Error> {
        let is_applied = self.end_if_applied(user, version, end).await?;
        Ok(if is_applied { Step::Done } else { Step::Later(APPLIED_WAIT, walk) })
    }

    /// Removes a walk from the viewer item. False if the event of this version is not applied yet.
    pub(super) async fn end_if_applied(
        &self,
        user: &UserId,
        version: Version,
        end: impl Fn(&mut Unfinished),
    ) -> Result<bool, Error> {
        let mut is_applied = false;
        until_no_conflict(async || {
            let before = self.viewers.get(user, Consistency::Strong).await?;
            is_applied = before.viewer.applied >= version;
            let mut viewer = before.viewer.clone();
            end(&mut viewer.unfinished);
            if viewer == before.viewer {
                return Ok(());
            }
            self.viewers.put(user, &before, viewer).await.map(drop)
        })
        .await?;
        Ok(is_applied)
    }
}

#[cfg(test)]
mod testing {
    use std::collections::VecDeque;

    use super::*;
    use crate::test_world::World;

    /// The walks in the work queue.
    pub(super) fn take_walks(world: &World) -> Vec<Walk> {
        let walk = |task| match task {
            Task::Walk(walk) => walk,
            other => panic!("{other:?}"),
        };
        // Inboxes that were written a moment ago are of no interest here.
        let tasks = world.take_tasks().into_iter().filter(|task| !matches!(task, Task::Notify { .. }));
        tasks.map(walk).collect()
    }

    /// Takes steps of these walks, and of those that follow from them, until none is left. Returns how many there were.
    pub(super) async fn finish(world: &World, walks: Vec<Walk>) -> usize {
        let (mut open, mut steps) = (VecDeque::from(walks), 0);
        while let Some(walk) = open.pop_front() {
            let walks = &world.tested.projector.walks;
            match walks.step(walk, walks.step_rows.get()).await.unwrap() {
                Step::Done => {}
                Step::Next(next) => open.extend(next),
                Step::Later(_, walk) => open.push_back(walk),
            }
            steps += 1;
            assert!(steps < 10_000, "a walk does not end");
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::World;

    /// The posts that are copied, each in a step of its own.
    const POSTS: usize = 20;

    #[tokio::test(start_paused = true)]
    async fn a_walk_whose_messages_all_come_twice_goes_on_once() {
        let world = World::with_steps_of(1);
        world.other.join(&["ada", "bob"]).await;
        for _ in 0..POSTS {
            world.other.post("bob", "hello").await;
        }
        world.other.catch_up(&["bob"]).await;
        world.other.follow("ada", "bob").await;
        world.other.catch_up(&["ada"]).await;
        let (mut steps, mut most) = (0, 0);
        while !world.other.viewer("ada").await.unfinished.backfills.is_empty() {
            let tasks = world.take_steps();
            assert!(!tasks.is_empty() || world.pass_until_next_task(), "the walk is lost");
            most = most.max(tasks.len());
            for (task, run) in tasks {
                let Task::Walk(walk) = task else { continue };
                let run = run.unwrap_or_else(RunStep::first);
                for _ in 0..2 {
                    world.tested.projector.walks.advance(walk.clone(), run).await.unwrap();
                    steps += 1;
                    assert!(steps < 10_000, "the walk does not end");
                }
            }
        }
        // Before the first mark, every step doubles the messages.
        assert!(most <= 1 << (MARKED_FROM + 1), "{most} messages at once");
        assert!(steps > 2 * (POSTS - 2) && steps < 4 * POSTS + (4 << MARKED_FROM), "{steps} steps");
        assert_eq!(world.other.home("ada").await.len(), POSTS);
    }
}
