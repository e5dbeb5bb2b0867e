//! Sends requests at their rates, whether earlier ones have been answered or not.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use rand::{Rng, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    population::{Population, STAR},
    record::{Kind, Recorder},
    scenario::Scenario,
};
use crate::{
    faults::{Faults, Outage},
    world::{World, name},
};

/// How often it is looked how far counts are behind.
const COUNT_INTERVAL: Duration = Duration::from_millis(200);
/// How long after its post the star edits and deletes it.
const STAR_PAUSE: Duration = Duration::from_secs(8);

/// What was accepted.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    /// The author of each new post, without deleted ones.
    pub(super) posts: BTreeMap<String, String>,
    /// Posts that were deleted.
    pub(super) deleted: BTreeSet<String>,
    /// Who follows the one author since.
    pub(super) new_followers: Vec<String>,
}

/// A count on a card: the post, and the name of the attribute.
type Count = (String, &'static str);

/// Counts of likes and comments, and how far the cards are behind.
#[derive(Debug, Default)]
struct Counts {
    /// Who likes which post.
    likes: BTreeSet<(String, String)>,
    /// What the counts were when the scenario began.
    before: BTreeMap<Count, usize>,
    /// When each like or comment was accepted.
    accepted: BTreeMap<Count, Vec<Instant>>,
    /// Those that cards may not have yet.
    open: BTreeSet<Count>,
}

struct Driver {
    world: Arc<World>,
    recorder: Arc<Recorder>,
    accepted: RefCell<Accepted>,
    /// If the scenario limits how far counts may be behind.
    counts: Option<RefCell<Counts>>,
}

impl Counts {
    /// Those of the tables.
    fn read(world: &World) -> Self {
        let mut counts = Self::default();
        for item in world.items("Commands") {
            let text = |name: &str| item[name]["S"].as_str().unwrap_or_default();
            if let (Some(user), Some(post), Some(true)) =
                (text("PK").strip_prefix("USER#"), text("SK").strip_prefix("LIKES#"), item["liked"]["BOOL"].as_bool())
            {
                counts.likes.insert((user.to_owned(), post.to_owned()));
                *counts.before.entry((post.to_owned(), "likes")).or_default() += 1;
            }
        }
        counts
    }

    /// A like was accepted. Liking a post again changes nothing.
    fn like(&mut self, user: &str, post: &str) {
        if self.likes.insert((user.to_owned(), post.to_owned())) {
            self.add((post.to_owned(), "likes"));
        }
    }

    /// A like or comment was accepted.
    fn add(&mut self, count: Count) {
        self.accepted.entry(count.clone()).or_default().push(Instant::now());
        self.open.insert(count);
    }

    /// A card shows so much. For how long has it lacked something?
    fn show(&mut self, count: &Count, shown: usize) -> Duration {
        let new = shown.saturating_sub(self.before.get(count).copied().unwrap_or_default());
        match self.accepted.get(count).and_then(|accepted| accepted.get(new)) {
            Some(lacking) => lacking.elapsed(),
            None => {
                self.open.remove(count);
                Duration::ZERO
            }
        }
    }
}

/// One request.
struct Sent<'a> {
    kind: Kind,
    user: &'a str,
    method: &'static str,
    path: String,
    body: Value,
}

impl Driver {
    /// Sends a request. None if it failed.
    async fn send(&self, sent: Sent<'_>) -> Option<Value> {
        let Sent { kind, user, method, path, body } = sent;
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = http::Request::builder().method(method).uri(path).body(body).ok()?;
        let begun = Instant::now();
        let answer = self.world.request(user, request).await;
        self.recorder.answered(kind, begun.elapsed(), answer.status().as_u16(), answer.body());
        answer.status().is_success().then(|| serde_json::from_slice(answer.body()).unwrap_or_default())
    }

    async fn post(&self, author: &str, text: &str) -> Option<String> {
        let path = "/v1/posts".to_owned();
        let sent = Sent { kind: Kind::Post, user: author, method: "POST", path, body: json!({ "text": text }) };
        let id = self.send(sent).await?["id"].as_str()?.to_owned();
        self.accepted.borrow_mut().posts.insert(id.clone(), author.to_owned());
        Some(id)
    }

    async fn like(&self, user: &str, post: &str) {
        let path = format!("/v1/posts/{post}/like");
        let sent = Sent { kind: Kind::Like, user, method: "PUT", path, body: Value::Null };
        if self.send(sent).await.is_some()
            && let Some(counts) = &self.counts
        {
            counts.borrow_mut().like(user, post);
        }
    }
}

/// What one stream of requests does each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Post,
    Read,
    Like,
    Comment,
    LikeTheOne,
    CommentOnTheOne,
    FollowTheOne,
}

/// Sends everything. Returns when the last request is answered.
pub(super) async fn drive(
    world: &Arc<World>,
    scenario: &Scenario,
    population: &Population,
    recorder: &Arc<Recorder>,
    random: &mut StdRng,
) -> Accepted {
    let counts = scenario.requires.count_behind_s.map(|_| RefCell::new(Counts::read(world)));
    let (world, recorder) = (Arc::clone(world), Arc::clone(recorder));
    let driver = Rc::new(Driver { world, recorder, accepted: RefCell::default(), counts });
    let (began, ends) = (Instant::now(), Instant::now() + Duration::from_secs(scenario.seconds));
    let mut faults = Faults::none();
    faults.outage = scenario.outage.map(|outage| Outage {
        service: outage.service.service(),
        other: None,
        after: Duration::from_secs(outage.from_second),
        lasts: Duration::from_secs(outage.seconds),
    });
    driver.world.set_faults(faults);
    let users = Rc::new(Users {
        authors: population.authors.iter().filter(|author| *author != STAR).cloned().collect(),
        viewers: population.viewers.clone(),
        crowd: population.crowd.clone(),
        posts: population.posts.clone(),
        next_of_crowd: RefCell::new(0),
    });
    let rates = scenario.rates;
    let mut streams = vec![
        (Does::Post, rates.posts, began),
        (Does::Read, rates.reads, began),
        (Does::Like, rates.likes, began),
        (Does::Comment, rates.comments, began),
    ];
    let special_from = scenario.special.map(|special| began + Duration::from_secs(special.from_second));
    if let (Some(special), Some(from)) = (scenario.special, special_from) {
        streams.extend([
            (Does::Like, special.likes_of_any, from),
            (Does::LikeTheOne, special.likes_of_one, from),
            (Does::CommentOnTheOne, special.comments_on_one, from),
            (Does::FollowTheOne, special.follows_of_one, from),
        ]);
    }
    let mut tasks = JoinSet::new();
    for (does, rate, from) in streams {
        let rate = rate * scenario.fraction;
        if rate > 0.0 {
            let (driver, users) = (Rc::clone(&driver), Rc::clone(&users));
            let random = StdRng::seed_from_u64(random.random());
            tasks.spawn_local(stream(driver, users, does, rate, from, ends, random));
        }
    }
    if scenario.special.is_some_and(|special| special.star_posts)
        && let Some(from) = special_from
    {
        tasks.spawn_local(star(Rc::clone(&driver), from, ends));
    }
    let watch = tokio::task::spawn_local(watch_counts(Rc::clone(&driver)));
    while tasks.join_next().await.is_some() {}
    watch.abort();
    watch.await.ok();
    driver.accepted.take()
}

struct Users {
    authors: Vec<String>,
    viewers: Vec<String>,
    crowd: Vec<String>,
    posts: Vec<String>,
    next_of_crowd: RefCell<usize>,
}

impl Users {
    /// A user who has not done anything yet, as long as there are some.
    fn newcomer(&self) -> Option<&String> {
        let mut next = self.next_of_crowd.borrow_mut();
        *next += 1;
        self.crowd.get(*next - 1)
    }
}

/// One kind of request at its rate: times between two of them are exponential.
async fn stream(
    driver: Rc<Driver>,
    users: Rc<Users>,
    does: Does,
    rate: f64,
    from: Instant,
    ends: Instant,
    mut random: StdRng,
) {
    let mut due = from;
    let mut open = JoinSet::new();
    loop {
        let share: f64 = random.random_range(f64::EPSILON..1.0);
        due += Duration::from_secs_f64(-share.ln() / rate);
        if due >= ends {
            break;
        }
        sleep_until(due).await;
        while open.try_join_next().is_some() {}
        let (driver, users) = (Rc::clone(&driver), Rc::clone(&users));
        let random = StdRng::seed_from_u64(random.random());
        open.spawn_local(async move { once(&driver, &users, does, random).await });
    }
    while open.join_next().await.is_some() {}
}

async fn once(driver: &Driver, users: &Users, does: Does, mut random: StdRng) -> Option<()> {
    let viewer = users.viewers.choose(&mut random)?;
    match does {
        Does::Post => {
            let author = users.authors.choose(&mut random)?;
            let text =
                format!("A new post of usual length, number {}, which says next to nothing.", random.random::<u32>());
            driver.post(author, &text).await?;
        }
        Does::Read => {
            let path = "/v1/feeds/home?limit=20".to_owned();
            driver.send(Sent { kind: Kind::Read, user: viewer, method: "GET", path, body: Value::Null }).await?;
        }
        Does::Like => driver.like(viewer, users.posts.choose(&mut random)?).await,
        Does::LikeTheOne => driver.like(users.newcomer()?, users.posts.first()?).await,
        Does::Comment | Does::CommentOnTheOne => {
            let is_the_one = does == Does::CommentOnTheOne;
            let post = if is_the_one { users.posts.first()? } else { users.posts.choose(&mut random)? };
            let path = format!("/v1/posts/{post}/comments");
            let body = json!({"text": "A comment of usual length."});
            driver.send(Sent { kind: Kind::Comment, user: viewer, method: "POST", path, body }).await?;
            if let Some(counts) = &driver.counts {
                counts.borrow_mut().add((post.clone(), "comments"));
            }
        }
        Does::FollowTheOne => {
            let (user, author) = (users.newcomer()?, users.authors.first()?);
            let path = format!("/v1/users/{author}/follow");
            driver.send(Sent { kind: Kind::Follow, user, method: "PUT", path, body: Value::Null }).await?;
            driver.accepted.borrow_mut().new_followers.push(user.clone());
        }
    }
    Some(())
}

/// The star posts, edits and deletes, again and again. The last post stays.
async fn star(driver: Rc<Driver>, from: Instant, ends: Instant) {
    sleep_until(from).await;
    while Instant::now() + STAR_PAUSE < ends {
        let Some(post) = driver.post(STAR, "A post for millions.").await else {
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        sleep(STAR_PAUSE / 2).await;
        let path = format!("/v1/posts/{post}");
        let body = json!({"text": "A post for millions, edited."});
        driver.send(Sent { kind: Kind::Edit, user: STAR, method: "PATCH", path: path.clone(), body }).await;
        sleep(STAR_PAUSE / 2).await;
        let deleted =
            driver.send(Sent { kind: Kind::Delete, user: STAR, method: "DELETE", path, body: Value::Null }).await;
        if deleted.is_some() {
            let mut accepted = driver.accepted.borrow_mut();
            accepted.posts.remove(&post);
            accepted.deleted.insert(post);
        }
    }
    driver.post(STAR, "The last post for millions.").await;
}

/// How far the counts on cards are behind: for how long the most belated one has lacked a like or comment.
async fn watch_counts(driver: Rc<Driver>) {
    let Some(counts) = &driver.counts else { return };
    loop {
        sleep(COUNT_INTERVAL).await;
        let open = counts.borrow().open.clone();
        let mut behind = Duration::ZERO;
        for count in open {
            let key = json!({"PK": {"S": format!("POST#{}", count.0)}});
            let request = json!({"TableName": name("Cards"), "Key": key});
            let card = driver.world.network.aws.dynamodb("GetItem", &request).json();
            let shown = card["Item"][count.1]["N"].as_str().and_then(|shown| shown.parse().ok()).unwrap_or(0);
            behind = behind.max(counts.borrow_mut().show(&count, shown));
        }
        driver.recorder.behind(behind);
    }
}
