//! Measures how much later the posts of small authors arrive while a large audience receives posts. Quiet and loud
//! phases take turns, so that other work of the machine affects both.

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

/// How long to wait until the stack is idle between two phases.
const SETTLE: Duration = Duration::from_secs(900);

/// A post that arrives later than this after the last one was sent counts as lost, and ends the measurement.
const LATE: Duration = Duration::from_secs(120);

/// How the small authors post.
#[derive(Debug, Clone, Copy)]
pub struct Steady {
    /// Posts of all small authors together in each second.
    pub rate: u32,
    /// The length of a phase.
    pub seconds: u32,
}

/// The measurements of a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// The lags of the small authors' posts.
    pub lags: Vec<Duration>,
    /// How many posts the large audience received in this phase. 0 in a quiet phase.
    pub large_posts: usize,
}

/// Measures one phase. The small authors post steadily. In a loud phase, one post after another also goes to the large
/// audience, each one when the post before has reached all followers.
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
        timeout(LATE, arrive)
            .await
            .with_context(|| format!("a small author's post did not arrive within {LATE:?}"))??;
        // Goes on until the last small post has arrived, so that all of them are measured under the same load.
        quiet.store(true, Ordering::Relaxed);
        Ok(lags)
    };
    let shout = async {
        let mut large_posts = 0;
        let Some(large) = large else { return anyhow::Ok(large_posts) };
        while !quiet.load(Ordering::Relaxed) {
            let (text, key) = (format!("to all, number {large_posts}"), format!("loud-{number}-{large_posts}"));
            let post = persist(PATIENCE, |_| {}, || large.author.post(&text, Some(&key))).await?.value;
            large.wait_for_rows(&post.id, Instant::now()).await?;
            large_posts += 1;
        }
        Ok(large_posts)
    };
    let (lags, large_posts) = tokio::try_join!(measure, shout)?;
    Ok(Phase { lags, large_posts })
}

/// Quiet phases compared with loud ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Fairness {
    /// The lags without posts to the large audience.
    pub quiet: Spread,
    /// The lags with them.
    pub loud: Spread,
}

impl Fairness {
    /// The lags of all quiet and of all loud phases. `None` if nothing was measured in one of the two.
    pub fn of(quiet: &[Phase], loud: &[Phase]) -> Option<Self> {
        let spread = |phases: &[Phase]| Spread::of(phases.iter().flat_map(|phase| phase.lags.clone()).collect());
        Some(Self { quiet: spread(quiet)?, loud: spread(loud)? })
    }

    /// How many times as long the 99th percentile takes in loud phases.
    pub fn ratio(&self) -> f64 {
        self.loud.p99.as_secs_f64() / self.quiet.p99.as_secs_f64()
    }
}

impl fmt::Display for Fairness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "quiet      {}", self.quiet)?;
        writeln!(f, "loud       {}", self.loud)?;
        write!(f, "           p99 in loud phases is {:.2} times that in quiet phases", self.ratio())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_of_a_kind_are_taken_together() {
        let phase = |lags_ms: &[u64]| Phase {
            lags: lags_ms.iter().copied().map(Duration::from_millis).collect(),
            large_posts: 0,
        };
        let fairness = Fairness::of(&[phase(&[10, 20]), phase(&[40])], &[phase(&[30]), phase(&[60])]).unwrap();
        assert_eq!((fairness.quiet.count, fairness.loud.count), (3, 2));
        assert!((fairness.ratio() - 1.5).abs() < 1e-9);
        assert_eq!(Fairness::of(&[phase(&[10])], &[]), None);
    }
}
