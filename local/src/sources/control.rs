//! How mappings are told to pause, stop or look again, and what they tell of themselves.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

/// What all mappings do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Running,
    Paused,
    Stopped,
}

/// The mappings are to stop; whoever gets this returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopped;

/// A long poll that has been open for this long has found an empty queue.
const LONG_POLL_EMPTY_AFTER: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub(super) struct Control {
    mode: watch::Sender<Mode>,
    /// Counts the calls of [`Control::look_now`].
    look: watch::Sender<u64>,
}

impl Control {
    pub(super) fn new() -> Self {
        Self { mode: watch::Sender::new(Mode::Running), look: watch::Sender::new(0) }
    }

    pub(super) fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    /// Changes the mode. Stopping is for good.
    pub(super) fn set(&self, mode: Mode) {
        self.mode.send_if_modified(|present| {
            let changed = *present != Mode::Stopped && *present != mode;
            if changed {
                *present = mode;
            }
            changed
        });
    }

    /// Has every reader look at its source at once; gives the number of this look.
    pub(super) fn look_now(&self) -> u64 {
        self.look.send_modify(|look| *look += 1);
        self.look()
    }

    /// Number of the latest look that was asked for.
    pub(super) fn look(&self) -> u64 {
        *self.look.borrow()
    }

    /// Waits while paused.
    pub(super) async fn running(&self) -> Result<(), Stopped> {
        let mut mode = self.mode.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let mode = mode.wait_for(|mode| *mode != Mode::Paused).await.map_or(Mode::Stopped, |mode| *mode);
        if mode == Mode::Running { Ok(()) } else { Err(Stopped) }
    }

    /// Waits until everything is to stop.
    pub(super) async fn stopped(&self) {
        let mut mode = self.mode.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _stopped = mode.wait_for(|mode| *mode == Mode::Stopped).await;
    }

    /// Waits for `pause`.
    pub(super) async fn sleep(&self, pause: Duration) -> Result<(), Stopped> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.stopped() => Err(Stopped),
        }
    }

    /// Waits for `pause`, or for a look later than `seen`.
    pub(super) async fn sleep_until_look(&self, pause: Duration, seen: u64) -> Result<(), Stopped> {
        let mut look = self.look.subscribe();
        tokio::select! {
            stopped = self.sleep(pause) => stopped,
            _later = look.wait_for(|look| *look > seen) => Ok(()),
        }
    }
}

/// What one mapping is doing.
#[derive(Debug)]
pub(super) struct SourceState {
    pub(super) id: String,
    pub(super) function: String,
    /// Whether it knows all shards that can be read now.
    discovered: AtomicBool,
    /// Records or messages that were read and are not done with.
    in_flight: AtomicUsize,
    /// Counts records and messages read, so that coming and going between two looks does not stay hidden.
    activity: AtomicU64,
    readers: Mutex<HashMap<String, Reader>>,
}

#[derive(Debug, Default)]
struct Reader {
    /// The latest look that found nothing.
    empty_look: Option<u64>,
    /// Since when a long poll is open.
    long_poll: Option<Instant>,
}

impl SourceState {
    pub(super) fn new(id: &str, function: &str) -> Arc<Self> {
        Arc::new(Self {
            id: id.to_owned(),
            function: function.to_owned(),
            discovered: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            activity: AtomicU64::new(0),
            readers: Mutex::new(HashMap::new()),
        })
    }

    pub(super) fn set_discovered(&self, discovered: bool) {
        self.discovered.store(discovered, Ordering::SeqCst);
    }

    pub(super) fn begin(&self, records: usize) {
        self.activity.fetch_add(records as u64, Ordering::SeqCst);
        self.in_flight.fetch_add(records, Ordering::SeqCst);
    }

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

    /// Reader `name` has found nothing in a fetch that began after look number `look` was asked for.
    pub(super) fn set_empty(&self, name: &str, look: u64) {
        self.reader(name, |reader| *reader = Reader { empty_look: Some(look), long_poll: None });
    }

    /// Reader `name` begins a long poll.
    pub(super) fn set_long_poll(&self, name: &str) {
        self.reader(name, |reader| reader.long_poll = Some(Instant::now()));
    }

    /// Reader `name` has found something.
    pub(super) fn set_found(&self, name: &str) {
        self.reader(name, |reader| *reader = Reader::default());
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) > 0
    }

    pub(super) fn activity(&self) -> u64 {
        self.activity.load(Ordering::SeqCst)
    }

    /// Whether every reader has found nothing in look number `look` or later.
    pub(super) fn found_nothing(&self, look: u64) -> bool {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        self.discovered.load(Ordering::SeqCst)
            && readers.values().all(|reader| {
                reader.empty_look.is_some_and(|empty| empty >= look)
                    || reader.long_poll.is_some_and(|since| since.elapsed() >= LONG_POLL_EMPTY_AFTER)
            })
    }
}
