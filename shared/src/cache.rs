//! What a process has read and may use again for a while: bounded, and never older than whoever asks can bear. Only
//! what was found is kept; that there was nothing is asked anew each time.

use std::{
    fmt,
    hash::Hash,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;

use crate::model::Timestamp;

/// What was read not long ago, by what it is of. Clones share it. Of more than fit, those that nobody asked for longest
/// are dropped.
pub(crate) struct Cache<Key, Value> {
    entries: Arc<Mutex<LruCache<Key, Read<Value>>>>,
    lifetime: Duration,
}

/// Something with the moment at which reading it began: it holds all that was written before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read<Value> {
    /// What was read.
    pub(crate) value: Value,
    /// When.
    pub(crate) at: Timestamp,
}

impl<Key: Hash + Eq, Value: Clone> Cache<Key, Value> {
    /// An empty one. `entries_max` of 0 counts as 1.
    pub(crate) fn new(entries_max: usize, lifetime: Duration) -> Self {
        let capacity = NonZeroUsize::new(entries_max).unwrap_or(NonZeroUsize::MIN);
        Self { entries: Arc::new(Mutex::new(LruCache::new(capacity))), lifetime }
    }

    /// What was read within the lifetime, and not before `not_before`.
    pub(crate) fn get(&self, key: &Key, now: Timestamp, not_before: Option<Timestamp>) -> Option<Read<Value>> {
        let mut entries = self.lock();
        let read = entries.get(key)?;
        let fresh = now.since(read.at) < self.lifetime && not_before.is_none_or(|moment| read.at >= moment);
        fresh.then(|| read.clone())
    }

    /// Keeps what was read.
    pub(crate) fn put(&self, key: Key, value: Value, at: Timestamp) {
        self.lock().put(key, Read { value, at });
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Key, Read<Value>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Key, Value> Clone for Cache<Key, Value> {
    fn clone(&self) -> Self {
        Self { entries: Arc::clone(&self.entries), lifetime: self.lifetime }
    }
}

impl<Key, Value> fmt::Debug for Cache<Key, Value> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(5);

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_ms(1_000_000 + secs * 1000)
    }

    #[test]
    fn what_is_kept_ends_with_its_lifetime() {
        let cache = Cache::new(10, LIFETIME);
        cache.put("a", 1, at(0));
        assert_eq!(cache.get(&"a", at(4), None), Some(Read { value: 1, at: at(0) }));
        assert_eq!(cache.get(&"a", at(5), None), None);
        assert_eq!(cache.get(&"b", at(0), None), None);
    }

    #[test]
    fn what_is_older_than_asked_for_is_not_given() {
        let cache = Cache::new(10, LIFETIME);
        cache.put("a", 1, at(1));
        assert!(cache.get(&"a", at(3), Some(at(1))).is_some());
        assert!(cache.get(&"a", at(3), Some(at(2))).is_none());
    }

    #[test]
    fn of_too_many_the_one_asked_for_longest_ago_goes() {
        let cache = Cache::new(2, LIFETIME);
        cache.put("a", 1, at(0));
        cache.put("b", 2, at(0));
        cache.get(&"a", at(0), None);
        cache.put("c", 3, at(0));
        let kept = ["a", "b", "c"].map(|key| cache.get(&key, at(0), None).is_some());
        assert_eq!(kept, [true, false, true]);
    }
}
