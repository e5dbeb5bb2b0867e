//! Sends a plan through the API, remembers what was accepted, and judges every feed by it.
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
    model::{Difference, Judge, Member, Model, Remark, Said, Window},
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
    reactions::{Reaction, What},
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
    /// Ids of the posts, by their numbers.
    posts: BTreeMap<usize, String>,
    /// Ids of the comments, by their numbers.
    comments: BTreeMap<usize, String>,
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

    /// Sends a part of the plan; `at_half` is called once, with other commands under way. Returns how long it took.
    pub async fn send(&mut self, commands: Vec<Command>, at_half: impl FnOnce() -> Result<()>) -> Result<Duration> {
        let started = Instant::now();
        let bar = progress_bar("commands", commands.len())?;
        let permits = Arc::new(Semaphore::new(self.concurrency));
        let turns: Vec<_> = self.shared.users.iter().map(|_| Arc::new(AsyncMutex::new(()))).collect();
        let half = commands.len() / 2;
        let mut at_half = Some(at_half);
        let mut sending = JoinSet::new();
        for (place, command) in commands.into_iter().enumerate() {
            // Taken here and not in the task, so that a user's commands keep their order.
            let turn = Arc::clone(&turns[command.sender()]).lock_owned().await;
            let permit = Arc::clone(&permits).acquire_owned().await?;
            let shared = Arc::clone(&self.shared);
            sending.spawn(async move {
                let sample = shared.send(command).await;
                drop((turn, permit));
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
        let judge = Judge::new(&model);
        let bar = progress_bar("homes", self.shared.users.len())?;
        let compare = async |user: &User| {
            let shown = persist(PATIENCE, |_| {}, || user.walk_home(100)).await?;
            bar.inc(1);
            Ok::<_, ApiError>((shown.len(), judge.compare_home(&user.id, &shown)))
        };
        let results: Vec<_> =
            stream::iter(&self.shared.users).map(compare).buffered(self.concurrency).try_collect().await?;
        bar.finish();
        let seen = results.iter().map(|(seen, _)| seen).sum();
        Ok((seen, results.into_iter().flat_map(|(_, differences)| differences).collect()))
    }

    /// Compares the feeds of all tags and the comments on all posts, each seen by the user whose turn it is. Returns how
    /// many tags and comments were seen, and what was wrong.
    pub async fn compare_tags_and_comments(&self) -> Result<(usize, usize, Vec<Difference>)> {
        let model = self.shared.accepted().model.clone();
        let posts: Vec<_> = self.shared.accepted().posts.values().cloned().collect();
        let judge = Judge::new(&model);
        let readers = || self.shared.users.iter().cycle();
        let tags = judge.tags();
        let compare = async |(tag, user): (&String, &User)| {
            let shown = persist(PATIENCE, |_| {}, || user.walk_posts_with(tag, 100)).await?;
            // Others may use the tag, too.
            let ours: Vec<_> = shown.into_iter().filter(|post| model.members.contains_key(&post.author.id)).collect();
            Ok::<_, ApiError>(judge.compare_tag(&user.id, tag, &ours))
        };
        let pairs = stream::iter(tags.iter().zip(readers()));
        let mut found: Vec<_> = pairs.map(compare).buffered(self.concurrency).try_collect().await?;
        let compare = async |(post, user): (&String, &User)| {
            let shown = persist(PATIENCE, |_| {}, || user.walk_comments(post, "oldest", 100)).await?;
            Ok::<_, ApiError>((shown.len(), judge.compare_comments(&user.id, post, &shown)))
        };
        let pairs = stream::iter(posts.iter().zip(readers()));
        let comments: Vec<_> = pairs.map(compare).buffered(self.concurrency).try_collect().await?;
        let seen = comments.iter().map(|(seen, _)| seen).sum();
        found.extend(comments.into_iter().map(|(_, differences)| differences));
        Ok((tags.len(), seen, found.concat()))
    }

    /// Compares what trends with brute force over all likes and comments. Call it at rest. Returns how many posts were
    /// seen, and what was wrong.
    pub async fn compare_trending(&self) -> Result<(usize, Vec<Difference>)> {
        // What a process has read trends for two seconds.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let model = self.shared.accepted().model.clone();
        let Some(user) = self.shared.users.first() else { return Ok((0, Vec::new())) };
        let asked = Window::open();
        let shown = persist(PATIENCE, |_| {}, || user.walk_trending(100)).await?;
        let differences = Judge::new(&model).compare_trending(&user.id, &shown, asked.closed());
        Ok((shown.len(), differences))
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
    async fn send(&self, command: Command) -> Result<Option<Sample>, ApiError> {
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
            Command::React(reaction) => self.react(sender, reaction).await.map(|()| None),
            Command::Post { number, draft } => {
                let key = format!("replay-{number}");
                let post = persist(PATIENCE, retried, || sender.post(&draft.text, Some(&key))).await?.value;
                let arrived = Instant::now();
                let mut accepted = self.accepted();
                let member = accepted.model.members.entry(sender.id.clone()).or_default();
                member.posts.insert(post.id.clone(), Said::new(&draft.text));
                accepted.posts.insert(number, post.id.clone());
                if !number.is_multiple_of(self.sample_every) {
                    return Ok(None);
                }
                // An author without followers reads the post at home, too.
                let reader = accepted.followers[draft.author].choose(&mut rand::rng()).copied().unwrap_or(draft.author);
                Ok(Some(Sample { reader, post: post.id, accepted: arrived }))
            }
        }
    }
}

impl Shared {
    /// Sends a reaction until it is accepted, and enters it into the model.
    async fn react(&self, sender: &User, reaction: Reaction) -> Result<(), ApiError> {
        let retried = |error: &ApiError| *self.accepted().retries.entry(kind(error)).or_default() += 1;
        let post = self.id_of(reaction.post).await;
        let at = Window::open();
        match reaction.what {
            What::Like => {
                persist(PATIENCE, retried, || sender.like(&post)).await?;
                let at = at.closed();
                self.enter(sender, |member| _ = member.likes.entry(post).or_insert(at));
            }
            What::Unlike => {
                persist(PATIENCE, retried, || sender.unlike(&post)).await?;
                self.enter(sender, |member| _ = member.likes.remove(&post));
            }
            What::Comment { number, text } => {
                let key = format!("replay-comment-{number}");
                let comment = persist(PATIENCE, retried, || sender.comment(&post, &text, Some(&key))).await?.value.id;
                let remark = Remark { post, text, at: at.closed() };
                self.accepted().comments.insert(number, comment.clone());
                self.enter(sender, |member| _ = member.comments.insert(comment, remark));
            }
            What::DeleteComment { number } => {
                // The same user sent it before, one after the other.
                let comment = self.accepted().comments.get(&number).cloned().unwrap_or_default();
                persist(PATIENCE, retried, || sender.delete_comment(&post, &comment)).await?;
                self.enter(sender, |member| _ = member.comments.remove(&comment));
            }
            What::Edit { text } => {
                let edited = persist(PATIENCE, retried, || sender.edit_post(&post, &text)).await?.value;
                let said = Said { text, version: edited.version };
                self.enter(sender, |member| _ = member.posts.insert(post, said));
            }
        }
        Ok(())
    }

    fn enter(&self, user: &User, change: impl FnOnce(&mut Member)) {
        change(self.accepted().model.members.entry(user.id.clone()).or_default());
    }

    /// The id of the post with this number, once it was accepted; it was sent before.
    async fn id_of(&self, post: usize) -> String {
        loop {
            if let Some(id) = self.accepted().posts.get(&post) {
                return id.clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
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
