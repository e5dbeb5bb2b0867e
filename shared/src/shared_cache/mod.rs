//! The shared cache: a Redis or Valkey server that all processes share, behind what a process keeps itself and in front
//! of the tables of the read models. It is optional, and it may fail: an answer never depends on it, only what the
//! answer costs ([decision 0080](../../../docs/decisions/0080-a-shared-cache-that-may-fail.md)).
//!
//! - **Readers make entries, writers only change them.** A reader that misses takes a lease. It reads the table, and
//!   fills the entry if nothing has changed it meanwhile. So one reader fills, and a fill never overtakes a write.
//! - **Versions decide.** A projection replaces an entry after it has written the table, unless the entry is newer.
//! - **Nothing is older than a minute.** Every entry tells when its table was read. Readers refuse what is too old, and
//!   what their checksums do not confirm.
//! - **A page loses little time.** All calls of a page together wait for 20 ms at most ([`within_page`]). A circuit
//!   breaker spares most pages the attempt while the server is in trouble.
//!
//! | module | content |
//! |---|---|
//! | `entry.rs` | how an entry looks, and which kinds there are |
//! | `server.rs` | the calls that a server answers; [`Memory`] answers them, too |
//! | `scripts.rs` | the calls as Lua scripts, which Redis runs as one step |
//! | `redis.rs`, `address.rs`, `token.rs` | the client, the URL of the server, and authentication with IAM |
//! | `breaker.rs`, `allowance.rs` | when not to ask, and how long to wait |

mod address;
mod allowance;
mod breaker;
mod entry;
mod memory;
mod redis;
mod scripts;
mod server;
mod token;

use std::{fmt, sync::Arc, time::Duration};

pub use address::{Address, InvalidAddress};
pub use allowance::within_page;
use breaker::Breaker;
pub(crate) use entry::{CARD, HOME, Kind, ROWS, TRENDING, VIEWER};
use entry::{Entry, Token};
pub use memory::Memory;
pub use redis::Redis;
use serde::{Serialize, de::DeserializeOwned};
pub use server::{Call, Failure, Reply, Server};
use tokio::time::timeout;

use crate::{
    cache::Read,
    metrics,
    model::{Clock, Timestamp},
};

/// Bytes of an entry at most. The viewer item of somebody who follows 5000 users has some 60 kB.
const ENTRY_BYTES_MAX: usize = 128 * 1024;
/// Bytes that a writer sends at most, because most entries are in no cache. A larger one is forgotten instead, and read
/// again if somebody asks for it.
const REPLACEMENT_BYTES_MAX: usize = 8 * 1024;

/// How long a process waits for its connection when it starts.
const CONNECTING_MAX: Duration = Duration::from_millis(300);

/// The shared cache, or none. Clones share the connection.
#[derive(Clone, Default)]
pub struct SharedCache(Option<Arc<Inner>>);

struct Inner {
    server: Arc<dyn Server>,
    breaker: Breaker,
    clock: Clock,
}

/// What a reader finds of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<T> {
    /// The value.
    Value(Read<T>),
    /// Nothing of use. This reader is the one who fills the entry with what it reads from the table.
    Lease(Lease),
    /// Nothing of use. Somebody else fills the entry, or nobody should.
    Nothing,
}

/// Whether a reader can fill what it does not find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leases {
    /// It can.
    Wanted,
    /// It will read only a part.
    Unwanted,
}

/// The right to fill an entry with what was read from the table after the lease was taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    kind: &'static Kind,
    key: String,
    token: Token,
    /// When the lease was taken.
    at: Timestamp,
    /// Whether an eventually consistent read may be too old.
    pub(crate) reads_strongly: bool,
}

/// A lease that is asked for: the place among the keys, the key, what was seen in place of its token, and whether what
/// stands there is of no use.
type Wanted = (usize, String, Vec<u8>, bool);

impl Lease {
    /// When the lease was taken. What is read from the table with it is not older.
    pub(crate) fn taken_at(&self) -> Timestamp {
        self.at
    }
}

impl SharedCache {
    /// No cache: nothing is found, and nothing is kept.
    pub fn none() -> Self {
        Self(None)
    }

    /// The cache on this server.
    pub fn new(server: Arc<dyn Server>, clock: Clock) -> Self {
        Self(Some(Arc::new(Inner { server, breaker: Breaker::default(), clock })))
    }

    /// Connects to the server, so that the first page need not wait for that. A failure is no error: the first call
    /// tries again.
    pub(crate) async fn connect(&self) {
        if let Some(inner) = &self.0 {
            // Nobody waits for a server that is slow to connect while it starts.
            drop(timeout(CONNECTING_MAX, inner.server.connect()).await);
        }
    }

    /// Whether there is a cache.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What there is of these keys, in their order. A value is refused that was read before `not_before`.
    pub(crate) async fn find<T: DeserializeOwned>(
        &self,
        kind: &'static Kind,
        keys: &[String],
        not_before: Option<Timestamp>,
        leases: Leases,
    ) -> Vec<Found<T>> {
        let nothing = || keys.iter().map(|_| Found::Nothing).collect();
        let Some(inner) = self.0.as_ref().filter(|_| !keys.is_empty()) else { return nothing() };
        let calls = keys.iter().map(|key| Call::Get { key: full(kind, key) }).collect();
        let Some(replies) = inner.send(calls).await else { return nothing() };
        let now = inner.clock.now();
        let (mut found, mut wanted) = (Vec::with_capacity(keys.len()), Vec::new());
        for (at, (key, reply)) in keys.iter().zip(replies).enumerate() {
            let Ok(Reply::Content(content)) = reply else {
                found.push(Found::Nothing);
                continue;
            };
            let key = full(kind, key);
            let entry = content.as_deref().and_then(|content| Entry::parse(&key, content));
            let usable = entry.as_ref().filter(|entry| {
                let is_old = now.since(entry.read_at) >= kind.kept || not_before.is_some_and(|at| entry.read_at < at);
                !is_old
            });
            let value = usable.and_then(|entry| Some((entry, serde_json::from_slice(entry.payload).ok()?)));
            let is_due = value.as_ref().is_none_or(|(entry, _)| entry.is_due(now, kind));
            let is_taken = content.as_deref().is_some_and(|content| entry::is_taken(content, value.is_some()));
            if leases == Leases::Wanted && is_due && !is_taken {
                wanted.push((at, key, entry::seen_token(content.as_deref()), value.is_none()));
            }
            found.push(match value {
                Some((entry, value)) => Found::Value(Read { value, at: entry.read_at }),
                None => Found::Nothing,
            });
        }
        let hits = found.iter().filter(|found| matches!(found, Found::Value(_))).count();
        metrics::SHARED_CACHE_HITS.add(hits);
        metrics::SHARED_CACHE_MISSES.add(keys.len() - hits);
        for (at, lease) in inner.take(kind, wanted).await {
            if let Some(place) = found.get_mut(at) {
                *place = Found::Lease(lease);
            }
        }
        found
    }

    /// Fills entries with what their leases allowed to read, each with its version. An entry that was changed
    /// meanwhile stays as it is.
    pub(crate) async fn fill<T: Serialize>(&self, filled: Vec<(Lease, u64, T)>) {
        let Some(inner) = self.0.as_ref().filter(|_| !filled.is_empty()) else { return };
        let call = |(lease, version, value): (Lease, u64, T)| {
            let Lease { kind, key, token, at, .. } = lease;
            let entry = entry::render(&key, &token, version, at, &value)?;
            Some(Call::Fill { key, token: token.to_string(), entry, kept: kind.kept })
        };
        // What is not filled is read again: nothing is lost by that.
        inner.send(filled.into_iter().filter_map(call).collect()).await;
    }

    /// Replaces the entry of this key, if there is one and it is not newer.
    pub(crate) async fn replace<T: Serialize>(&self, kind: &'static Kind, key: &str, version: u64, value: &T) {
        let Some(inner) = &self.0 else { return };
        let (key, token) = (full(kind, key), Token::new());
        let entry = entry::render(&key, &token, version, inner.clock.now(), value);
        match entry.filter(|entry| entry.len() <= REPLACEMENT_BYTES_MAX) {
            Some(entry) => inner.write(vec![Call::Replace { key, entry, kept: kind.kept, fence: kind.fence }]).await,
            None => inner.write(vec![Call::Forget { key, fence: kind.fence }]).await,
        }
    }

    /// Forgets what there is of these keys, whatever its version. Nobody fills the entries with what was read before.
    pub(crate) async fn forget(&self, kind: &'static Kind, keys: impl IntoIterator<Item = String>) {
        let Some(inner) = &self.0 else { return };
        let call = |key: String| Call::Forget { key: full(kind, &key), fence: kind.fence };
        inner.write(keys.into_iter().map(call).collect()).await;
    }

    /// Forgets what there is of this key, and keeps everybody from filling it for as long as an entry lives: what was
    /// removed from the table has no version any more that could decide.
    pub(crate) async fn block(&self, kind: &'static Kind, key: &str) {
        let Some(inner) = &self.0 else { return };
        inner.write(vec![Call::Block { key: full(kind, key) }]).await;
    }
}

impl Inner {
    /// Takes leases. Returns those that were granted, with the places that they are for.
    async fn take(&self, kind: &'static Kind, wanted: Vec<Wanted>) -> Vec<(usize, Lease)> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let at = self.clock.now();
        let (mut leases, mut calls) = (Vec::new(), Vec::new());
        for (place, key, seen, is_useless) in wanted {
            let token = Token::new();
            calls.push(Call::Take {
                key: key.clone(),
                token: token.to_string(),
                seen,
                at_once: kind.at_once,
                is_useless,
            });
            leases.push((place, Lease { kind, key, token, at, reads_strongly: kind.reads_strongly }));
        }
        let Some(replies) = self.send(calls).await else { return Vec::new() };
        let granted = leases.into_iter().zip(replies).filter_map(|((place, lease), reply)| match reply {
            Ok(Reply::Granted { is_fresh_write }) => {
                let reads_strongly = lease.reads_strongly || is_fresh_write;
                Some((place, Lease { reads_strongly, ..lease }))
            }
            _ => None,
        });
        granted.collect()
    }

    /// Changes entries. What a full server refuses is deleted there, which needs no room.
    async fn write(&self, calls: Vec<Call>) {
        let keys: Vec<_> = calls.iter().map(|call| call.key().to_owned()).collect();
        let count = keys.len();
        let Some(replies) = self.send(calls).await else {
            return metrics::SHARED_CACHE_WRITES_LOST.add(count);
        };
        let refused = keys.into_iter().zip(replies).filter(|(_, reply)| reply.is_err());
        let deletions: Vec<_> = refused.map(|(key, _)| Call::Delete { key }).collect();
        if deletions.is_empty() {
            return;
        }
        let count = deletions.len();
        let deleted = self.send(deletions).await.unwrap_or_default();
        metrics::SHARED_CACHE_WRITES_LOST.add(count - deleted.iter().filter(|reply| reply.is_ok()).count());
    }

    /// Sends the calls at once, and waits for their replies for as long as the page or the writer may. None if the
    /// server is not asked, or does not answer in time.
    async fn send(&self, calls: Vec<Call>) -> Option<Vec<Result<Reply, Failure>>> {
        if calls.is_empty() {
            return Some(Vec::new());
        }
        let mut wait = allowance::begin()?;
        if !self.breaker.admits() {
            return None;
        }
        let count = calls.len();
        let replies = timeout(wait.at_most(), self.server.call(calls)).await;
        wait.end();
        match replies {
            Ok(Ok(replies)) if replies.len() == count => {
                self.breaker.succeeded();
                Some(replies)
            }
            failed => {
                metrics::SHARED_CACHE_FAILURES.add(1);
                if self.breaker.failed() {
                    metrics::SHARED_CACHE_BREAKS.add(1);
                    let why = match failed {
                        Ok(Err(Failure(why))) => why,
                        Ok(Ok(_)) => "it answered some of the calls".to_owned(),
                        Err(_) => "it did not answer in time".to_owned(),
                    };
                    tracing::warn!(why, "the shared cache fails, and is left alone for a while");
                    self.server.reset();
                }
                None
            }
        }
    }
}

/// The name of an entry in the server. Entries of another layout have other names.
fn full(kind: &Kind, key: &str) -> String {
    format!("tidings:1:{}:{key}", kind.name)
}

impl fmt::Debug for SharedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCache").field("is_on", &self.is_on()).finish_non_exhaustive()
    }
}

/// How long an entry lives at most: with a lost write, a reader may find a value that is out of date for so long.
pub const KEPT_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
