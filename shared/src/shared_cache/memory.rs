//! A server in memory, for the simulation and for tests. It answers every call as the scripts do: a test compares the
//! two on a real server.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::time::Instant;

use super::{
    entry::{LEASE, REMEMBERED},
    server::{Call, Failure, Reply, Server},
};

/// The places of an entry's token and version.
const TOKEN: std::ops::Range<usize> = 1..17;
const VERSION: std::ops::Range<usize> = 17..37;

/// Contents by their keys, with the moments at which they expire.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<String, (Vec<u8>, Instant)>>);

impl Memory {
    /// What the server replies to a call, and what the call changes.
    pub fn answer(&self, call: &Call) -> Reply {
        let now = Instant::now();
        let mut contents = self.lock();
        contents.retain(|_, (_, until)| *until > now);
        let content = contents.get(call.key()).map(|(content, _)| content.clone());
        let kind = content.as_ref().map(|content| content.first().copied().unwrap_or_default());
        let token = content.as_deref().map(|content| part(content, TOKEN)).unwrap_or_default();
        let is_at_least = |entry: &[u8]| {
            let known = content.as_deref().map(|content| part(content, VERSION)).unwrap_or_default();
            part(entry, VERSION) >= known
        };
        let mut set =
            |content: Vec<u8>, kept: Duration| drop(contents.insert(call.key().to_owned(), (content, now + kept)));
        match call {
            Call::Get { .. } => return Reply::Content(content),
            Call::Take { token: new, seen, at_once, is_useless, .. } => match kind {
                Some(b'L' | b'B') => {}
                Some(b'V' | b'R') if token != seen.as_slice() => {}
                Some(b'R') if !is_useless => {}
                Some(b'V') if !is_useless => {
                    if let Some((content, _)) = contents.get_mut(call.key()) {
                        content.splice(..content.len().min(TOKEN.end), format!("R{new}").into_bytes());
                    }
                    return Reply::Granted { is_fresh_write: false };
                }
                None if !at_once => set(b"S".to_vec(), REMEMBERED),
                kind => {
                    set(format!("L{new}").into_bytes(), LEASE);
                    return Reply::Granted { is_fresh_write: kind == Some(b'F') };
                }
            },
            Call::Fill { token: own, entry, kept, .. } => {
                let is_refreshed = kind == Some(b'R') && is_at_least(entry);
                if token == own.as_bytes() && (kind == Some(b'L') || is_refreshed) {
                    set(entry.clone(), *kept);
                }
            }
            Call::Replace { entry, kept, fence, .. } => match kind {
                Some(b'B' | b'S') => {}
                Some(b'V' | b'R') if is_at_least(entry) => set(entry.clone(), *kept),
                Some(b'V' | b'R') => {}
                kind => forget(kind, *fence, set),
            },
            Call::Forget { fence, .. } => match kind {
                Some(b'B' | b'S') => {}
                kind => forget(kind, *fence, set),
            },
            Call::Block { .. } => set(b"B".to_vec(), REMEMBERED),
            Call::Delete { .. } => drop(contents.remove(call.key())),
        }
        Reply::Done
    }

    /// The keys of all contents.
    pub fn keys(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Forgets everything, as a server does that starts anew.
    pub fn flush(&self) {
        self.lock().clear();
    }

    /// Forgets this, as a full server does.
    pub fn evict(&self, key: &str) {
        self.lock().remove(key);
    }

    /// Changes a byte of this, if it is that long.
    pub fn damage(&self, key: &str, at: usize, by: u8) {
        if let Some(byte) = self.lock().get_mut(key).and_then(|(content, _)| content.get_mut(at)) {
            *byte ^= by;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Vec<u8>, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As `string.sub` does: less where the content is shorter.
fn part(content: &[u8], range: std::ops::Range<usize>) -> &[u8] {
    content.get(range.start.min(content.len())..range.end.min(content.len())).unwrap_or_default()
}

fn forget(kind: Option<u8>, fence: Option<Duration>, mut set: impl FnMut(Vec<u8>, Duration)) {
    match (fence, kind) {
        (Some(fence), _) => set(b"F".to_vec(), fence),
        (None, Some(_)) => set(b"S".to_vec(), REMEMBERED),
        (None, None) => {}
    }
}

impl Server for Memory {
    fn call(&self, calls: Vec<Call>) -> BoxFuture<'_, Result<Vec<Result<Reply, Failure>>, Failure>> {
        async move { Ok(calls.iter().map(|call| Ok(self.answer(call))).collect()) }.boxed()
    }

    fn connect(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }

    fn reset(&self) {}
}
