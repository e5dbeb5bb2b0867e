//! The processes of one function: which one gets an invocation, when a new one starts, and when one ends. A process
//! counts as busy until it asks for its next invocation, so the limit on concurrency is exact. If all processes are
//! busy, invocations wait in a bounded queue, first come, first served. Once a process has taken an event, no other
//! process may get it.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    process::ExitStatus,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde_json::json;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{
    FunctionSpec,
    process::{self, Process, Spawner},
};
use crate::{invoke::InvokeError, lineage::TraceHeader};

pub(super) use instance::Instance;
pub(super) use invocation::Invocation;

mod instance;
mod invocation;

/// How long a process may take to ask for its first invocation (Lambda quota "init phase").
const INIT_MAX: Duration = Duration::from_secs(10);
/// An idle process ends after this time, unless it is the last one.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long an invocation waits for a process. After this time it counts as throttled.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(5);
/// The most invocations of one function that may wait.
const QUEUE_LENGTH_MAX: usize = 1_000;
/// How long to wait for a process that has just answered, before another process is started.
const PATIENCE: Duration = Duration::from_millis(25);
/// The pause after a process failed to start. It doubles with each further failure.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(100);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(10);
/// How often the pool looks for processes that should end.
const REAP_INTERVAL: Duration = Duration::from_secs(1);

type Answer = Result<Bytes, InvokeError>;

pub(super) struct Pool {
    function: FunctionSpec,
    runtime_api: SocketAddr,
    spawner: Spawner,
    throttled: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// All processes that were started and may still run.
    instances: HashMap<String, Arc<Instance>>,
    /// The processes that wait for an invocation. The process used last is on top, so that unused ones stay below and
    /// grow old.
    idle: Vec<Arc<Instance>>,
    waiting: VecDeque<oneshot::Sender<Result<Arc<Instance>, InvokeError>>>,
    failed_starts: u32,
    next_start: Instant,
    last_failure: Option<InvokeError>,
    closed: bool,
}

impl Pool {
    pub(super) fn new(function: FunctionSpec, runtime_api: SocketAddr, spawner: Spawner) -> Arc<Self> {
        let state = State {
            instances: HashMap::new(),
            idle: Vec::new(),
            waiting: VecDeque::new(),
            failed_starts: 0,
            next_start: Instant::now(),
            last_failure: None,
            closed: false,
        };
        let throttled = AtomicBool::new(false);
        Arc::new(Self { function, runtime_api, spawner, throttled, state: Mutex::new(state) })
    }

    pub(super) fn function(&self) -> &FunctionSpec {
        &self.function
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.lock().instances.values().filter_map(|instance| instance.pid()).collect()
    }

    /// Kills all processes. Returns how many there were.
    pub(super) fn kill(&self) -> usize {
        let state = self.lock();
        state.instances.values().for_each(|instance| instance.kill());
        state.instances.len()
    }

    pub(super) fn set_throttled(&self, throttled: bool) {
        self.throttled.store(throttled, Ordering::SeqCst);
    }

    pub(super) fn is_throttled(&self) -> bool {
        self.throttled.load(Ordering::SeqCst)
    }

    pub(super) fn instance(&self, id: &str) -> Option<Arc<Instance>> {
        self.lock().instances.get(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one invocation to its end, even if the caller stops waiting, as Lambda does.
    pub(super) async fn invoke(self: &Arc<Self>, payload: Bytes, trace: &TraceHeader) -> Answer {
        if self.is_throttled() {
            return Err(InvokeError::Throttled);
        }
        let (pool, trace) = (Arc::clone(self), trace.clone());
        let run = tokio::spawn(async move { pool.run(payload, &trace).await });
        run.await.unwrap_or_else(|error| Err(InvokeError::Unavailable(error.to_string())))
    }

    async fn run(self: Arc<Self>, payload: Bytes, trace: &TraceHeader) -> Answer {
        let timeout = self.function.timeout;
        loop {
            let instance = self.acquire().await?;
            let (reply, answered) = oneshot::channel();
            instance.assign(Invocation::new(&self.function, payload.clone(), trace), reply);
            let deadline = Instant::now() + timeout;
            tokio::select! {
                biased;
                Ok(answer) = answered => return answer,
                () = instance.gone() => {
                    if instance.take_back() {
                        // The process died before it took the event. No code ran, so another process may take the
                        // event.
                        continue;
                    }
                    let (function, pid) = (&self.function.name, instance.pid());
                    tracing::warn!(function, pid, "the process ended before it answered");
                    return Err(InvokeError::Crashed);
                }
                () = tokio::time::sleep_until(deadline) => {
                    let (function, pid) = (&self.function.name, instance.pid());
                    tracing::warn!(function, pid, ?timeout, "killed the process, because it did not answer in time");
                    instance.kill();
                    return Err(InvokeError::TimedOut(timeout));
                }
            }
        }
    }

    /// An idle process, or a place in the queue for the next process that is idle or starts.
    async fn acquire(self: &Arc<Self>) -> Result<Arc<Instance>, InvokeError> {
        let mut served = {
            let mut state = self.lock();
            if state.closed {
                return Err(stopped());
            }
            while let Some(instance) = state.idle.pop() {
                // A process that was just killed may still look idle.
                if instance.pid().is_some_and(|pid| !process::has_ended(pid)) {
                    return Ok(instance);
                }
            }
            if state.waiting.len() >= QUEUE_LENGTH_MAX {
                return Err(InvokeError::Throttled);
            }
            let (waiter, served) = oneshot::channel();
            state.waiting.push_back(waiter);
            served
        };
        let deadline = Instant::now() + QUEUE_WAIT_MAX;
        let mut patient = true;
        loop {
            self.start_if_needed(patient);
            match timeout_at(deadline.min(Instant::now() + PATIENCE), &mut served).await {
                Ok(result) => return result.unwrap_or_else(|_| Err(stopped())),
                Err(_) if Instant::now() < deadline => patient = false,
                Err(_) => {
                    served.close();
                    return served
                        .try_recv()
                        .unwrap_or_else(|_| Err(self.lock().last_failure.clone().unwrap_or(InvokeError::Throttled)));
                }
            }
        }
    }

    /// Starts a process if more invocations wait than processes are starting or about to be idle.
    fn start_if_needed(self: &Arc<Self>, patient: bool) {
        let mut state = self.lock();
        state.waiting.retain(|waiter| !waiter.is_closed());
        let coming = state.instances.values().filter(|i| i.is_starting() || (patient && i.has_answered())).count();
        let limit = usize::try_from(self.function.max_concurrency).unwrap_or(usize::MAX).max(1);
        if state.closed
            || coming >= state.waiting.len()
            || state.instances.len() >= limit
            || Instant::now() < state.next_start
        {
            return;
        }
        let instance = Arc::new(Instance::new(hex_id()));
        state.instances.insert(instance.id().to_owned(), Arc::clone(&instance));
        drop(state);
        tokio::spawn(Arc::clone(self).run_process(instance));
    }

    /// The life of one process, from start to end.
    async fn run_process(self: Arc<Self>, instance: Arc<Instance>) {
        match process::start(&self.spawner, &self.function, self.runtime_api, instance.id()).await {
            Ok(Process { mut child, pid, output }) => {
                instance.set_pid(pid);
                let status = tokio::select! {
                    status = child.wait() => status,
                    () = instance.killed() => {
                        // The only possible error is that the process has already ended.
                        drop(child.start_kill());
                        child.wait().await
                    }
                };
                let failed = match instance.is_starting() {
                    true => Some(init_failure(&instance, status, &output.last_lines().await)),
                    false => None,
                };
                self.remove(&instance, failed);
            }
            Err(error) => {
                let program = self.function.program.display();
                self.remove(&instance, Some(InvokeError::Unavailable(format!("cannot start {program}: {error}"))));
            }
        }
    }

    fn remove(&self, instance: &Instance, failed_start: Option<InvokeError>) {
        let mut state = self.lock();
        state.instances.remove(instance.id());
        state.idle.retain(|other| other.id() != instance.id());
        if let Some(failure) = failed_start.filter(|_| !state.closed) {
            tracing::warn!(function = self.function.name, %failure, "process failed to start");
            let pause = RESTART_PAUSE_MIN * 2u32.saturating_pow(state.failed_starts.min(10));
            state.next_start = Instant::now() + pause.min(RESTART_PAUSE_MAX);
            state.failed_starts += 1;
            state.last_failure = Some(failure.clone());
            // The first failure is not reported. Like Lambda, the pool tries the initialisation once more.
            if state.failed_starts > 1 {
                state.tell_waiter(Err(failure));
            }
        }
        drop(state);
        instance.set_gone();
    }

    /// The process `instance` asks for work. Gives it the next invocation, or `None` if it still owes an answer.
    pub(super) async fn next(&self, instance: &Arc<Instance>) -> Option<Invocation> {
        let was_starting = instance.is_starting();
        if instance.becomes_idle() {
            let mut state = self.lock();
            if was_starting {
                state.failed_starts = 0;
                state.last_failure = None;
            }
            if !state.tell_waiter(Ok(Arc::clone(instance))) {
                state.idle.push(Arc::clone(instance));
            }
        }
        instance.taken().await
    }

    /// Takes the answer of an invocation. Returns `false` if `instance` does not run this invocation.
    pub(super) fn answer(&self, instance: &Instance, request_id: &str, answer: Answer) -> bool {
        instance.answer(request_id, answer)
    }

    /// Once a second, ends processes that are not needed any more or that hang outside an invocation.
    pub(super) async fn reap_idle(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(REAP_INTERVAL);
        loop {
            ticks.tick().await;
            let mut state = self.lock();
            let surplus = state.idle.len().saturating_sub(1);
            let old = state.idle.iter().take(surplus).take_while(|instance| instance.age() > IDLE_MAX).count();
            for instance in state.idle.drain(..old) {
                instance.kill();
            }
            for instance in state.instances.values() {
                let overdue = (instance.is_starting() && instance.age() > INIT_MAX)
                    || (instance.has_answered() && instance.age() > self.function.timeout);
                if overdue {
                    instance.kill();
                }
            }
        }
    }

    /// Accepts no more invocations and kills all processes.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
        state.idle.clear();
        for instance in state.instances.values() {
            instance.kill();
        }
    }

    /// Closes the pool, and waits until all processes have ended.
    pub(super) async fn shutdown(&self) {
        self.close();
        let instances: Vec<_> = self.lock().instances.values().cloned().collect();
        for instance in instances {
            instance.gone().await;
        }
    }
}

impl State {
    /// Serves the invocation that has waited longest. Returns `false` if none waits.
    fn tell_waiter(&mut self, mut result: Result<Arc<Instance>, InvokeError>) -> bool {
        while let Some(waiter) = self.waiting.pop_front() {
            match waiter.send(result) {
                Ok(()) => return true,
                Err(unsent) => result = unsent,
            }
        }
        false
    }
}

fn stopped() -> InvokeError {
    InvokeError::Unavailable("the stack is shutting down".into())
}

fn init_failure(instance: &Instance, status: std::io::Result<ExitStatus>, tail: &str) -> InvokeError {
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    InvokeError::Function(instance.init_error().unwrap_or_else(|| {
        let message = format!("the process failed to initialise ({status}): {tail}");
        json!({ "errorType": "Runtime.ExitError", "errorMessage": message }).to_string()
    }))
}

/// 128 random bits, so that no other program on this machine can guess an instance's path in the Runtime API.
fn hex_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
