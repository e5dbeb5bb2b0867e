//! What one event source mapping is doing: how much it has in flight, and whether its source is empty.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// A queue counts as empty when a long poll has waited for this long without a message.
pub(super) const LONG_POLL_EMPTY_AFTER: Duration = Duration::from_millis(100);

/// What one mapping is doing. The mapping writes this, and [`super::Sources::status`] reads it.
#[derive(Debug)]
pub(super) struct Activity {
    /// The id of the mapping.
    pub(super) id: String,
    /// The function that the mapping invokes.
    pub(super) function: String,
    /// Whether the mapping knows all shards that can be read now.
    discovered: AtomicBool,
    /// The number of records or messages that were read and are not done.
    in_flight: AtomicUsize,
    /// The number of records or messages read so far. It shows that records came and went between two polls.
    read: AtomicU64,
    readers: Mutex<HashMap<String, Reader>>,
}

/// One reader of the mapping: a stream has one for each shard, a queue has one.
#[derive(Debug, Default)]
struct Reader {
    /// The number of the last poll that found nothing.
    empty_poll: Option<u64>,
    /// When the open long poll began.
    long_poll: Option<Instant>,
}

impl Activity {
    pub(super) fn new(id: &str, function: &str) -> Arc<Self> {
        Arc::new(Self {
            id: id.to_owned(),
            function: function.to_owned(),
            discovered: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            read: AtomicU64::new(0),
            readers: Mutex::new(HashMap::new()),
        })
    }

    pub(super) fn set_discovered(&self, discovered: bool) {
        self.discovered.store(discovered, Ordering::SeqCst);
    }

    /// So many records were read.
    pub(super) fn begin(&self, records: usize) {
        self.read.fetch_add(records as u64, Ordering::SeqCst);
        self.in_flight.fetch_add(records, Ordering::SeqCst);
    }

    /// So many records are done.
    pub(super) fn end(&self, records: usize) {
        self.in_flight.fetch_sub(records, Ordering::SeqCst);
    }

    fn reader(&self, name: &str, change: impl FnOnce(&mut Reader)) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        change(readers.entry(name.to_owned()).or_default());
    }

    pub(super) fn add_reader(&self, name: &str) {
        self.reader(name, |_| ());
    }

    pub(super) fn remove_reader(&self, name: &str) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Reader `name` found nothing. It asked its source after poll number `poll` was requested.
    pub(super) fn set_empty(&self, name: &str, poll: u64) {
        self.reader(name, |reader| *reader = Reader { empty_poll: Some(poll), long_poll: None });
    }

    /// Reader `name` begins a long poll.
    pub(super) fn set_long_poll(&self, name: &str) {
        self.reader(name, |reader| reader.long_poll = Some(Instant::now()));
    }

    /// Reader `name` found something.
    pub(super) fn set_found(&self, name: &str) {
        self.reader(name, |reader| *reader = Reader::default());
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight() > 0
    }

    /// The number of records or messages read so far.
    pub(super) fn read_count(&self) -> u64 {
        self.read.load(Ordering::SeqCst)
    }

    /// Whether every reader found nothing in poll number `poll` or later.
    pub(super) fn found_nothing(&self, poll: u64) -> bool {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        self.discovered.load(Ordering::SeqCst)
            && readers.values().all(|reader| {
                reader.empty_poll.is_some_and(|empty| empty >= poll)
                    || reader.long_poll.is_some_and(|since| since.elapsed() >= LONG_POLL_EMPTY_AFTER)
            })
    }
}
