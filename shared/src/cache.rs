//! Values that a process has read and may use again for a while. A cache is bounded in size and time, and a caller can
//! refuse values that were read before a given moment. A cache keeps only what was found: an absence is read anew every
//! time.

use std::{
    fmt,
    hash::Hash,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;

use crate::model::Timestamp;

/// Values that were read lately, by their keys. Clones share the values. A full cache drops the value that was least
/// recently used.
pub(crate) struct Cache<Key, Value> {
    entries: Arc<Mutex<LruCache<Key, Read<Value>>>>,
    lifetime: Duration,
}

/// A value and the moment at which the read of it began. The value holds everything that was written before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read<Value> {
    /// The value.
    pub(crate) value: Value,
    /// When the read began.
    pub(crate) at: Timestamp,
}

impl<Key: Hash + Eq, Value: Clone> Cache<Key, Value> {
    /// An empty cache for at most `entries_max` values, or for one if that is 0.
    pub(crate) fn new(entries_max: usize, lifetime: Duration) -> Self {
        let capacity = NonZeroUsize::new(entries_max).unwrap_or(NonZeroUsize::MIN);
        // `LruCache::new` would take the memory of all values at once, in every cold start.
        let mut entries = LruCache::unbounded();
        entries.resize(capacity);
        Self { entries: Arc::new(Mutex::new(entries)), lifetime }
    }

    /// The value of the key, if it was read within the lifetime and not before `not_before`.
    pub(crate) fn get(&self, key: &Key, now: Timestamp, not_before: Option<Timestamp>) -> Option<Read<Value>> {
        let mut entries = self.lock();
        let read = entries.get(key)?;
        let fresh = now.since(read.at) < self.lifetime && not_before.is_none_or(|moment| read.at >= moment);
        fresh.then(|| read.clone())
    }

    /// The value of the key as it was read last, however long ago.
    pub(crate) fn last(&self, key: &Key) -> Option<Value> {
        self.lock().get(key).map(|read| read.value.clone())
    }

    /// Keeps a value whose read began at this moment.
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
    fn a_value_is_kept_for_its_lifetime() {
        let cache = Cache::new(10, LIFETIME);
        cache.put("a", 1, at(0));
        assert_eq!(cache.get(&"a", at(4), None), Some(Read { value: 1, at: at(0) }));
        assert_eq!(cache.get(&"a", at(5), None), None);
        assert_eq!((cache.last(&"a"), cache.last(&"b")), (Some(1), None));
        assert_eq!(cache.get(&"b", at(0), None), None);
    }

    #[test]
    fn a_value_read_before_the_given_moment_is_not_returned() {
        let cache = Cache::new(10, LIFETIME);
        cache.put("a", 1, at(1));
        assert!(cache.get(&"a", at(3), Some(at(1))).is_some());
        assert!(cache.get(&"a", at(3), Some(at(2))).is_none());
    }

    #[test]
    fn a_full_cache_drops_the_least_recently_used_value() {
        let cache = Cache::new(2, LIFETIME);
        cache.put("a", 1, at(0));
        cache.put("b", 2, at(0));
        cache.get(&"a", at(0), None);
        cache.put("c", 3, at(0));
        let kept = ["a", "b", "c"].map(|key| cache.get(&key, at(0), None).is_some());
        assert_eq!(kept, [true, false, true]);
    }
}
