//! What an accepted command costs with everything that follows from it: units of each table, bytes on the bus and in
//! storage, invocations. The functions run in virtual time; nothing is modelled but time. `admin plan` and
//! `docs/costs.md` use the figures, from `admin/units.json`.
//!
//! Commands are sent as often as the load of `admin plan` has them on average, all kinds together, or less: likes 200
//! times a second, all others 50 times. So batches are as small as they are then. Users and posts are many, so little
//! is shared. What a command itself costs is told by its answer (`ShowCosts`), and the rest follows
//! from it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use base64::decoded_len_estimate;
use bytes::Bytes;
use harness::{
    costs::Cost,
    stack::{RATE_LIMITS, UNLIMITED},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_local::sources::Chaos;
use tokio::{
    task::{JoinSet, LocalSet},
    time::sleep,
};

use crate::{
    determinism,
    limits::{Setup as LimitsSetup, Used, Watch},
    trace::Trace,
    world::{MODELS, Setup, World, aws_in_memory},
};

/// Commands of each kind that are measured.
const TIMES: usize = 100;
/// Likes that are measured.
const LIKES: usize = 1000;
/// Time between two commands.
const INTERVAL: Duration = Duration::from_millis(20);
/// Time between two likes. A million posts a day with 20 likes each are 231 likes a second.
const LIKE_INTERVAL: Duration = Duration::from_millis(5);
/// Time between two commands that would conflict otherwise: of one author, or about one author.
const LONG_INTERVAL: Duration = Duration::from_millis(500);
/// Posts that are liked, each by another author. Each one is liked twice while likes are measured, two and a half
/// seconds apart, so that no two likes share a write of a card or of an inbox.
const LIKED_POSTS: usize = LIKES / 2;
/// Users who act.
const ACTORS: usize = LIKED_POSTS;
/// Users who do nothing.
const IDLERS: usize = 50;
/// Followers of the author whose posts are pushed, and how many posts are: enough that reads which no post causes are
/// next to nothing of it.
const FOLLOWERS: usize = 200;
const PUSHED: usize = 50;
/// Posts of the author whom users follow to have them copied, and how many users do.
const COPIED: usize = 30;
const COPIES: usize = 50;
/// Words in a post that is searched for. All differ.
pub const WORDS: usize = 20;
/// What DynamoDB adds to each item that it stores, in bytes (DynamoDB's pricing page, "data storage").
const ITEM_OVERHEAD: usize = 100;
/// Units of a row, and of what statistics and search add, that are taken for chance: batches differ between runs, and a
/// process asks once a minute which tables are read.
const CHANCE_OF_A_ROW: f64 = 0.04;
const CHANCE: f64 = 0.15;
const CHANCE_OF_BYTES: f64 = 10.0;

/// What commands cost, by their kind: `post`, `like`, `comment`, `follow`, `row` (of a post pushed to one more
/// follower) and `copied row` (of one more post of a followed author); with statistics, `statistics …` has what they
/// add; `search post` has what the index adds.
pub type Units = BTreeMap<String, Usage>;

/// What one command costs on average.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Read and write units of the command itself.
    pub command: [f64; 2],
    /// Read units by table, the command's included.
    pub reads: BTreeMap<String, f64>,
    /// Write units by table and index, the command's included.
    pub writes: BTreeMap<String, f64>,
    /// Bytes by table that are kept for good.
    pub bytes: BTreeMap<String, f64>,
    /// Bytes by table that expire.
    pub expiring_bytes: BTreeMap<String, f64>,
    /// Bytes that the bus takes, each record rounded up to a kilobyte.
    pub bus_bytes: f64,
    /// Bytes that consumers read from the bus.
    pub bus_read_bytes: f64,
    /// Invocations by function.
    pub invocations: BTreeMap<String, f64>,
    /// GB-seconds by function, in milliseconds of a gigabyte.
    pub gb_ms: BTreeMap<String, f64>,
}

impl Usage {
    /// What is left of these values after `other` is taken away, divided by `count`.
    fn less(&self, other: &Self, count: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "some hundred")]
        let count = count as f64;
        // These digits are enough, and do not depend on the order of sums.
        let number = |ours: f64, theirs: f64| ((ours - theirs) / count * 1e4).round() / 1e4;
        let map = |ours: &BTreeMap<String, f64>, theirs: &BTreeMap<String, f64>| {
            let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
            let of = |map: &BTreeMap<String, f64>, name: &str| map.get(name).copied().unwrap_or_default();
            let values = names.into_iter().map(|name| (name.clone(), number(of(ours, name), of(theirs, name))));
            values.filter(|(_, value)| *value != 0.0).collect()
        };
        Self {
            command: [0, 1].map(|at| number(self.command[at], other.command[at])),
            reads: map(&self.reads, &other.reads),
            writes: map(&self.writes, &other.writes),
            bytes: map(&self.bytes, &other.bytes),
            expiring_bytes: map(&self.expiring_bytes, &other.expiring_bytes),
            bus_bytes: number(self.bus_bytes, other.bus_bytes),
            bus_read_bytes: number(self.bus_read_bytes, other.bus_read_bytes),
            invocations: map(&self.invocations, &other.invocations),
            gb_ms: map(&self.gb_ms, &other.gb_ms),
        }
    }

    /// What is not taken for chance.
    fn above(mut self, chance: f64) -> Self {
        for units in [&mut self.reads, &mut self.writes] {
            units.retain(|_, value| *value >= chance);
        }
        // A difference below zero is chance, too.
        for values in [&mut self.invocations, &mut self.gb_ms] {
            values.retain(|_, value| *value > 0.0);
        }
        (self.bus_bytes, self.bus_read_bytes) = (self.bus_bytes.max(0.0), self.bus_read_bytes.max(0.0));
        for bytes in [&mut self.bytes, &mut self.expiring_bytes] {
            bytes.retain(|_, value| value.abs() >= CHANCE_OF_BYTES);
        }
        self
    }
}

/// Measures everything. The process has to be new: it can do this once.
///
/// # Errors
/// If a command fails.
pub fn measure() -> anyhow::Result<Units> {
    determinism::enter(1);
    let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        LocalSet::new().block_on(&runtime, async {
            determinism::start_clock();
            measure_all().await
        })
    })?;
    thread.join().map_err(|_| anyhow::anyhow!("the measurement panicked"))?
}

async fn measure_all() -> anyhow::Result<Units> {
    let plain = Bench::start(&[("StatisticsDays", "0"), ("SearchDays", "0")]).await?;
    let mut units = plain.kinds().await?;
    let (post, follow) = (units["post"].clone(), units["follow"].clone());
    units.insert("row".to_owned(), plain.pushed().await?.less(&post, FOLLOWERS).above(CHANCE_OF_A_ROW));
    let words_only = plain.post(|_| words()).await?;
    units.insert("copied row".to_owned(), plain.copied().await?.less(&follow, COPIED).above(CHANCE_OF_A_ROW));
    drop(plain);
    let counted = Bench::start(&[("StatisticsDays", "400"), ("SearchDays", "0")]).await?.kinds().await?;
    let more =
        counted.iter().map(|(kind, usage)| (format!("statistics {kind}"), usage.less(&units[kind], 1).above(CHANCE)));
    let more: Vec<_> = more.collect();
    units.extend(more);
    let indexed = Bench::start(&[("StatisticsDays", "0"), ("SearchDays", "30")]).await?;
    let indexed = indexed.post(|_| words()).await?;
    units.insert("search post".to_owned(), indexed.less(&words_only, 1).above(CHANCE));
    Ok(units)
}

/// A system with some users.
struct Bench {
    world: Arc<World>,
    watch: Arc<Invocations>,
    /// A post of each actor, in their order.
    posts: Vec<String>,
}

impl Bench {
    async fn start(parameters: &[(&str, &str)]) -> anyhow::Result<Self> {
        let watch = Arc::new(Invocations::default());
        let mut all: Vec<(&str, String)> = RATE_LIMITS.iter().map(|name| (*name, UNLIMITED.to_owned())).collect();
        // The audit's own reads are no part of any command.
        all.extend([("ShowCosts", "true".to_owned()), ("AuditUnitsPerHour", "100".to_owned())]);
        all.extend(parameters.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let limits = LimitsSetup {
            limits: aws_limits::Limits::new_account(),
            fraction: 1.0,
            stretch_transactions: false,
            contenders: None,
            watch: Arc::clone(&watch) as _,
        };
        let setup = Setup {
            has_cache: false,
            max_receives: None,
            is_quarantine_watched: false,
            seed: 1,
            parameters: &all,
            chaos: Chaos::default(),
            trace: Trace::off(),
            limits: Some(limits),
            aws: aws_in_memory()?,
        };
        let mut bench = Self { world: World::start(setup).await?, watch, posts: Vec::new() };
        let profile = |user: String| Command {
            body: json!({"handle": user, "display_name": user}),
            path: "/v1/me".to_owned(),
            method: "PUT",
            user,
        };
        bench.send((0..ACTORS).map(|number| profile(actor(number))).collect(), INTERVAL).await?;
        bench.send((0..=IDLERS).map(|number| profile(idle(number))).collect(), INTERVAL).await?;
        let posts = (0..LIKED_POSTS).map(|number| post(actor(number), text(number)));
        let answers = bench.send(posts.collect(), INTERVAL).await?;
        bench.posts = answers.iter().filter_map(|(answer, _)| answer["id"].as_str().map(str::to_owned)).collect();
        anyhow::ensure!(bench.posts.len() == LIKED_POSTS, "a post has no id");
        // As most posts, these are far below what trends.
        let least = i64::MAX.to_string();
        let list = json!({"PK": {"S": "TRENDING"}, "at": {"N": "0"}, "least": {"N": least}, "posts": {"L": []}});
        bench.world.meddle("PutItem", json!({"TableName": "Cards", "Item": list}));
        bench.world.settle().await?;
        Ok(bench)
    }

    /// What each kind of command costs.
    async fn kinds(&self) -> anyhow::Result<Units> {
        let mut units = Units::new();
        units.insert("post".to_owned(), self.post(text).await?);
        // In each round, every post is taken once, by an actor who has not taken it yet. Nobody takes their own.
        let on_another = |number: usize| {
            let (post, round) = (number % LIKED_POSTS, number / LIKED_POSTS);
            (actor((post + round + 1) % ACTORS), &self.posts[post])
        };
        let like = |number: usize| {
            let (user, post) = on_another(number);
            Command { user, method: "PUT", path: format!("/v1/posts/{post}/like"), body: Value::Null }
        };
        // The first like of a post costs the index less.
        self.send((0..LIKED_POSTS).map(like).collect(), LIKE_INTERVAL).await?;
        self.world.settle().await?;
        let likes = self.usage_at(LIKE_INTERVAL, LIKES, |number| like(number + LIKED_POSTS)).await?;
        units.insert("like".to_owned(), likes);
        let comment = |number: usize| {
            let (user, post) = on_another(number);
            let text = "A comment of usual length, which says what somebody thinks.";
            Command { user, method: "POST", path: format!("/v1/posts/{post}/comments"), body: json!({"text": text}) }
        };
        units.insert("comment".to_owned(), self.usage(TIMES, comment).await?);
        let follow = |number: usize| Command {
            user: actor(number % ACTORS),
            method: "PUT",
            path: format!("/v1/users/{}/follow", idle(number % IDLERS)),
            body: Value::Null,
        };
        units.insert("follow".to_owned(), self.usage(TIMES, follow).await?);
        Ok(units)
    }

    async fn post(&self, text: impl Fn(usize) -> String) -> anyhow::Result<Usage> {
        self.usage(TIMES, |number| post(actor(number % ACTORS), text(number))).await
    }

    /// What a post to [`FOLLOWERS`] followers costs.
    async fn pushed(&self) -> anyhow::Result<Usage> {
        // Nobody else follows this user.
        let author = idle(IDLERS);
        let follow = |number: usize| Command {
            user: format!("follower{number}"),
            method: "PUT",
            path: format!("/v1/users/{author}/follow"),
            body: Value::Null,
        };
        let profile = |number: usize| Command {
            user: format!("follower{number}"),
            method: "PUT",
            path: "/v1/me".to_owned(),
            body: json!({"handle": format!("follower{number}"), "display_name": "A follower"}),
        };
        self.send((0..FOLLOWERS).map(profile).collect(), INTERVAL).await?;
        self.send((0..FOLLOWERS).map(follow).collect(), INTERVAL).await?;
        self.world.settle().await?;
        // With the first row, a home begins to say until when it gets rows.
        self.send(vec![post(author.clone(), text(0))], INTERVAL).await?;
        self.world.settle().await?;
        self.usage_at(LONG_INTERVAL, PUSHED, |number| post(author.clone(), text(number))).await
    }

    /// What a follow of an author with [`COPIED`] posts costs.
    async fn copied(&self) -> anyhow::Result<Usage> {
        let author = "follower0".to_owned();
        self.send((0..COPIED).map(|number| post(author.clone(), text(number))).collect(), INTERVAL).await?;
        self.world.settle().await?;
        let follow = |number: usize| Command {
            user: actor(number),
            method: "PUT",
            path: format!("/v1/users/{author}/follow"),
            body: Value::Null,
        };
        self.usage_at(LONG_INTERVAL, COPIES, follow).await
    }

    /// What one of so many commands costs on average, with everything that follows.
    async fn usage(&self, times: usize, command: impl Fn(usize) -> Command) -> anyhow::Result<Usage> {
        self.usage_at(INTERVAL, times, command).await
    }

    async fn usage_at(
        &self,
        interval: Duration,
        times: usize,
        command: impl Fn(usize) -> Command,
    ) -> anyhow::Result<Usage> {
        let before = self.used()?;
        let answers = self.send((0..times).map(command).collect(), interval).await?;
        self.world.settle().await?;
        let mut after = self.used()?;
        for (_, cost) in answers {
            after.command = [after.command[0] + cost.read_units, after.command[1] + cost.write_units];
        }
        Ok(after.less(&before, times))
    }

    /// Sends commands at a steady rate, whether earlier ones were answered or not.
    async fn send(&self, commands: Vec<Command>, interval: Duration) -> anyhow::Result<Vec<(Value, Cost)>> {
        let mut sent = JoinSet::new();
        for (number, command) in commands.into_iter().enumerate() {
            let world = Arc::clone(&self.world);
            sent.spawn_local(async move { command.send(&world).await.map(|answer| (number, answer)) });
            sleep(interval).await;
        }
        let mut answers = sent.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        answers.sort_by_key(|(number, _)| *number);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// What has been used so far.
    fn used(&self) -> anyhow::Result<Usage> {
        let Used { tables, bus, .. } = self.world.network.limits.as_ref().context("the world has no limits")?.used();
        let mut usage = Usage { bus_bytes: bus.billed_bytes, bus_read_bytes: bus.read_bytes, ..Usage::default() };
        for table in tables {
            let name = table.name.trim_start_matches("tidings-").to_owned();
            usage.reads.insert(name.clone(), table.read_units);
            usage.writes.insert(name, table.write_units);
        }
        for table in MODELS.into_iter().chain(["Commands"]) {
            for item in self.world.items(table) {
                let bytes = if item["expires_at"].is_null() { &mut usage.bytes } else { &mut usage.expiring_bytes };
                #[expect(clippy::cast_precision_loss, reason = "an item has 400 kB at most")]
                let size = (size(&item) + ITEM_OVERHEAD) as f64;
                *bytes.entry(table.to_owned()).or_default() += size;
            }
        }
        for (function, (count, gb_ms)) in self.watch.of_all().iter().filter(|(function, _)| *function != "Audit") {
            usage.invocations.insert(function.clone(), *count);
            usage.gb_ms.insert(function.clone(), *gb_ms);
        }
        Ok(usage)
    }
}

/// A request that has to succeed.
struct Command {
    user: String,
    method: &'static str,
    path: String,
    body: Value,
}

impl Command {
    async fn send(self, world: &World) -> anyhow::Result<(Value, Cost)> {
        let Self { user, method, path, body } = self;
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = http::Request::builder().method(method).uri(&path).body(body)?;
        let answer = world.request(&user, request).await;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        anyhow::ensure!(answer.status().is_success(), "{method} {path} of {user}: {} {text}", answer.status());
        let header = answer.headers().get("tidings-cost").context("an answer without its cost")?;
        let cost = Cost::parse(header.to_str()?)?;
        Ok((serde_json::from_str(&text).unwrap_or_default(), cost))
    }
}

fn actor(number: usize) -> String {
    format!("actor{number}")
}

/// A user who does nothing, and has no post.
fn idle(number: usize) -> String {
    format!("idle{number}")
}

fn post(user: String, text: String) -> Command {
    Command { user, method: "POST", path: "/v1/posts".to_owned(), body: json!({ "text": text }) }
}

/// Some 110 characters, as posts have, without a tag.
fn text(number: usize) -> String {
    format!("post {number}, as long as posts are: {}", "word ".repeat(16))
}

/// A text of [`WORDS`] words.
fn words() -> String {
    ('a'..='z').take(WORDS).map(|letter| format!("wo{letter}d")).collect::<Vec<_>>().join(" ")
}

/// Invocations and milliseconds of a gigabyte, by function.
#[derive(Default)]
struct Invocations(Mutex<BTreeMap<String, (f64, f64)>>);

impl Invocations {
    fn of_all(&self) -> MutexGuard<'_, BTreeMap<String, (f64, f64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Invocations {
    fn invoked(&self, function: &str, took: Duration, memory_mib: u32) {
        let mut all = self.of_all();
        let (count, gb_ms) = all.entry(function.to_owned()).or_default();
        *count += 1.0;
        // Each millisecond that has begun is paid for.
        *gb_ms += f64::from(memory_mib) / 1024.0 * (took.as_secs_f64() * 1000.0).ceil();
    }
}

/// The size of an item, or of a value, in bytes (DynamoDB, "item sizes and formats").
fn size(item: &Value) -> usize {
    let members = item.as_object().into_iter().flatten();
    members.map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else { return 0 };
    let text = value.as_str().map_or(0, str::len);
    match kind.as_str() {
        "S" => text,
        // A byte for two digits, and one more.
        "N" => text.div_ceil(2) + 1,
        "B" => decoded_len_estimate(text),
        "M" => 3 + size(value) + value.as_object().map_or(0, serde_json::Map::len),
        "L" => 3 + value.as_array().into_iter().flatten().map(|value| 1 + value_size(value)).sum::<usize>(),
        "SS" => value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::len).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_has_the_size_that_the_guide_says() {
        let item = json!({"PK": {"S": "USER#ada"}, "n": {"N": "1234"}, "b": {"BOOL": true}, "l": {"L": [{"S": "ab"}]}});
        assert_eq!(size(&item), 2 + 8 + 1 + 3 + 1 + 1 + 1 + 3 + 1 + 2);
    }

    #[test]
    fn what_is_less_is_by_command() {
        let usage = |reads: f64| Usage { reads: [("Cards".to_owned(), reads)].into(), ..Usage::default() };
        assert_eq!(usage(30.0).less(&usage(10.0), 10), usage(2.0));
        assert_eq!(usage(1.0).less(&usage(1.0), 10), Usage::default());
    }
}
