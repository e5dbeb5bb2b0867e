//! What goes wrong, and how often: drawn for each history from its seed, so that some histories are calm and some are
//! not.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use aws_memory::Service;
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use tidings::model::CLOCK_DIFFERENCE_MAX;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A call of a service is refused because of its rate.
    Throttled,
    /// A call fails with HTTP 500. It may have had its effect.
    ServerError,
    /// No connection; the call has no effect.
    Refused,
    /// A call has its effect, and the answer never arrives.
    LostAnswer,
    /// A transaction meets another one on an item.
    Conflict,
    /// An eventually consistent read meets a copy that has not seen the last writes.
    StaleRead,
    /// Only a part of a batch is done.
    PartialBatch,
    /// A call takes so long that the caller may give up.
    Slow,
    /// A function's process ends in the middle of an invocation.
    Killed,
    /// An invocation takes longer than the function may.
    TimedOut,
    /// No function runs, because too many do.
    FunctionThrottled,
    /// A function starts in a new process with empty caches.
    ColdStart,
    /// The clocks of processes differ.
    ClockSkew,
    /// Records and messages are delivered twice.
    Duplicates,
    /// Records of different keys, and messages, are delivered out of order.
    Reordering,
    /// A service does not answer for minutes.
    Outage,
    /// All event source mappings begin again with the oldest records.
    Replay,
    /// Received messages become visible again while their worker is still busy with them.
    Expiry,
    /// A message that was received [`MAX_RECEIVES`] times goes to the dead-letter queue. An operator moves it back.
    Redrive,
    /// An event source mapping gives up a batch, after the others went wrong often enough.
    GivenUp,
    /// A stream no longer has the records that a function wants to read again.
    Trimmed,
    /// Something in the read models is damaged, and nothing tells of it.
    Damage,
    /// An event is of a type that only the next release knows, for some minutes.
    NextRelease,
    /// An event makes no sense, until somebody repairs it some minutes later.
    Poison,
    /// Functions of streams and queues have three seconds, whatever the template says.
    ShortTimeouts,
    /// The shared cache cannot be reached.
    CacheDown,
    /// The shared cache answers later than anybody waits.
    CacheSlow,
    /// The shared cache is full, and evicts an entry.
    CacheEvicts,
    /// The shared cache loses everything.
    CacheFlushed,
    /// The shared cache gives back other bytes.
    CacheGarbage,
    /// The shared cache loses a write without a word.
    CacheLosesWrites,
}

/// Every kind of fault.
pub const ALL: [Fault; 31] = [
    Fault::Throttled,
    Fault::ServerError,
    Fault::Refused,
    Fault::LostAnswer,
    Fault::Conflict,
    Fault::StaleRead,
    Fault::PartialBatch,
    Fault::Slow,
    Fault::Killed,
    Fault::TimedOut,
    Fault::FunctionThrottled,
    Fault::ColdStart,
    Fault::ClockSkew,
    Fault::Duplicates,
    Fault::Reordering,
    Fault::Outage,
    Fault::Replay,
    Fault::Expiry,
    Fault::Redrive,
    Fault::GivenUp,
    Fault::Trimmed,
    Fault::Damage,
    Fault::NextRelease,
    Fault::Poison,
    Fault::ShortTimeouts,
    Fault::CacheDown,
    Fault::CacheSlow,
    Fault::CacheEvicts,
    Fault::CacheFlushed,
    Fault::CacheGarbage,
    Fault::CacheLosesWrites,
];

/// How often a message may be received in histories with [`Fault::Redrive`]: as seldom as SQS allows.
pub const MAX_RECEIVES: u32 = 1;
/// The timeout of functions of streams and queues in histories with [`Fault::ShortTimeouts`].
pub const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

/// How far the clock of a process is off at most. Two of them differ by twice as much, which is all that they may.
pub const CLOCK_SKEW_MS_MAX: i64 = 500;
const _: () = assert!(2 * CLOCK_SKEW_MS_MAX.unsigned_abs() as u128 == CLOCK_DIFFERENCE_MAX.as_millis());

/// How often each kind of fault happens.
#[derive(Debug, Clone)]
pub struct Faults {
    /// Of each call: the share that is throttled.
    pub throttled: f64,
    /// That fails with 500.
    pub server_error: f64,
    /// That is refused.
    pub refused: f64,
    /// Whose answer is lost.
    pub lost_answer: f64,
    /// Of each batch: the share that is done in part.
    pub partial_batch: f64,
    /// Of each call: the share that takes seconds.
    pub slow: f64,
    /// How long a transaction holds its items.
    pub transaction_ms_max: u64,
    /// How far behind a copy of DynamoDB may be that eventually consistent reads ask.
    pub stale_ms_max: u64,
    /// How long a call takes before and after its effect.
    pub latency_ms_max: u64,
    /// Of each invocation: the share that is killed.
    pub killed: f64,
    /// That stands still until its time is up.
    pub stuck: f64,
    /// That finds no concurrency left.
    pub function_throttled: f64,
    /// That starts a new process though one is idle.
    pub cold_start: f64,
    /// How far clocks differ.
    pub clock_skew_ms_max: i64,
    /// Whether records and messages are delivered twice.
    pub duplicates: bool,
    /// Whether they are delivered out of order.
    pub reordering: bool,
    /// Whether mappings begin again with the oldest records, once.
    pub replay: bool,
    /// Of each receipt of messages: the share whose visibility timeout ends within two seconds.
    pub expiry: f64,
    /// Whether a message may be received only [`MAX_RECEIVES`] times.
    pub redrive: bool,
    /// Whether functions of streams and queues have only [`SHORT_TIMEOUT`].
    pub short_timeouts: bool,
    /// A service that does not answer for some time.
    pub outage: Option<Outage>,
    /// Of each attempt to read records again: the share that finds them gone.
    pub trimmed: f64,
    /// How many items of the read models are damaged in the end.
    pub damages: u32,
    /// Whether the next release is deployed meanwhile.
    pub next_release: bool,
    /// Whether an event makes no sense for some minutes.
    pub poison: bool,
    /// Whether new likes and follows stand in several partitions, as if very many came at once.
    pub is_spread: bool,
    /// What goes wrong with the shared cache, if there is one.
    pub cache: CacheFaults,
}

/// How often something goes wrong with the cache.
#[derive(Debug, Clone, Copy)]
pub struct CacheFaults {
    /// Of each trip to the server: the share that fails.
    pub down: f64,
    /// That takes longer than anybody waits. It has its effect later.
    pub slow: f64,
    /// After which an entry is evicted.
    pub evicts: f64,
    /// After which everything is gone.
    pub flushed: f64,
    /// After which a byte of an entry is another one.
    pub garbage: f64,
    /// Of each write: the share that has no effect.
    pub loses_writes: f64,
}

impl CacheFaults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self { down: 0.0, slow: 0.0, evicts: 0.0, flushed: 0.0, garbage: 0.0, loses_writes: 0.0 };
}

/// A time in which a service does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// Which. DynamoDB and its streams go together.
    pub service: Service,
    /// Another one that is out at the same time.
    pub other: Option<Service>,
    /// When it begins, after the beginning of the phase.
    pub after: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

impl Faults {
    /// Nothing but a few milliseconds for each call.
    pub fn none() -> Self {
        Self {
            throttled: 0.0,
            server_error: 0.0,
            refused: 0.0,
            lost_answer: 0.0,
            partial_batch: 0.0,
            slow: 0.0,
            transaction_ms_max: 1,
            stale_ms_max: 0,
            latency_ms_max: 5,
            killed: 0.0,
            stuck: 0.0,
            function_throttled: 0.0,
            cold_start: 0.0,
            clock_skew_ms_max: 0,
            duplicates: false,
            reordering: false,
            replay: false,
            expiry: 0.0,
            redrive: false,
            short_timeouts: false,
            outage: None,
            trimmed: 0.0,
            damages: 0,
            next_release: false,
            poison: false,
            is_spread: false,
            cache: CacheFaults::NONE,
        }
    }

    /// Drawn at random, but without the kinds that are left out.
    pub fn draw(random: &mut StdRng, without: &BTreeSet<Fault>) -> Self {
        // A kind is absent in a third of the histories, and its rate differs by an order of magnitude among the
        // others.
        let mut rate = |most: f64| {
            let exponent = random.random_range(-1.0..=0.0);
            let rate = most * 10f64.powf(exponent);
            if random.random_bool(2.0 / 3.0) { rate } else { 0.0 }
        };
        let mut faults = Self {
            throttled: rate(0.04),
            server_error: rate(0.02),
            refused: rate(0.02),
            lost_answer: rate(0.01),
            partial_batch: rate(0.3),
            slow: rate(0.005),
            killed: rate(0.2),
            stuck: rate(0.02),
            function_throttled: rate(0.05),
            cold_start: rate(0.15),
            expiry: rate(0.3),
            ..Self::none()
        };
        faults.transaction_ms_max = *[1, 20, 60].choose(random).unwrap_or(&1);
        faults.latency_ms_max = *[2, 10, 50].choose(random).unwrap_or(&2);
        faults.clock_skew_ms_max = if random.random_bool(0.7) { CLOCK_SKEW_MS_MAX } else { 0 };
        faults.duplicates = random.random_bool(0.6);
        faults.reordering = random.random_bool(0.6);
        faults.replay = random.random_bool(0.1);
        faults.short_timeouts = random.random_bool(0.2);
        if random.random_bool(0.15) {
            let services = [Service::DynamoDb, Service::Kinesis, Service::Sqs];
            faults.outage = Some(Outage {
                service: *services.choose(random).unwrap_or(&Service::DynamoDb),
                // Without DynamoDB, nobody is caught up; without SQS, nobody is handed over.
                other: services.choose(random).copied(),
                after: Duration::from_millis(random.random_range(0..10_000)),
                lasts: Duration::from_secs(*[30, 120, 300, 1500].choose(random).unwrap_or(&30)),
            });
        }
        faults.trimmed = *[0.0, 0.5, 1.0].choose(random).unwrap_or(&0.0);
        faults.damages = if random.random_bool(0.15) { random.random_range(1..=5) } else { 0 };
        faults.next_release = random.random_bool(0.2);
        faults.is_spread = random.random_bool(0.15);
        // In half of the histories with a cache, nothing is wrong with it, so only crashes lose writes.
        if random.random_bool(0.5) {
            let mut rate = |most: f64| if random.random_bool(0.5) { most * random.random::<f64>() } else { 0.0 };
            faults.cache = CacheFaults {
                down: rate(0.3),
                slow: rate(0.1),
                evicts: rate(0.3),
                flushed: rate(0.02),
                garbage: rate(0.3),
                loses_writes: rate(0.2),
            };
        }
        faults.stale_ms_max = *[0, 0, 0, 20, 200, 1000].choose(random).unwrap_or(&0);
        faults.redrive = random.random_bool(0.2);
        // The operator knows where to move messages only if all have been in one queue.
        faults.poison = random.random_bool(0.2) && !faults.redrive;
        without.iter().for_each(|fault| faults.leave_out(*fault));
        faults
    }

    fn leave_out(&mut self, fault: Fault) {
        match fault {
            Fault::Throttled => self.throttled = 0.0,
            Fault::ServerError => self.server_error = 0.0,
            Fault::Refused => self.refused = 0.0,
            Fault::LostAnswer => self.lost_answer = 0.0,
            Fault::Conflict => self.transaction_ms_max = 0,
            Fault::StaleRead => self.stale_ms_max = 0,
            Fault::PartialBatch => self.partial_batch = 0.0,
            Fault::Slow => self.slow = 0.0,
            Fault::TimedOut => self.stuck = 0.0,
            Fault::Killed => self.killed = 0.0,
            Fault::FunctionThrottled => self.function_throttled = 0.0,
            Fault::ColdStart => self.cold_start = 0.0,
            Fault::ClockSkew => self.clock_skew_ms_max = 0,
            Fault::Duplicates => self.duplicates = false,
            Fault::Reordering => self.reordering = false,
            Fault::Outage => self.outage = None,
            Fault::Replay => self.replay = false,
            Fault::Expiry => self.expiry = 0.0,
            Fault::Redrive => self.redrive = false,
            // Nobody causes it by itself.
            Fault::GivenUp => {}
            Fault::Trimmed => self.trimmed = 0.0,
            Fault::Damage => self.damages = 0,
            Fault::NextRelease => self.next_release = false,
            Fault::Poison => self.poison = false,
            Fault::ShortTimeouts => self.short_timeouts = false,
            Fault::CacheDown => self.cache.down = 0.0,
            Fault::CacheSlow => self.cache.slow = 0.0,
            Fault::CacheEvicts => self.cache.evicts = 0.0,
            Fault::CacheFlushed => self.cache.flushed = 0.0,
            Fault::CacheGarbage => self.cache.garbage = 0.0,
            Fault::CacheLosesWrites => self.cache.loses_writes = 0.0,
        }
    }
}

impl Fault {
    /// Whether a write may reach a table and not the shared cache, or only later.
    pub(crate) fn loses_cache_writes(self) -> bool {
        matches!(self, Self::Killed | Self::TimedOut | Self::Slow)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = serde_json::to_value(self).map_err(|_| fmt::Error)?;
        f.write_str(name.as_str().ok_or(fmt::Error)?)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || ALL.map(|fault| fault.to_string()).join(", ");
        ALL.into_iter().find(|fault| fault.to_string() == name).ok_or_else(|| format!("one of {}", known()))
    }
}
