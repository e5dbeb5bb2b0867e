//! The shared cache of the simulated world: in memory, and unreliable. It takes time, fails, forgets, and gives back
//! other bytes than it was given. It also loses writes without a word. Then, and whenever a projection may have ended
//! between a table and the cache, readers may find old values for a minute; checks that depend on it wait so long. The
//! same holds if it forgets that something was written just now, where reads of tables may be old: a reader then fills
//! the entry with what it was before.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use rand::Rng;
use tidings::shared_cache::{Call, Failure, KEPT_MAX, Memory, Reply, Server};
use tokio::time::{sleep, sleep_until};

use crate::{
    faults::{CacheFaults, Fault},
    network::Network,
};

/// Longest that a call takes, if nothing is wrong.
const LATENCY_MS_MAX: u64 = 2;
/// Longest that a slow call takes.
const SLOW_MS_MAX: u64 = 3_000;
/// Longest that a write may be lost after it was last noticed that writes are lost: as long as a process leaves the
/// cache alone, and as long as a write of a table may be late.
const LATE_MAX: Duration = Duration::from_secs(45);

/// The server.
pub(crate) struct SimulatedCache {
    memory: Arc<Memory>,
    network: Arc<Network>,
}

impl SimulatedCache {
    /// An empty cache.
    pub(crate) fn new(network: Arc<Network>) -> Arc<Self> {
        Arc::new(Self { memory: Arc::default(), network })
    }

    /// Waits until no reader can find a value that a write should have replaced.
    pub(crate) async fn settle(&self) {
        if let Some(doubt) = self.network.cache_doubt() {
            sleep_until(doubt + LATE_MAX + KEPT_MAX).await;
        }
    }

    async fn trip(&self, calls: Vec<Call>) -> Result<Vec<Result<Reply, Failure>>, Failure> {
        let network = &self.network;
        let faults = network.faults().cache;
        let writes = calls.iter().any(Call::is_write);
        let (latency, is_down, is_slow) = network.random(|random| {
            let latency = random.random_range(0..=LATENCY_MS_MAX);
            (latency, random.random_bool(faults.down), random.random_bool(faults.slow))
        });
        sleep(Duration::from_millis(latency)).await;
        if is_down {
            network.count(Fault::CacheDown);
            if writes {
                network.doubt_cache();
            }
            return Err(Failure("no connection".to_owned()));
        }
        if is_slow {
            network.count(Fault::CacheSlow);
            if writes {
                network.doubt_cache();
            }
            // Its caller gives it up, and it arrives all the same.
            let late = Duration::from_millis(network.random(|random| random.random_range(0..SLOW_MS_MAX)));
            let memory = Arc::clone(&self.memory);
            let arriving = tokio::spawn(async move {
                sleep(late).await;
                calls.iter().map(|call| Ok(memory.answer(call))).collect()
            });
            return arriving.await.map_err(|error| Failure(error.to_string()));
        }
        let replies = calls.iter().map(|call| Ok(self.answer(faults, call))).collect();
        self.misbehave(faults);
        Ok(replies)
    }

    fn answer(&self, faults: CacheFaults, call: &Call) -> Reply {
        let network = &self.network;
        if call.is_write() && network.random(|random| random.random_bool(faults.loses_writes)) {
            network.count(Fault::CacheLosesWrites);
            network.doubt_cache();
            return Reply::Done;
        }
        self.memory.answer(call)
    }

    fn misbehave(&self, faults: CacheFaults) {
        let network = &self.network;
        let (evicts, flushed, garbage, at, place, by) = network.random(|random| {
            let happens = [faults.evicts, faults.flushed, faults.garbage].map(|rate| random.random_bool(rate));
            let [evicts, flushed, garbage] = happens;
            (
                evicts,
                flushed,
                garbage,
                random.random::<u32>(),
                random.random_range(0..400),
                random.random_range(1..=255),
            )
        });
        if (flushed || evicts || garbage) && network.faults().stale_ms_max > 0 {
            network.doubt_cache();
        }
        if flushed {
            network.count(Fault::CacheFlushed);
            self.memory.flush();
        }
        if !evicts && !garbage {
            return;
        }
        let keys = self.memory.keys();
        let Some(key) = keys.get(at as usize % keys.len().max(1)) else { return };
        if evicts {
            network.count(Fault::CacheEvicts);
            self.memory.evict(key);
        }
        if garbage {
            network.count(Fault::CacheGarbage);
            self.memory.damage(key, place, by);
        }
    }
}

impl Server for SimulatedCache {
    fn call(&self, calls: Vec<Call>) -> BoxFuture<'_, Result<Vec<Result<Reply, Failure>>, Failure>> {
        self.trip(calls).boxed()
    }

    fn connect(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }

    fn reset(&self) {}
}
