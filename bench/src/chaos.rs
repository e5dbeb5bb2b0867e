//! Kills function processes while a benchmark runs. It kills only processes that the stack names as its functions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use harness::{dev_client::DevClient, process::kill_now};
use rand::seq::IndexedRandom;
use tokio::{task::JoinHandle, time::sleep};

/// Kills a random function process every `period` until it is dropped.
#[derive(Debug)]
pub struct FunctionKiller {
    task: JoinHandle<()>,
    killed: Arc<AtomicU64>,
}

impl FunctionKiller {
    /// Starts killing.
    pub fn start(dev: DevClient, period: Duration) -> Self {
        let killed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&killed);
        let task = tokio::spawn(async move {
            loop {
                sleep(period).await;
                // The stack does not answer while it restarts.
                let Ok(status) = dev.status().await else { continue };
                let victim = status.processes.choose(&mut rand::rng());
                if victim.is_some_and(|victim| kill_now(victim.pid).is_ok()) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { task, killed }
    }

    /// How many processes were killed so far.
    pub fn killed(&self) -> u64 {
        self.killed.load(Ordering::Relaxed)
    }
}

impl Drop for FunctionKiller {
    fn drop(&mut self) {
        self.task.abort();
    }
}
