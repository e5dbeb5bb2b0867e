//! Measures how long a post takes from its acceptance until a follower sees it in the home feed.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use harness::client::{ApiError, User};
use tokio::time::{Instant, sleep};

/// Posts on the first page. The page is small, so that polling costs the stack little.
const PROBE: u32 = 5;
/// Posts on further pages. They are read only if newer posts have pushed the awaited one off the first page.
const FURTHER: u32 = 100;
const POLL: Duration = Duration::from_millis(20);
/// After this time the measurement polls less often. It is then still exact to a few percent.
const PATIENT_AFTER: Duration = Duration::from_secs(2);
const PATIENT_POLL: Duration = Duration::from_millis(200);

/// Polls `reader`'s home until `post` is in it. Returns how long after `accepted` that was, or `None` if the post is
/// not there when `over` is set. A transient error counts as "not there".
pub async fn time_to_home(
    reader: &User,
    post: &str,
    accepted: Instant,
    over: &AtomicBool,
) -> Result<Option<Duration>, ApiError> {
    loop {
        let last_try = over.load(Ordering::Relaxed);
        match shows(reader, post).await {
            Ok(true) => return Ok(Some(accepted.elapsed())),
            Err(error) if !error.is_transient() => return Err(error),
            Ok(false) | Err(_) if last_try => return Ok(None),
            Ok(false) | Err(_) => {}
        }
        sleep(if accepted.elapsed() < PATIENT_AFTER { POLL } else { PATIENT_POLL }).await;
    }
}

/// Whether `post` is in the home. Reads only as far as the post's position.
async fn shows(reader: &User, post: &str) -> Result<bool, ApiError> {
    let mut page = reader.home(PROBE, None).await?;
    loop {
        // Trending posts fill homes that would otherwise be empty. They did not come by a follow.
        page.posts.retain(|shown| shown.source.is_none());
        if page.posts.iter().any(|shown| shown.id == post) {
            return Ok(true);
        }
        let pushed_off = page.posts.last().is_some_and(|last| last.id.as_str() > post);
        match page.next_cursor {
            Some(cursor) if pushed_off => page = reader.home(FURTHER, Some(&cursor)).await?,
            _ => return Ok(false),
        }
    }
}

/// How many in each second.
#[expect(clippy::cast_precision_loss, reason = "a rate to print")]
pub fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Percentiles of measured times, by nearest rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// How many times were measured. Never 0.
    pub count: usize,
    /// The median.
    pub p50: Duration,
    /// The 95th percentile.
    pub p95: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The longest time.
    pub max: Duration,
}

impl Spread {
    /// The percentiles of `times`, or `None` if there are none.
    pub fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let count = times.len();
        let at = |percent: usize| times.get((count * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { count, p50: at(50)?, p95: at(95)?, p99: at(99)?, max: at(100)? })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let Self { count, p50, p95, p99, max } = self;
        let (p50, p95, p99, max) = (ms(*p50), ms(*p95), ms(*p99), ms(*max));
        write!(f, "p50 {p50:.0} ms, p95 {p95:.0} ms, p99 {p99:.0} ms, max {max:.0} ms ({count} measured)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let ms = Duration::from_millis;
        let spread = Spread::of((1..=200).rev().map(ms).collect()).unwrap();
        assert_eq!(spread, Spread { count: 200, p50: ms(100), p95: ms(190), p99: ms(198), max: ms(200) });
        assert_eq!(spread.to_string(), "p50 100 ms, p95 190 ms, p99 198 ms, max 200 ms (200 measured)");
        let one = Spread::of(vec![ms(7)]).unwrap();
        assert_eq!((one.p50, one.p99, one.max), (ms(7), ms(7), ms(7)));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
