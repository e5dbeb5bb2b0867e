//! What happens during a scenario, second by second.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;

use super::population::STAR;
use crate::{
    determinism::elapsed,
    limits::{Used, Watch},
};

/// The busiest so many seconds tell how much of a limit is used: at a fraction, single seconds differ much.
const PEAK_SECONDS: usize = 10;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A post.
    Post,
    /// A page of a home feed.
    Read,
    /// A like.
    Like,
    /// A comment.
    Comment,
    /// A follow.
    Follow,
    /// An edit of a post.
    Edit,
    /// A deletion of a post.
    Delete,
}

/// Whose rows are late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// Rows of usual authors in home feeds.
    Rows,
    /// Announcements of the star's posts.
    Announcements,
    /// Rows of the author whom very many begin to follow: there are more of them every second.
    Rising,
}

/// One second.
#[derive(Debug, Clone, Default)]
pub(super) struct Second {
    /// Answered requests.
    pub(super) answered: u64,
    /// Requests that were answered with an error.
    pub(super) failed: u64,
    /// What was throttled.
    pub(super) throttled: u64,
    /// The longest lag of a row that was written.
    pub(super) lag_ms: u64,
    /// Units of DynamoDB that were used: reads and writes.
    pub(super) units: [f64; 2],
    /// Messages in the queue of tasks.
    pub(super) queued: u64,
}

/// A lag: of a post of this second of the scenario.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lag {
    pub(super) second: u64,
    pub(super) ms: u64,
    pub(super) whose: Whose,
}

/// What adds up.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    /// How often each limit refused something.
    pub(super) throttled: BTreeMap<String, u64>,
    /// Invocations of each function, and their GB-seconds.
    pub(super) invocations: BTreeMap<String, (u64, f64)>,
    pub(super) answered: u64,
    pub(super) queue_calls: u64,
    pub(super) answer_bytes: u64,
    /// What the tables and the bus have used since the world began.
    pub(super) used: Option<Used>,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) seconds: Vec<Second>,
    pub(super) times: BTreeMap<Kind, Vec<Duration>>,
    pub(super) errors: BTreeMap<(Kind, u16, String), u64>,
    pub(super) lags: Vec<Lag>,
    /// How far the most belated count was behind, again and again, in milliseconds.
    pub(super) counts_behind_ms: Vec<u64>,
    /// Up to now.
    pub(super) totals: Totals,
    /// Up to the last request. What comes later, nobody waits for.
    pub(super) of_load: Totals,
    /// Most units a second of each table, in [`PEAK_SECONDS`]: reads and writes.
    pub(super) peaks: BTreeMap<String, [f64; 2]>,
    pub(super) bus_peak: [f64; 2],
    /// Whether the scenario has begun.
    running: bool,
    /// The author whom very many begin to follow.
    rising: Option<String>,
    began: Duration,
    began_ms: u64,
    /// What was used up to each of the last seconds.
    recent: VecDeque<Used>,
}

/// Takes note.
#[derive(Default)]
pub(super) struct Recorder(Mutex<Facts>);

impl Recorder {
    /// The scenario begins, in which very many may follow one author. What was before does not count.
    pub(super) fn begin(&self, rising: Option<String>) {
        let mut facts = self.facts();
        *facts = Facts { running: true, rising, began: elapsed(), began_ms: now_ms(), ..Facts::default() };
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was answered.
    pub(super) fn answered(&self, kind: Kind, took: Duration, status: u16, body: &[u8]) {
        let mut facts = self.facts();
        facts.totals.answer_bytes += body.len() as u64;
        facts.totals.answered += 1;
        let second = facts.second();
        second.answered += 1;
        if status >= 400 {
            second.failed += 1;
            let document: Value = serde_json::from_slice(body).unwrap_or_default();
            let code = document["code"].as_str().or_else(|| document["message"].as_str()).unwrap_or_default();
            *facts.errors.entry((kind, status, code.to_owned())).or_default() += 1;
        } else {
            facts.times.entry(kind).or_default().push(took);
        }
    }

    /// The last request was answered. So much has been used by then.
    pub(super) fn load_ends(&self, used: Used) {
        let mut facts = self.facts();
        facts.totals.used = Some(used);
        facts.of_load = facts.totals.clone();
    }

    /// The most belated count is so far behind.
    pub(super) fn behind(&self, by: Duration) {
        self.facts().counts_behind_ms.push(millis(by));
    }

    /// What is used at the end of a second.
    pub(super) fn sample(&self, used: Used, queued: u64) {
        let mut facts = self.facts();
        if !facts.running {
            return;
        }
        let more = |now: &Used, before: &Used| -> Vec<(String, [f64; 2])> {
            let tables = now.tables.iter().zip(&before.tables);
            tables
                .map(|(now, before)| {
                    let units = [now.read_units - before.read_units, now.write_units - before.write_units];
                    (now.name.clone(), units)
                })
                .collect()
        };
        if let Some(last) = facts.recent.back() {
            let mut units = [0.0, 0.0];
            for (_, more) in more(&used, last) {
                units = [units[0] + more[0], units[1] + more[1]];
            }
            let second = facts.second();
            (second.units, second.queued) = (units, queued);
        }
        if facts.recent.len() == PEAK_SECONDS
            && let Some(first) = facts.recent.pop_front()
        {
            #[expect(clippy::cast_precision_loss, reason = "a few seconds, and their records")]
            let (seconds, records) = (PEAK_SECONDS as f64, (used.bus.records - first.bus.records) as f64);
            for (name, more) in more(&used, &first) {
                let peak = facts.peaks.entry(name).or_default();
                *peak = [peak[0].max(more[0] / seconds), peak[1].max(more[1] / seconds)];
            }
            let read = (used.bus.read_bytes - first.bus.read_bytes) / seconds;
            facts.bus_peak = [facts.bus_peak[0].max(records / seconds), facts.bus_peak[1].max(read)];
        }
        facts.recent.push_back(used.clone());
        facts.totals.used = Some(used);
    }
}

impl Totals {
    /// What was added since an earlier moment. What was used is that of the later one.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let throttled = self.throttled.iter().map(|(what, count)| {
            let before = earlier.throttled.get(what).copied().unwrap_or_default();
            (what.clone(), count - before)
        });
        let invocations = self.invocations.iter().map(|(function, (count, gb_seconds))| {
            let (before, gb_seconds_before) = earlier.invocations.get(function).copied().unwrap_or_default();
            (function.clone(), (count - before, gb_seconds - gb_seconds_before))
        });
        Self {
            throttled: throttled.filter(|(_, count)| *count > 0).collect(),
            invocations: invocations.collect(),
            answered: self.answered - earlier.answered,
            queue_calls: self.queue_calls - earlier.queue_calls,
            answer_bytes: self.answer_bytes - earlier.answer_bytes,
            used: self.used.clone(),
        }
    }
}

impl Facts {
    /// The present second.
    fn second(&mut self) -> &mut Second {
        let number = usize::try_from(elapsed().saturating_sub(self.began).as_secs()).unwrap_or(usize::MAX);
        if self.seconds.len() <= number {
            self.seconds.resize(number.saturating_add(1).min(1 << 20), Second::default());
        }
        let last = self.seconds.len().saturating_sub(1);
        &mut self.seconds[number.min(last)]
    }

    /// A row was written: its partition and its sort key.
    fn row(&mut self, partition: &str, sort: &str, author: &str) {
        let whose = match partition {
            "ANNOUNCED" => Whose::Announcements,
            _ if !partition.starts_with("HOME#") || author == STAR => return,
            _ if self.rising.as_deref() == Some(author) => Whose::Rising,
            _ => Whose::Rows,
        };
        let post = sort.rsplit('#').next().unwrap_or_default();
        let Some(created_ms) = created_ms(post).filter(|created| *created >= self.began_ms) else { return };
        let lag = Lag { second: (created_ms - self.began_ms) / 1000, ms: now_ms().saturating_sub(created_ms), whose };
        self.lags.push(lag);
        let second = self.second();
        second.lag_ms = second.lag_ms.max(lag.ms);
    }
}

impl Watch for Recorder {
    fn written(&self, operation: &str, request: &Value) {
        let mut facts = self.facts();
        if !facts.running {
            return;
        }
        let mut row = |item: &Value| {
            let text = |name: &str| item[name]["S"].as_str().unwrap_or_default();
            facts.row(text("PK"), text("SK"), text("author"));
        };
        match operation {
            "PutItem" => row(&request["Item"]),
            "BatchWriteItem" => {
                for entries in request["RequestItems"].as_object().into_iter().flat_map(|tables| tables.values()) {
                    entries.as_array().into_iter().flatten().for_each(|entry| row(&entry["PutRequest"]["Item"]));
                }
            }
            "TransactWriteItems" => {
                let actions = request["TransactItems"].as_array().into_iter().flatten();
                actions.for_each(|action| row(&action["Put"]["Item"]));
            }
            _ => {}
        }
    }

    fn throttled(&self, what: &str) {
        let mut facts = self.facts();
        *facts.totals.throttled.entry(what.trim_start_matches("tidings-").to_owned()).or_default() += 1;
        facts.second().throttled += 1;
    }

    fn invoked(&self, function: &str, took: Duration, memory_mib: u32) {
        let mut facts = self.facts();
        let (count, gb_seconds) = facts.totals.invocations.entry(function.to_owned()).or_default();
        *count += 1;
        // Each millisecond that has begun is paid for.
        *gb_seconds += f64::from(memory_mib) / 1024.0 * (took.as_secs_f64() * 1000.0).ceil() / 1000.0;
    }

    fn queue_called(&self) {
        self.facts().totals.queue_calls += 1;
    }
}

/// When a post was created: the first 48 bits of its UUID of version 7.
fn created_ms(post: &str) -> Option<u64> {
    let uuid = uuid::Uuid::parse_str(post).ok()?;
    u64::try_from(uuid.as_u128() >> 80).ok()
}

fn now_ms() -> u64 {
    u64::try_from(time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
