//! One process of a function as a state machine: starting → idle → assigned → running → answered → idle …, until it is
//! gone. Must never forget who waits for an answer: each transition is made under one lock.

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
    /// What it does, and since when.
    slot: Mutex<(Slot, Instant)>,
    /// There is something in the slot for it.
    assigned: Notify,
    kill: Notify,
    gone: watch::Sender<bool>,
    init_error: Mutex<Option<String>>,
}

enum Slot {
    /// Has not asked for its first invocation yet.
    Starting,
    Idle,
    /// An invocation is meant for it, which it has not fetched yet.
    Assigned(Box<Invocation>, oneshot::Sender<Answer>),
    Running(String, oneshot::Sender<Answer>),
    /// Has answered and not yet asked for more.
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
        // Set once: an instance is one process.
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

    /// Time in the present state.
    pub(super) fn age(&self) -> Duration {
        self.lock().1.elapsed()
    }

    /// Moves to idle from a state that allows it; false if it was not newly idle.
    pub(super) fn becomes_idle(&self) -> bool {
        let mut slot = self.lock();
        let newly = matches!(slot.0, Slot::Starting | Slot::Answered);
        if newly {
            *slot = (Slot::Idle, Instant::now());
        }
        newly
    }

    /// Puts an invocation in its slot. The caller got the instance from the pool's idle ones, so the slot is free.
    pub(super) fn assign(&self, invocation: Invocation, reply: oneshot::Sender<Answer>) {
        *self.lock() = (Slot::Assigned(Box::new(invocation), reply), Instant::now());
        self.assigned.notify_one();
    }

    /// Takes back an invocation that it has not fetched; false if it has.
    pub(super) fn take_back(&self) -> bool {
        let mut slot = self.lock();
        let untaken = matches!(slot.0, Slot::Assigned(..));
        if untaken {
            *slot = (Slot::Answered, Instant::now());
        }
        untaken
    }

    /// Waits for an invocation and takes it; none if it owes the answer of an earlier one.
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
                // The invoker may have given up (timeout); then nobody wants the answer.
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

    /// Waits until it is to be killed.
    pub(super) async fn killed(&self) {
        self.kill.notified().await;
    }

    pub(super) fn set_gone(&self) {
        self.gone.send_replace(true);
    }

    /// Waits until its process has ended.
    pub(super) async fn gone(&self) {
        let mut gone = self.gone.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ended = gone.wait_for(|gone| *gone).await;
    }
}
