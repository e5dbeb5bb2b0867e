//! How much later small authors' posts arrive while large audiences are delivered to. Quiet and loud phases alternate, so
//! that whatever else makes the machine slow is in both.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use harness::{dev_client::DevClient, wait::persist};
use tokio::time::{Instant, timeout};

use crate::{
    audience::Audience,
    circle::{Circle, post_steadily},
    lag::Spread,
    target::PATIENCE,
};

/// How long to wait for rest between two phases.
const SETTLE: Duration = Duration::from_secs(900);

/// A post that takes longer than this after the last one was sent counts as lost, and ends the measurement.
const LATE: Duration = Duration::from_secs(120);

/// How the small authors post.
#[derive(Debug, Clone, Copy)]
pub struct Steady {
    /// Posts a second, of all of them together.
    pub rate: u32,
    /// Length of a phase.
    pub seconds: u32,
}

/// A phase that was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// Lags of the small authors' posts.
    pub lags: Vec<Duration>,
    /// Posts that the large audience got meanwhile; none in a quiet phase.
    pub deliveries: usize,
}

/// Measures one phase: the small authors post steadily, and while they do, in a loud phase, one post after the other goes
/// to the large audience, each when the one before has reached everybody.
pub async fn phase(
    number: usize,
    small: &[Circle],
    steady: Steady,
    large: Option<&Audience>,
    dev: &DevClient,
) -> Result<Phase> {
    dev.settle(SETTLE).await?;
    let quiet = AtomicBool::new(false);
    let measure = async {
        let (name, never) = (format!("phase-{number}"), Arc::default());
        let mut measuring = post_steadily(small, &name, steady.rate, steady.rate * steady.seconds, &never).await?;
        let mut lags = Vec::new();
        let arrive = async {
            while let Some(measured) = measuring.join_next().await {
                lags.extend(measured??.lag);
            }
            anyhow::Ok(())
        };
        timeout(LATE, arrive).await.with_context(|| format!("a small author's post is not there after {LATE:?}"))??;
        // Not before the last small post has arrived: all of them are measured under the same load.
        quiet.store(true, Ordering::Relaxed);
        Ok(lags)
    };
    let shout = async {
        let mut deliveries = 0;
        let Some(large) = large else { return anyhow::Ok(deliveries) };
        while !quiet.load(Ordering::Relaxed) {
            let (text, key) = (format!("to all, number {deliveries}"), format!("loud-{number}-{deliveries}"));
            let post = persist(PATIENCE, |_| {}, || large.author.post(&text, Some(&key))).await?.value;
            large.wait_for_rows(&post.id, Instant::now()).await?;
            deliveries += 1;
        }
        Ok(deliveries)
    };
    let (lags, deliveries) = tokio::try_join!(measure, shout)?;
    Ok(Phase { lags, deliveries })
}

/// Quiet phases against loud ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Fairness {
    /// Without large deliveries.
    pub quiet: Spread,
    /// With them.
    pub loud: Spread,
}

impl Fairness {
    /// All lags of each kind of phase together; none if nothing was measured in one of them.
    pub fn of(quiet: &[Phase], loud: &[Phase]) -> Option<Self> {
        let spread = |phases: &[Phase]| Spread::of(phases.iter().flat_map(|phase| phase.lags.clone()).collect());
        Some(Self { quiet: spread(quiet)?, loud: spread(loud)? })
    }

    /// How many times as long the slowest hundredth takes with large deliveries.
    pub fn ratio(&self) -> f64 {
        self.loud.p99.as_secs_f64() / self.quiet.p99.as_secs_f64()
    }
}

impl fmt::Display for Fairness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "quiet      {}", self.quiet)?;
        writeln!(f, "loud       {}", self.loud)?;
        write!(f, "           p99 with large deliveries is {:.2} times that without", self.ratio())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_of_a_kind_are_taken_together() {
        let phase = |lags_ms: &[u64]| Phase {
            lags: lags_ms.iter().copied().map(Duration::from_millis).collect(),
            deliveries: 0,
        };
        let fairness = Fairness::of(&[phase(&[10, 20]), phase(&[40])], &[phase(&[30]), phase(&[60])]).unwrap();
        assert_eq!((fairness.quiet.count, fairness.loud.count), (3, 2));
        assert!((fairness.ratio() - 1.5).abs() < 1e-9);
        assert_eq!(Fairness::of(&[phase(&[10])], &[]), None);
    }
}
