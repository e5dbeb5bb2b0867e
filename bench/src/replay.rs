//! Sends a plan through the API, records in a reference model what was accepted, and compares every feed with the
//! model.
//!
//! Commands that depend on each other are sent in order ([`crate::locks`]), all others at the same time. A command
//! without an answer is sent again until it has one (posts with their idempotency key). So the model is exact even when
//! processes are killed.

mod compare;
mod send;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use harness::{
    client::{ApiError, ProfileInput, User},
    model::{Difference, Member, Model},
};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use self::send::Sample;
use crate::{command::Command, lag::time_to_home, locks::Locks, target::progress_bar};

/// A replay in progress.
#[derive(Debug)]
pub struct Replay {
    shared: Arc<Shared>,
    concurrency: usize,
    samples: JoinSet<Result<Option<Duration>, ApiError>>,
}

#[derive(Debug)]
struct Shared {
    users: Vec<User>,
    sample_every: usize,
    fickle: Fickle,
    accepted: Mutex<Accepted>,
    over: AtomicBool,
}

/// What the plan reverses later, maybe before anybody saw it. No lag is measured with these.
#[derive(Debug, Default)]
struct Fickle {
    /// The numbers of follower and followee.
    follows: BTreeSet<(usize, usize)>,
    /// The numbers of posts.
    posts: BTreeSet<usize>,
}

#[derive(Debug, Default)]
struct Accepted {
    model: Model,
    /// For each followee's number, the numbers of the users who are known to follow for good.
    followers: Vec<Vec<usize>>,
    /// The posts by their numbers.
    posts: BTreeMap<usize, Posted>,
    /// The ids of the comments by their numbers.
    comments: BTreeMap<usize, String>,
    /// The errors after which a command was sent again, and how often.
    retries: BTreeMap<String, u64>,
    /// How many commands were refused, as the model requires.
    refused: u64,
    /// Answers that differ from the model.
    differences: Vec<Difference>,
}

/// A post that was accepted. It may be deleted by now.
#[derive(Debug, Clone)]
struct Posted {
    id: String,
    author: String,
}

/// The lags of sampled posts.
#[derive(Debug)]
pub struct Lags {
    /// The lags of the posts that arrived.
    pub times: Vec<Duration>,
    /// How many posts never arrived.
    pub lost: usize,
}

impl Replay {
    /// A replay of `plan` by `users`, who have profiles and nothing else. It measures the lag of every `sample_every`th
    /// post.
    pub fn new(users: Vec<(User, ProfileInput)>, plan: &[Command], concurrency: usize, sample_every: usize) -> Self {
        let followers = vec![Vec::new(); users.len()];
        let mut model = Model::default();
        for (user, profile) in &users {
            model.members.insert(user.id.clone(), Member { profile: Some(profile.clone()), ..Member::default() });
        }
        let accepted = Mutex::new(Accepted { model, followers, ..Accepted::default() });
        let users = users.into_iter().map(|(user, _)| user).collect();
        let fickle = Fickle::of(plan);
        let shared = Arc::new(Shared { users, sample_every, fickle, accepted, over: AtomicBool::new(false) });
        Self { shared, concurrency, samples: JoinSet::new() }
    }

    /// Sends a part of the plan. Calls `at_half` once, while commands are in progress. Returns how long it took.
    pub async fn send(&mut self, commands: Vec<Command>, at_half: impl FnOnce() -> Result<()>) -> Result<Duration> {
        let started = Instant::now();
        let bar = progress_bar("commands", commands.len())?;
        let permits = Arc::new(Semaphore::new(self.concurrency));
        let mut locks = Locks::new(self.shared.users.len());
        let half = commands.len() / 2;
        let mut at_half = Some(at_half);
        let mut sending = JoinSet::new();
        for (place, command) in commands.into_iter().enumerate() {
            // The locks are taken here and not in the task, so that they are taken in the order of the plan.
            let held = locks.acquire(&command).await;
            let permit = Arc::clone(&permits).acquire_owned().await?;
            let shared = Arc::clone(&self.shared);
            sending.spawn(async move {
                let sample = shared.send(command).await;
                drop((held, permit));
                sample
            });
            if place == half
                && let Some(at_half) = at_half.take()
            {
                tokio::task::block_in_place(at_half)?;
            }
            while let Some(sent) = sending.try_join_next() {
                self.sample(sent??);
                bar.inc(1);
            }
        }
        while let Some(sent) = sending.join_next().await {
            self.sample(sent??);
            bar.inc(1);
        }
        bar.finish();
        Ok(started.elapsed())
    }

    fn sample(&mut self, sample: Option<Sample>) {
        if let Some(Sample { reader, post, accepted }) = sample {
            let shared = Arc::clone(&self.shared);
            let reader = shared.users[reader].clone();
            self.samples.spawn(async move { time_to_home(&reader, &post, accepted, &shared.over).await });
        }
    }

    /// Ends the measurements. Call this at rest, when a missing post will never arrive.
    pub async fn lags(&mut self) -> Result<Lags> {
        self.shared.over.store(true, Ordering::Relaxed);
        let mut lags = Lags { times: Vec::new(), lost: 0 };
        while let Some(sample) = self.samples.join_next().await {
            match sample?? {
                Some(time) => lags.times.push(time),
                None => lags.lost += 1,
            }
        }
        Ok(lags)
    }

    /// How many timeline rows the model shows. The table also keeps rows of unfollowed authors and deleted posts.
    pub fn timeline_rows(&self) -> u64 {
        self.shared.accepted().model.timeline_rows()
    }

    /// The errors after which a command was sent again, and how often.
    pub fn retries(&self) -> BTreeMap<String, u64> {
        self.shared.accepted().retries.clone()
    }

    /// How many commands were refused as the model requires, and which answers differ from the model.
    pub fn refusals(&self) -> (u64, Vec<Difference>) {
        let accepted = self.shared.accepted();
        (accepted.refused, accepted.differences.clone())
    }
}

impl Fickle {
    fn of(plan: &[Command]) -> Self {
        let mut fickle = Self::default();
        for command in plan {
            match *command {
                Command::Follow { follower, followee, on: false } => _ = fickle.follows.insert((follower, followee)),
                Command::Mute { viewer, author, .. } => _ = fickle.follows.insert((viewer, author)),
                Command::Block { blocker, blocked, .. } => {
                    fickle.follows.extend([(blocker, blocked), (blocked, blocker)]);
                }
                Command::Delete { number, .. } => _ = fickle.posts.insert(number),
                Command::Follow { .. } | Command::Post { .. } | Command::React(_) => {}
            }
        }
        fickle
    }
}

impl Shared {
    fn accepted(&self) -> std::sync::MutexGuard<'_, Accepted> {
        // A panic in one of these tasks ends the whole replay.
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
