//! Lambda: functions run in processes of their own, each with its caches and its clock, one invocation at a time. A
//! process may be killed at any await point, an invocation may take too long, and nothing may run because too much
//! does.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use aws_config::SdkConfig;
use aws_limits::lambda::Environment;
use bytes::Bytes;
use rand::Rng;
use tidings::{
    metrics::{COLD_STARTS, Recorded},
    model::Clock,
    retry::{retry_config, timeout_config},
    runtime::Runtime,
};
use tidings_local::{
    invoke::{Invoke, InvokeError},
    lineage::{INVOCATIONS_MAX, TraceHeader},
    template::model::{EventSource, Function},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    cache::SimulatedCache,
    chain,
    faults::{Fault, SHORT_TIMEOUT},
    functions::{Handler, handler},
    limits::AwsLimits,
    network::{Caller, Network},
    trace::Detail,
};

/// Concurrent invocations of one function.
const CONCURRENCY_MAX: usize = 20;
/// An invocation that does not end by itself ends within so many polls.
const ENDS_WITHIN_POLLS: u32 = 60;
/// Two users: whoever follows, mutes or blocks more, or is blocked by more, has an item of sets.
const SETS_INLINE_BYTES: usize = 16;
/// Longest that a new process takes before its first invocation.
const START_MS_MAX: u64 = 300;

/// Invokes functions. Clones invoke the same ones.
#[derive(Clone)]
pub(crate) struct Lambda {
    invocations: mpsc::UnboundedSender<Invocation>,
    limits: Option<Arc<AwsLimits>>,
}

struct Invocation {
    function: String,
    payload: Bytes,
    trace: TraceHeader,
    answer: oneshot::Sender<Result<Bytes, InvokeError>>,
}

struct Functions {
    network: Arc<Network>,
    /// The shared cache, if there is one.
    cache: Option<Arc<SimulatedCache>>,
    functions: BTreeMap<String, Running>,
    started: Cell<u32>,
}

struct Running {
    function: Function,
    idle: RefCell<Vec<Handler>>,
    busy: Cell<usize>,
}

impl Lambda {
    /// Functions that reach AWS by this network. Must be called within a `LocalSet`: handlers stay in one thread.
    pub(crate) fn start(functions: &[Function], network: Arc<Network>, cache: Option<Arc<SimulatedCache>>) -> Self {
        let (invocations, mut arriving) = mpsc::unbounded_channel::<Invocation>();
        let running = |function: &Function| {
            let running = Running { function: function.clone(), idle: RefCell::default(), busy: Cell::new(0) };
            (function.name.clone(), running)
        };
        let limits = network.limits.clone();
        let functions = functions.iter().map(running).collect();
        let functions = Rc::new(Functions { network, cache, functions, started: Cell::new(0) });
        tokio::task::spawn_local(async move {
            while let Some(Invocation { function, payload, trace, answer }) = arriving.recv().await {
                let functions = Rc::clone(&functions);
                tokio::task::spawn_local(async move {
                    // That nobody waits for the answer any more does not end an invocation.
                    drop(answer.send(functions.run(&function, payload, &trace).await));
                });
            }
        });
        Self { invocations, limits }
    }
}

impl Invoke for Lambda {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        self.invoke_in_chain(function, payload, &TraceHeader::default()).await
    }

    async fn invoke_in_chain(&self, function: &str, payload: Bytes, trace: &TraceHeader) -> Result<Bytes, InvokeError> {
        let begun = tokio::time::Instant::now();
        let (answer, answered) = oneshot::channel();
        let invocation = Invocation { function: function.to_owned(), payload, trace: trace.clone(), answer };
        self.invocations.send(invocation).map_err(|_| InvokeError::Unavailable("the world has ended".to_owned()))?;
        let answered = answered.await.unwrap_or(Err(InvokeError::Crashed));
        // Those who call functions of the API have no lanes, and wait for nothing.
        if let Some(rests) = self.limits.as_ref().and_then(|limits| limits.rests(function, begun.elapsed())) {
            tokio::time::sleep(rests).await;
        }
        answered
    }
}

impl Functions {
    async fn run(&self, name: &str, payload: Bytes, trace: &TraceHeader) -> Result<Bytes, InvokeError> {
        let Some(running) = self.functions.get(name) else {
            return Err(InvokeError::Unavailable(format!("there is no function {name}")));
        };
        let invocations = trace.invocations(name);
        if invocations >= INVOCATIONS_MAX && !running.function.allows_recursion {
            return Err(InvokeError::Recursive(invocations));
        }
        let trace = trace.enter(name, || "1-simulated".to_owned());
        let faults = self.network.faults();
        let (throttled, cold, end) = self.network.random(|random| {
            let polls = random.random_range(0..ENDS_WITHIN_POLLS);
            let chance: f64 = random.random();
            let end = match () {
                () if chance < faults.killed => End::KilledAfter(polls),
                () if chance < faults.killed + faults.stuck => End::StuckAfter(polls),
                () => End::OfItself,
            };
            (random.random_bool(faults.function_throttled), random.random_bool(faults.cold_start), end)
        });
        let begun = match &self.network.limits {
            _ if throttled => None,
            Some(limits) => limits.begin(name, cold || running.idle.borrow().is_empty()).ok(),
            None => (running.busy.get() < CONCURRENCY_MAX).then_some(Environment::New),
        };
        let Some(environment) = begun else {
            self.network.count(Fault::FunctionThrottled);
            return Err(InvokeError::Throttled);
        };
        let begun = tokio::time::Instant::now();
        running.busy.set(running.busy.get() + 1);
        let answered = self.run_in_process(running, payload, trace, cold, environment, end).await;
        running.busy.set(running.busy.get() - 1);
        if let Some(limits) = &self.network.limits {
            limits.end(name, begun.elapsed());
        }
        if let Err(error) = &answered {
            self.network.trace.note(Detail::Users, format_args!("{name}: {error}"));
        }
        answered
    }

    async fn run_in_process(
        &self,
        running: &Running,
        payload: Bytes,
        trace: TraceHeader,
        cold: bool,
        environment: Environment,
        end: End,
    ) -> Result<Bytes, InvokeError> {
        let idle = if cold { None } else { running.take_idle(&self.network) };
        let process = match idle {
            Some(process) => process,
            None => self.start(&running.function, environment).await?,
        };
        let mut timeout = running.function.timeout;
        // The audit looks at what it finds once more after five seconds.
        let has_batches = running.function.sources.iter().any(|source| !matches!(source, EventSource::Schedule(_)));
        if self.network.faults().short_timeouts && has_batches && timeout > SHORT_TIMEOUT {
            timeout = SHORT_TIMEOUT;
            self.network.count(Fault::ShortTimeouts);
        }
        // In a task, so that a panic ends the invocation and not the world.
        let mortal = Mortal { within: process(payload, timeout), end, metrics: self.network.metrics.clone() };
        let invocation = tokio::task::spawn_local(chain::TRACE.scope(trace, mortal));
        let abort = invocation.abort_handle();
        match tokio::time::timeout(timeout, invocation).await {
            Ok(Ok(Some(answer))) => {
                running.idle.borrow_mut().push(process);
                answer.map_err(InvokeError::Function)
            }
            Ok(Ok(None)) => {
                self.network.count(Fault::Killed);
                Err(InvokeError::Crashed)
            }
            Ok(Err(panic)) => Err(InvokeError::Function(format!("panicked: {panic}"))),
            Err(_) => {
                abort.abort();
                self.network.count(Fault::TimedOut);
                Err(InvokeError::TimedOut(timeout))
            }
        }
    }

    /// A new process: its own clients, caches and clock. In an environment that is ready, it has been started before.
    async fn start(&self, function: &Function, environment: Environment) -> Result<Handler, InvokeError> {
        let number = self.started.get();
        self.started.set(number + 1);
        let faults = self.network.faults();
        let (skew_ms, start_ms) = self.network.random(|random| {
            let skew = faults.clock_skew_ms_max;
            (random.random_range(-skew..=skew), random.random_range(0..=START_MS_MAX))
        });
        self.network.count(Fault::ColdStart);
        self.network.metrics.within(|| COLD_STARTS.add(1));
        if skew_ms != 0 {
            self.network.count(Fault::ClockSkew);
        }
        let start = match &self.network.limits {
            Some(_) if environment == Environment::Ready => Duration::ZERO,
            Some(limits) => limits.start_time(),
            None => Duration::from_millis(start_ms),
        };
        tokio::time::sleep(start).await;
        let link = self.network.link(Caller::Function(function.name.clone()));
        // A name as AWS has them, because the SDKs look for its partition in each call.
        let config = sdk_config(link, &format!("us-process-{number}"));
        let mut environment = function.environment.clone();
        environment.insert("VIEWER_SETS_INLINE_BYTES".to_owned(), SETS_INLINE_BYTES.to_string());
        let uses_cache = environment.contains_key("CACHE_URL");
        let mut runtime = Runtime::new(config, environment, Clock::shifted(skew_ms));
        if let Some(cache) = self.cache.as_ref().filter(|_| uses_cache) {
            runtime = runtime.with_shared_cache(Arc::clone(cache) as _);
        }
        handler(&function.binary, runtime).map_err(|error| InvokeError::Unavailable(format!("{error:#}")))
    }
}

impl Running {
    /// One of the idle processes: any, as Lambda promises nothing.
    fn take_idle(&self, network: &Network) -> Option<Handler> {
        let mut idle = self.idle.borrow_mut();
        let count = idle.len();
        (count > 0).then(|| idle.swap_remove(network.random(|random| random.random_range(0..count))))
    }
}

/// The SDKs' configuration of every function, over this link. SDK clients of one region share a budget of retries,
/// which processes do not: each has its own region.
pub(crate) fn sdk_config(link: std::sync::Arc<crate::network::Link>, region: &str) -> SdkConfig {
    let config = aws_memory::config(link, region).into_builder();
    config.retry_config(retry_config()).timeout_config(timeout_config()).build()
}

/// How an invocation ends.
#[derive(Debug, Clone, Copy)]
enum End {
    OfItself,
    /// Its process is killed at an await point, after so many polls.
    KilledAfter(u32),
    /// It stands still at an await point, until its time is up.
    StuckAfter(u32),
}

/// An invocation that may end early.
struct Mortal<F> {
    within: F,
    end: End,
    /// Where the function counts and records.
    metrics: Recorded,
}

impl<F: Future + Unpin> Future for Mortal<F> {
    /// None if it was killed.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.end {
            End::KilledAfter(0) => return Poll::Ready(None),
            End::StuckAfter(0) => return Poll::Pending,
            End::KilledAfter(left) | End::StuckAfter(left) => *left -= 1,
            End::OfItself => {}
        }
        let Self { within, metrics, .. } = &mut *self;
        metrics.within(|| Pin::new(within).poll(context).map(Some))
    }
}
