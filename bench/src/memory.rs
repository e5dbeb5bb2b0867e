//! Measures how much memory a function's processes use while something else is measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use harness::dev_client::DevClient;
use tokio::{task::JoinHandle, time::sleep};

/// The pause between two polls.
const PERIOD: Duration = Duration::from_millis(100);

/// Polls the memory of a function's processes until it is dropped.
#[derive(Debug)]
pub struct Watch {
    task: JoinHandle<()>,
    peak: Arc<AtomicU64>,
}

impl Watch {
    /// Starts polling.
    pub fn start(dev: DevClient, function: &'static str) -> Self {
        let peak = Arc::new(AtomicU64::new(0));
        let highest = Arc::clone(&peak);
        let task = tokio::spawn(async move {
            loop {
                // The stack does not answer while it restarts.
                let processes = dev.status().await.map(|status| status.processes).unwrap_or_default();
                let ours = processes.iter().filter(|process| process.function == function);
                highest
                    .fetch_max(ours.map(|process| process.memory_bytes).max().unwrap_or_default(), Ordering::Relaxed);
                sleep(PERIOD).await;
            }
        });
        Self { task, peak }
    }

    /// The most resident memory of any one process at any poll, in bytes.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
