//! One process of a function as a state machine: starting → idle → assigned → running → answered → idle, until it is
//! gone. Every invoker that waits for an answer must get one, so each transition happens under one lock.

use std::{
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot, watch},
    time::Instant,
};

use super::{Answer, Invocation};

pub(in crate::lambda) struct Instance {
    id: String,
    pid: OnceLock<u32>,
    /// The state, and since when.
    slot: Mutex<(Slot, Instant)>,
    /// Signals that the slot contains an invocation.
    assigned: Notify,
    kill: Notify,
    gone: watch::Sender<bool>,
    init_error: Mutex<Option<String>>,
}

enum Slot {
    /// The process has not asked for its first invocation yet.
    Starting,
    Idle,
    /// The process has an invocation that it has not fetched yet.
    Assigned(Box<Invocation>, oneshot::Sender<Answer>),
    Running(String, oneshot::Sender<Answer>),
    /// The process has answered and has not asked for the next invocation yet.
    Answered,
}

impl Instance {
    pub(super) fn new(id: String) -> Self {
        Self {
            id,
            pid: OnceLock::new(),
            slot: Mutex::new((Slot::Starting, Instant::now())),
            assigned: Notify::new(),
            kill: Notify::new(),
            gone: watch::Sender::new(false),
            init_error: Mutex::new(None),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.pid.get().copied()
    }

    pub(super) fn set_pid(&self, pid: u32) {
        // Set once, because an instance is one process.
        let _first = self.pid.set(pid);
    }

    fn lock(&self) -> MutexGuard<'_, (Slot, Instant)> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.lock().0, Slot::Starting)
    }

    pub(super) fn has_answered(&self) -> bool {
        matches!(self.lock().0, Slot::Answered)
    }

    /// The time in the present state.
    pub(super) fn age(&self) -> Duration {
        self.lock().1.elapsed()
    }

    /// Changes to idle if the state allows it. Returns `false` if the instance did not become idle by this call.
    pub(super) fn becomes_idle(&self) -> bool {
        let mut slot = self.lock();
        let newly = matches!(slot.0, Slot::Starting | Slot::Answered);
        if newly {
            *slot = (Slot::Idle, Instant::now());
        }
        newly
    }

    /// Puts an invocation into the slot. The caller took the instance from the pool's idle ones, so the slot is free.
    pub(super) fn assign(&self, invocation: Invocation, reply: oneshot::Sender<Answer>) {
        *self.lock() = (Slot::Assigned(Box::new(invocation), reply), Instant::now());
        self.assigned.notify_one();
    }

    /// Takes back an invocation that the process has not fetched. Returns `false` if the process has fetched it.
    pub(super) fn take_back(&self) -> bool {
        let mut slot = self.lock();
        let untaken = matches!(slot.0, Slot::Assigned(..));
        if untaken {
            *slot = (Slot::Answered, Instant::now());
        }
        untaken
    }

    /// Waits for an invocation and takes it. `None` if the process still owes an earlier answer.
    pub(super) async fn taken(&self) -> Option<Invocation> {
        loop {
            {
                let mut slot = self.lock();
                match std::mem::replace(&mut slot.0, Slot::Answered) {
                    Slot::Assigned(invocation, reply) => {
                        *slot = (Slot::Running(invocation.request_id.clone(), reply), Instant::now());
                        return Some(*invocation);
                    }
                    running @ Slot::Running(..) => {
                        slot.0 = running;
                        return None;
                    }
                    other => slot.0 = other,
                }
            }
            self.assigned.notified().await;
        }
    }

    pub(super) fn answer(&self, request_id: &str, answer: Answer) -> bool {
        let mut slot = self.lock();
        match std::mem::replace(&mut slot.0, Slot::Answered) {
            Slot::Running(running, reply) if running == request_id => {
                slot.1 = Instant::now();
                // The invoker may have stopped waiting after a timeout. Then nobody needs the answer.
                drop(reply.send(answer));
                true
            }
            other => {
                slot.0 = other;
                false
            }
        }
    }

    pub(in crate::lambda) fn set_init_error(&self, error: String) {
        *self.init_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn init_error(&self) -> Option<String> {
        self.init_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn kill(&self) {
        self.kill.notify_one();
    }

    /// Waits until the process has to be killed.
    pub(super) async fn killed(&self) {
        self.kill.notified().await;
    }

    pub(super) fn set_gone(&self) {
        self.gone.send_replace(true);
    }

    /// Waits until the process has ended.
    pub(super) async fn gone(&self) {
        let mut gone = self.gone.subscribe();
        // `self` owns the sender, so waiting cannot fail.
        let _ended = gone.wait_for(|gone| *gone).await;
    }
}
