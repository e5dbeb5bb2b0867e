//! Lambda on one machine: runs each function's own binary as processes behind the Lambda Runtime API.
//!
//! Why this is not `cargo lambda watch`: docs/decisions/0024.
//!
//! [`invoke_api`] lets other programs call functions. [`runtime_api`] is what the processes talk to. [`process`] starts
//! and ends processes. [`pool`] decides how many processes a function has and which one gets an invocation. A process
//! handles one invocation at a time, as on Lambda. Concurrent invocations get more processes, up to the function's
//! limit. All processes end with this one, however it ends. No invocation silently runs twice: if a process dies with
//! an event, the invocation is reported as crashed and not repeated here.

pub mod invoke_api;
mod pool;
mod process;
mod runtime_api;

pub(crate) use process::die_with_parent;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;

use crate::{
    aws::{ACCOUNT, REGION},
    invoke::{Invoke, InvokeError},
    lineage::{INVOCATIONS_MAX, TraceHeader},
    metrics::Metrics,
};
use pool::Pool;

/// The largest event and the largest answer of a synchronous invocation (Lambda quota "invocation payload").
pub const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// The ARN of a local function.
pub fn function_arn(function: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}")
}

/// What is needed to run one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSpec {
    /// The name to invoke the function by. Log lines of the function begin with it, too.
    pub name: String,
    /// The binary of the function.
    pub program: PathBuf,
    /// The whole environment, except for the variables that Lambda itself sets (`AWS_LAMBDA_*`) and the inherited
    /// `PATH`.
    pub environment: BTreeMap<String, String>,
    /// The time limit of one invocation. After it, the process is killed.
    pub timeout: Duration,
    /// The memory in MiB. The function is told this number, but the limit is not enforced.
    pub memory_mib: u32,
    /// The most processes, which is the most concurrent invocations. At least 1.
    pub max_concurrency: u32,
    /// Whether one chain of requests may invoke the function any number of times.
    pub allows_recursion: bool,
}

/// The functions of a system, ready to be invoked. Clones share the processes. The processes end with the last clone.
#[derive(Clone)]
pub struct Lambda {
    inner: Arc<Inner>,
}

struct Inner {
    pools: HashMap<String, Arc<Pool>>,
    metrics: Metrics,
    background: Vec<tokio::task::JoinHandle<()>>,
}

impl Lambda {
    /// Opens the Runtime API on a free loopback port. A process starts only with the first invocation of its function:
    /// this costs milliseconds then, and unused functions cost nothing. What is known of invocations is recorded in
    /// `metrics`.
    ///
    /// # Errors
    /// If no loopback port is free, or if the binary of a function does not exist.
    pub async fn start(functions: Vec<FunctionSpec>, metrics: Metrics) -> anyhow::Result<Self> {
        for function in &functions {
            anyhow::ensure!(
                function.program.is_file(),
                "the binary of function {} is missing: {}",
                function.name,
                function.program.display()
            );
        }
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.context("Lambda Runtime API")?;
        let runtime_api = listener.local_addr().context("Lambda Runtime API")?;
        let spawner = process::Spawner::start(metrics.clone())
            .context("cannot start the thread that starts function processes")?;
        let pools: HashMap<_, _> = functions
            .into_iter()
            .map(|function| (function.name.clone(), Pool::new(function, runtime_api, spawner.clone())))
            .collect();
        let mut background = vec![tokio::spawn(runtime_api::serve(listener, pools.clone()))];
        background.extend(pools.values().map(|pool| tokio::spawn(Arc::clone(pool).reap_idle())));
        Ok(Self { inner: Arc::new(Inner { pools, metrics, background }) })
    }

    /// The function and the process id of every running process.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let mut all: Vec<_> = self
            .inner
            .pools
            .values()
            .flat_map(|pool| pool.pids().into_iter().map(|pid| (pool.function().name.clone(), pid)))
            .collect();
        all.sort();
        all
    }

    /// Kills the processes of a function with SIGKILL. Invocations in progress end as crashed. Returns how many
    /// processes there were, or `None` if there is no such function.
    pub fn kill(&self, function: &str) -> Option<usize> {
        Some(self.inner.pools.get(function)?.kill())
    }

    /// Lets no invocation of a function run, as a reserved concurrency of 0 does on AWS, or ends that. Returns `false`
    /// if there is no such function.
    pub fn set_throttled(&self, function: &str, throttled: bool) -> bool {
        let pool = self.inner.pools.get(function);
        pool.inspect(|pool| pool.set_throttled(throttled)).is_some()
    }

    /// The functions that are throttled.
    pub fn throttled(&self) -> Vec<String> {
        let throttled = self.inner.pools.values().filter(|pool| pool.is_throttled());
        let mut names: Vec<_> = throttled.map(|pool| pool.function().name.clone()).collect();
        names.sort();
        names
    }

    /// Kills all processes and waits until they are gone. Invocations in progress end as crashed. Later invocations end
    /// as unavailable.
    pub async fn shutdown(&self) {
        futures::future::join_all(self.inner.pools.values().map(|pool| pool.shutdown())).await;
    }
}

impl Invoke for Lambda {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        self.invoke_in_chain(function, payload, &TraceHeader::default()).await
    }

    async fn invoke_in_chain(&self, function: &str, payload: Bytes, trace: &TraceHeader) -> Result<Bytes, InvokeError> {
        let pool = self
            .inner
            .pools
            .get(function)
            .ok_or_else(|| InvokeError::Unavailable(format!("there is no function {function}")))?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(InvokeError::Unavailable(format!(
                "the event has {} bytes, {PAYLOAD_BYTES_MAX} are allowed",
                payload.len()
            )));
        }
        let metrics = &self.inner.metrics;
        let invocations = trace.invocations(function);
        if invocations >= INVOCATIONS_MAX && !pool.function().allows_recursion {
            metrics.of_function(function, "RecursiveInvocationsDropped", "Count", 1.0);
            return Err(InvokeError::Recursive(invocations));
        }
        let begun = Instant::now();
        let answer = pool.invoke(payload, trace).await;
        match &answer {
            Err(InvokeError::Throttled) => metrics.of_function(function, "Throttles", "Count", 1.0),
            Err(InvokeError::Unavailable(_)) => {}
            ran => {
                metrics.of_function(function, "Invocations", "Count", 1.0);
                metrics.of_function(function, "Errors", "Count", if ran.is_err() { 1.0 } else { 0.0 });
                metrics.of_function(function, "Duration", "Milliseconds", begun.elapsed().as_secs_f64() * 1000.0);
            }
        }
        answer
    }

    fn metrics(&self) -> Option<&Metrics> {
        Some(&self.inner.metrics)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in &self.background {
            task.abort();
        }
        for pool in self.pools.values() {
            pool.close();
        }
    }
}
