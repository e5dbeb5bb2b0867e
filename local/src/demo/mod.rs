//! Made-up users, so that there is something to see: they follow each other, and post, like and comment a few times per
//! second. They use only the public HTTP API, and keep to its rate limits. [`people`] has their names, and [`texts`]
//! what they write.

mod api;
mod people;
mod texts;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, seq::IndexedRandom as _};
use serde::Serialize;
use tokio::{task::JoinHandle, time::Instant};

use api::{Api, Failure, Member};
use people::PEOPLE;

/// The shortest and the longest pause between two actions, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 200..600;
/// How many posts the users know. They like newer posts, and comment on them.
const KNOWN_POSTS_MAX: usize = 60;
/// How long the users wait after an error of the system, for example after somebody has throttled a function.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// How often a user may try to join before the demo goes on without this user.
const JOIN_TRIES: u32 = 5;
/// User `i` follows the users `i + 1`, `i + 2`, and so on.
const FOLLOWS: [usize; 7] = [1, 2, 3, 5, 8, 13, 21];
/// The first users are followed by everybody.
const POPULAR: usize = 3;
/// The most visitors whom the users follow. Each costs a follow of every user.
const VISITORS_MAX: usize = 20;

/// The users of a stack. Clones are the same users.
#[derive(Debug, Clone)]
pub struct Demo {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The URL of the HTTP API.
    url: String,
    running: Mutex<Option<JoinHandle<()>>>,
    /// The ids of people whom the users follow, too. They are never removed while the users are at work.
    visitors: Mutex<Vec<String>>,
    users: AtomicU64,
    actions: AtomicU64,
    failures: AtomicU64,
}

/// What the users have done.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Status {
    running: bool,
    users: u64,
    actions: u64,
    failures: u64,
}

impl Demo {
    /// The users of the stack at this URL. They do nothing until [`Demo::start`].
    pub fn new(url: String) -> Self {
        let (running, visitors) = (Mutex::new(None), Mutex::default());
        let [users, actions, failures] = Default::default();
        Self { inner: Arc::new(Inner { url, running, visitors, users, actions, failures }) }
    }

    fn running(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the users begin, unless they are at work. They follow the user with the id `follow`, too, who has a
    /// profile.
    pub fn start(&self, follow: Option<String>) {
        if let Some(visitor) = follow {
            self.inner.welcome(visitor);
        }
        let mut running = self.running();
        if running.as_ref().is_none_or(JoinHandle::is_finished) {
            *running = Some(tokio::spawn(live(self.inner.clone())));
        }
    }

    /// Lets the users stop.
    pub fn stop(&self) {
        if let Some(running) = self.running().take() {
            running.abort();
        }
        self.inner.visitors().clear();
    }

    /// What the users have done so far.
    pub fn status(&self) -> Status {
        let running = self.running().is_some();
        let [users, actions, failures] =
            [&self.inner.users, &self.inner.actions, &self.inner.failures].map(|count| count.load(Ordering::Relaxed));
        Status { running, users, actions, failures }
    }
}

impl Inner {
    fn visitors(&self) -> MutexGuard<'_, Vec<String>> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the users follow this visitor, once.
    fn welcome(&self, visitor: String) {
        let mut visitors = self.visitors();
        if visitors.len() < VISITORS_MAX && !visitors.contains(&visitor) {
            visitors.push(visitor);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            running.abort();
        }
    }
}

/// What the users know and do.
struct Life {
    inner: Arc<Inner>,
    api: Api,
    members: Vec<Member>,
    /// Newest last.
    posts: VecDeque<String>,
    /// Until when the rate limits let a user of this index do nothing.
    resting: HashMap<usize, Instant>,
}

async fn live(inner: Arc<Inner>) {
    let api = match Api::new(&inner.url) {
        Ok(api) => api,
        Err(error) => return tracing::error!("the demo cannot begin: {error}"),
    };
    inner.users.store(0, Ordering::Relaxed);
    let mut life = Life { inner, api, members: Vec::new(), posts: VecDeque::new(), resting: HashMap::new() };
    let mut joining = 0..PEOPLE.len();
    let mut follows = VecDeque::new();
    let mut welcomed = 0;
    loop {
        // Every user joins before the first follow, because a follow needs both profiles. While the rest joins, the
        // first users are already at work.
        let visitor = life.inner.visitors().get(welcomed).cloned();
        if let Some(index) = joining.next() {
            life.join(index).await;
            if joining.is_empty() {
                follows = life.follows();
            }
        } else if let Some(visitor) = visitor {
            welcomed += 1;
            // Before the other follows, because the visitor looks.
            (0..life.members.len()).for_each(|follower| follows.push_front((follower, visitor.clone())));
        } else if let Some((follower, followed)) = follows.pop_front() {
            let done = life.api.follow(&life.members[follower], &followed).await;
            life.note(follower, done).await;
            if !rand::random_ratio(1, 8) {
                continue;
            }
        } else {
            let pause = rand::rng().random_range(PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        life.act().await;
    }
}

impl Life {
    async fn join(&mut self, index: usize) {
        let (handle, name, language) = PEOPLE[index];
        for _ in 0..JOIN_TRIES {
            match self.api.join(handle, name, language).await {
                Ok(member) => {
                    self.members.push(member);
                    self.inner.users.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                // Somebody else has the handle.
                Err(Failure::Refused) => return,
                Err(failure) => self.rest(failure).await,
            }
        }
    }

    /// Who follows whom: the index of the follower, and the user id of the followed user.
    fn follows(&self) -> VecDeque<(usize, String)> {
        let count = self.members.len();
        let mut follows = VecDeque::new();
        for follower in 0..count {
            let near = FOLLOWS.iter().map(|step| (follower + step) % count);
            let followed = (0..POPULAR.min(count)).chain(near).filter(|followed| *followed != follower);
            let each = |followed: usize| (follower, self.members[followed].id().to_owned());
            follows.extend(followed.map(each));
        }
        follows
    }

    /// One user does one thing.
    async fn act(&mut self) {
        let now = Instant::now();
        self.resting.retain(|_, until| *until > now);
        let awake: Vec<_> = (0..self.members.len()).filter(|index| !self.resting.contains_key(index)).collect();
        let Some(&index) = awake.choose(&mut rand::rng()) else {
            return;
        };
        let member = &self.members[index];
        let known = self.some_post();
        let done = match (rand::random_range(0..100), known) {
            (0..45, Some(post)) => self.api.like(member, &post).await,
            (45..70, Some(post)) => self.api.comment(member, &post, &texts::comment()).await,
            _ => match self.api.post(member, &texts::post(member.language())).await {
                Ok(post) => {
                    self.posts.push_back(post);
                    if self.posts.len() > KNOWN_POSTS_MAX {
                        self.posts.pop_front();
                    }
                    Ok(())
                }
                Err(failure) => Err(failure),
            },
        };
        self.note(index, done).await;
    }

    /// A known post. Newer ones are more likely, and a few posts get most of the attention.
    fn some_post(&self) -> Option<String> {
        let age = rand::random::<f64>() * rand::random::<f64>();
        let back = (age * self.posts.len() as f64) as usize;
        self.posts.iter().rev().nth(back).cloned()
    }

    async fn note(&mut self, index: usize, done: Result<(), Failure>) {
        match done {
            Ok(()) => {
                self.inner.actions.fetch_add(1, Ordering::Relaxed);
            }
            Err(Failure::RateLimited(pause)) => {
                self.resting.insert(index, Instant::now() + pause);
            }
            Err(failure) => self.rest(failure).await,
        }
    }

    async fn rest(&self, failure: Failure) {
        self.inner.failures.fetch_add(1, Ordering::Relaxed);
        tracing::debug!("the demo was refused: {failure}");
        if failure != Failure::Refused {
            tokio::time::sleep(ERROR_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[tokio::test]
    async fn a_visitor_who_comes_while_the_users_are_at_work_is_welcomed_once() {
        let demo = Demo::new("http://127.0.0.1:1".to_owned());
        demo.start(None);
        let first = demo.running().as_ref().unwrap().id();
        demo.start(Some("ada".to_owned()));
        demo.start(Some("ada".to_owned()));
        assert_eq!(demo.running().as_ref().unwrap().id(), first, "the users do not begin anew");
        assert_eq!(*demo.inner.visitors(), ["ada"]);
        (0..VISITORS_MAX * 2).for_each(|number| demo.inner.welcome(number.to_string()));
        assert_eq!(demo.inner.visitors().len(), VISITORS_MAX);
        demo.stop();
        assert!(demo.inner.visitors().is_empty() && !demo.status().running);
    }

    #[test]
    fn names_and_texts_keep_the_limits_of_the_api() {
        let handles: BTreeSet<_> = PEOPLE.iter().map(|(handle, ..)| *handle).collect();
        assert_eq!(handles.len(), PEOPLE.len());
        for (handle, name, language) in PEOPLE {
            let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!((3..=30).contains(&handle.len()) && handle.chars().all(valid), "{handle}");
            assert!((1..=50).contains(&name.chars().count()), "{name}");
            assert!(!texts::post(language).is_empty(), "{language}");
        }
        let posts: BTreeSet<_> =
            PEOPLE.iter().cycle().take(2_000).map(|(.., language)| texts::post(language)).collect();
        assert!(posts.len() > 100, "the texts vary: {}", posts.len());
        assert!(posts.iter().all(|text| text.chars().count() <= 300));
        for script in ['a', 'あ', 'ш', 'م', 'म', '한'] {
            assert!(posts.iter().any(|text| text.contains(script)), "{script}");
        }
        assert!((0..100).all(|_| !texts::comment().is_empty()));
    }
}
