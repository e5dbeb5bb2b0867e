//! Sends a plan through the API, remembers what was accepted, and judges every home feed by it.
//!
//! Commands of one user are sent one after the other, those of different users at the same time. A command without an
//! answer is sent again until it has one (posts under their idempotency key), so the reference model is exact even when
//! processes are killed meanwhile.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use harness::{
    client::{ApiError, ProfileInput, User},
    model::{Difference, Member, Model},
    wait::persist,
};
use rand::seq::IndexedRandom;
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore},
    task::JoinSet,
    time::Instant,
};

use crate::{
    lag::time_to_home,
    plan::Command,
    target::{PATIENCE, progress_bar},
};

/// A replay under way.
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
    accepted: Mutex<Accepted>,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Accepted {
    model: Model,
    /// By number of the followee: numbers of those who are known to follow.
    followers: Vec<Vec<usize>>,
    posts: usize,
    /// What was answered instead, and how often.
    retries: BTreeMap<String, u64>,
}

/// What measuring the lag of sampled posts gave.
#[derive(Debug)]
pub struct Lags {
    /// Of those that arrived.
    pub times: Vec<Duration>,
    /// How many never did.
    pub lost: usize,
}

impl Replay {
    /// A replay by `users`, who have profiles and nothing else. The lag of every `sample_every`th post is measured.
    pub fn new(users: Vec<(User, ProfileInput)>, concurrency: usize, sample_every: usize) -> Self {
        let followers = vec![Vec::new(); users.len()];
        let mut model = Model::default();
        for (user, profile) in &users {
            model.members.insert(user.id.clone(), Member { profile: Some(profile.clone()), ..Member::default() });
        }
        let accepted = Mutex::new(Accepted { model, followers, ..Accepted::default() });
        let users = users.into_iter().map(|(user, _)| user).collect();
        let shared = Arc::new(Shared { users, sample_every, accepted, over: AtomicBool::new(false) });
        Self { shared, concurrency, samples: JoinSet::new() }
    }

    /// Sends everything; `at_half` is called once, with other commands under way. Returns how long it took.
    pub async fn send(&mut self, commands: Vec<Command>, at_half: impl FnOnce() -> Result<()>) -> Result<Duration> {
        let started = Instant::now();
        let bar = progress_bar("commands", commands.len())?;
        let permits = Arc::new(Semaphore::new(self.concurrency));
        let turns: Vec<_> = self.shared.users.iter().map(|_| Arc::new(AsyncMutex::new(()))).collect();
        let half = commands.len() / 2;
        let mut at_half = Some(at_half);
        let mut sending = JoinSet::new();
        for (number, command) in commands.into_iter().enumerate() {
            // Taken here and not in the task, so that a user's commands keep their order.
            let turn = Arc::clone(&turns[command.sender()]).lock_owned().await;
            let permit = Arc::clone(&permits).acquire_owned().await?;
            let shared = Arc::clone(&self.shared);
            sending.spawn(async move {
                let sample = shared.send(number, command).await;
                drop((turn, permit));
                sample
            });
            if number == half
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

    /// Ends the measurements; call it at rest, when a post that is not there never will be.
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

    /// INV-2: walks every home to its end and compares it. Returns how many posts were seen, and what was wrong.
    pub async fn compare_homes(&self) -> Result<(usize, Vec<Difference>)> {
        let model = self.shared.accepted().model.clone();
        let bar = progress_bar("homes", self.shared.users.len())?;
        let compare = async |user: &User| {
            let shown = persist(PATIENCE, |_| {}, || user.walk_home(100)).await?;
            bar.inc(1);
            Ok::<_, ApiError>((shown.len(), model.compare_home(&user.id, &shown)))
        };
        let results: Vec<_> =
            stream::iter(&self.shared.users).map(compare).buffered(self.concurrency).try_collect().await?;
        bar.finish();
        let seen = results.iter().map(|(seen, _)| seen).sum();
        Ok((seen, results.into_iter().flat_map(|(_, differences)| differences).collect()))
    }

    /// Timeline rows that the accepted commands come to.
    pub fn timeline_rows(&self) -> u64 {
        self.shared.accepted().model.timeline_rows()
    }

    /// What was answered where a command had to be sent again, and how often.
    pub fn retries(&self) -> BTreeMap<String, u64> {
        self.shared.accepted().retries.clone()
    }
}

/// A post to wait for.
struct Sample {
    reader: usize,
    post: String,
    accepted: Instant,
}

impl Shared {
    fn accepted(&self) -> std::sync::MutexGuard<'_, Accepted> {
        // Whoever panics here ends the whole replay.
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one command until it is accepted, and enters it into the model.
    async fn send(&self, number: usize, command: Command) -> Result<Option<Sample>, ApiError> {
        let retried = |error: &ApiError| *self.accepted().retries.entry(kind(error)).or_default() += 1;
        let sender = &self.users[command.sender()];
        match command {
            Command::Follow { follower, followee } => {
                let id = &self.users[followee].id;
                persist(PATIENCE, retried, || sender.follow(id)).await?;
                let mut accepted = self.accepted();
                accepted.model.members.entry(sender.id.clone()).or_default().follows.insert(id.clone());
                accepted.followers[followee].push(follower);
                Ok(None)
            }
            Command::Post(draft) => {
                let key = format!("replay-{number}");
                let post = persist(PATIENCE, retried, || sender.post(&draft.text, Some(&key))).await?.value;
                let arrived = Instant::now();
                let mut accepted = self.accepted();
                let member = accepted.model.members.entry(sender.id.clone()).or_default();
                member.posts.insert(post.id.clone(), draft.text);
                accepted.posts += 1;
                if !accepted.posts.is_multiple_of(self.sample_every) {
                    return Ok(None);
                }
                // An author without followers reads the post at home, too.
                let reader = accepted.followers[draft.author].choose(&mut rand::rng()).copied().unwrap_or(draft.author);
                Ok(Some(Sample { reader, post: post.id, accepted: arrived }))
            }
        }
    }
}

/// A name for an answer that made a command be sent again.
fn kind(error: &ApiError) -> String {
    match error {
        ApiError::Transport { .. } => "no answer".to_owned(),
        ApiError::Status { status, code, .. } => match code {
            Some(code) => format!("{} {code}", status.as_u16()),
            None => status.as_u16().to_string(),
        },
        ApiError::Malformed { .. } => "malformed answer".to_owned(),
    }
}
