//! Starts, pauses and stops all event source mappings together, and asks them to poll their sources at once.

use std::time::Duration;

use tokio::sync::watch;

/// What all mappings do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Running,
    Paused,
    Stopped,
}

/// The mappings have to stop. A function that gets this value returns as soon as it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopped;

/// The switch that all mappings share. Clones are the same switch.
#[derive(Debug, Clone)]
pub(super) struct Lifecycle {
    mode: watch::Sender<Mode>,
    /// The number of calls of [`Lifecycle::request_poll`].
    polls_requested: watch::Sender<u64>,
}

impl Lifecycle {
    pub(super) fn new() -> Self {
        Self { mode: watch::Sender::new(Mode::Running), polls_requested: watch::Sender::new(0) }
    }

    pub(super) fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    /// Changes the mode. A stopped mapping never runs again.
    pub(super) fn set(&self, mode: Mode) {
        self.mode.send_if_modified(|present| {
            let changed = *present != Mode::Stopped && *present != mode;
            if changed {
                *present = mode;
            }
            changed
        });
    }

    /// Makes every reader poll its source at once. Returns the number of this poll.
    pub(super) fn request_poll(&self) -> u64 {
        self.polls_requested.send_modify(|polls| *polls += 1);
        self.last_requested_poll()
    }

    /// The number of the last poll that was requested.
    pub(super) fn last_requested_poll(&self) -> u64 {
        *self.polls_requested.borrow()
    }

    /// Waits while the mappings are paused.
    pub(super) async fn running(&self) -> Result<(), Stopped> {
        let mut mode = self.mode.subscribe();
        // `self` owns the sender, so waiting cannot fail.
        let mode = mode.wait_for(|mode| *mode != Mode::Paused).await.map_or(Mode::Stopped, |mode| *mode);
        if mode == Mode::Running { Ok(()) } else { Err(Stopped) }
    }

    /// Waits until the mappings have to stop.
    pub(super) async fn stopped(&self) {
        let mut mode = self.mode.subscribe();
        // `self` owns the sender, so waiting cannot fail.
        let _stopped = mode.wait_for(|mode| *mode == Mode::Stopped).await;
    }

    /// Waits for `pause`.
    pub(super) async fn sleep(&self, pause: Duration) -> Result<(), Stopped> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.stopped() => Err(Stopped),
        }
    }

    /// Waits for `pause`, or until somebody requests a poll after poll number `poll`.
    pub(super) async fn sleep_until_poll(&self, pause: Duration, poll: u64) -> Result<(), Stopped> {
        let mut polls_requested = self.polls_requested.subscribe();
        tokio::select! {
            stopped = self.sleep(pause) => stopped,
            _later = polls_requested.wait_for(|requested| *requested > poll) => Ok(()),
        }
    }
}
