//! Lambda on one machine: runs each function's own binary as processes behind the Lambda Runtime API.
//!
//! [`invoke_api`] is how they are called from outside, [`runtime_api`] what the processes talk to, [`process`] starts and
//! ends them, [`pool`] decides how many there are and which one gets an invocation. A process handles one invocation at a time, as on Lambda; concurrent invocations
//! get further processes up to the function's limit. No process outlives this one, however it ends, and no invocation
//! is silently run twice: one whose process died while it had the event is reported as crashed and not repeated here.

pub mod invoke_api;
mod pool;
mod process;
mod runtime_api;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;

use crate::{
    aws::{ACCOUNT, REGION},
    invoke::{Invoke, InvokeError},
};
use pool::Pool;

/// Largest event and largest answer of a synchronous invocation (Lambda quota "invocation payload").
pub const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// ARN of a local function.
pub fn function_arn(function: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}")
}

/// What is needed to run one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSpec {
    /// Name that it is invoked by; also the prefix of its log lines.
    pub name: String,
    /// Its binary.
    pub program: PathBuf,
    /// All of its environment, except what Lambda itself sets (`AWS_LAMBDA_*`) and `PATH`, which is inherited.
    pub environment: BTreeMap<String, String>,
    /// Time that one invocation may take; then its process is killed.
    pub timeout: Duration,
    /// Memory in MiB; told to the function, not enforced.
    pub memory_mib: u32,
    /// Most processes, so most invocations at the same time; at least one.
    pub max_concurrency: u32,
}

/// The functions of a system, ready to be invoked. Clones share the same processes, which end with the last clone.
#[derive(Clone)]
pub struct Lambda {
    inner: Arc<Inner>,
}

struct Inner {
    pools: HashMap<String, Arc<Pool>>,
    background: Vec<tokio::task::JoinHandle<()>>,
}

impl Lambda {
    /// Opens the Runtime API on a free loopback port. No process starts before its function's first invocation: that
    /// costs milliseconds then, and nothing for a function that is not used.
    ///
    /// # Errors
    /// If no loopback port can be had, or a function's binary does not exist.
    pub async fn start(functions: Vec<FunctionSpec>) -> anyhow::Result<Self> {
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
        let spawner = process::Spawner::start().context("thread that starts function processes")?;
        let pools: HashMap<_, _> = functions
            .into_iter()
            .map(|function| (function.name.clone(), Pool::new(function, runtime_api, spawner.clone())))
            .collect();
        let mut background = vec![tokio::spawn(runtime_api::serve(listener, pools.clone()))];
        background.extend(pools.values().map(|pool| tokio::spawn(Arc::clone(pool).reap_idle())));
        Ok(Self { inner: Arc::new(Inner { pools, background }) })
    }

    /// Function and process id of every process that runs now.
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

    /// Kills every process and waits until they are gone. Invocations that run end as crashed, later ones as
    /// unavailable.
    pub async fn shutdown(&self) {
        futures::future::join_all(self.inner.pools.values().map(|pool| pool.shutdown())).await;
    }
}

impl Invoke for Lambda {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
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
        pool.invoke(payload).await
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
