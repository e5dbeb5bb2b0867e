//! Time as a value. Nothing else in the workspace may ask the operating system for the time, or make an id from it.
//! Whoever needs the time is given a [`Clock`].

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};
use uuid::{NoContext, Uuid};

/// A moment, in milliseconds since the Unix epoch. That is the resolution of a UUIDv7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

/// How far the clocks of two processes may differ. Lambda keeps the clock of an execution environment by NTP (AWS
/// Lambda Developer Guide, "Defined runtime environment variables", `TZ`) and promises no bound. NTP keeps clocks
/// within milliseconds, so a second is ample. The simulated world has processes whose clocks differ this far.
pub const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(1);

/// RFC 3339 in UTC with milliseconds. All texts have the same length.
const RFC3339_MS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

impl Timestamp {
    /// The moment `ms` milliseconds after the Unix epoch.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// Seconds since the Unix epoch, the unit of DynamoDB's TTL.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The moment `duration` after this one.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// The moment that the text names in RFC 3339, without what is finer than milliseconds. None for other texts, and
    /// for moments before the Unix epoch.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let nanos = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos();
        u64::try_from(nanos / 1_000_000).ok().map(Self)
    }

    /// The time from `earlier` to this moment. Zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whether this moment is after `other` for certain, although another process may have told it by its own clock.
    pub fn is_surely_after(self, other: Self) -> bool {
        self > other.after(CLOCK_DIFFERENCE_MAX)
    }

    /// The moment `duration` before this one, but not before the epoch.
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC with milliseconds: `2026-11-23T15:36:01.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).map_err(|_| fmt::Error)?;
        f.write_str(&time.format(RFC3339_MS).map_err(|_| fmt::Error)?)
    }
}

/// Tells the time and makes ids from it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The operating system's clock.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the operating system for the time")]
        Self(Arc::new(|| {
            let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            Timestamp(millis(since_epoch))
        }))
    }

    /// The operating system's clock, off by `ms` milliseconds. Simulated processes have clocks that differ.
    pub fn shifted(ms: i64) -> Self {
        let right = Self::system();
        Self(Arc::new(move || Timestamp(right.now().0.saturating_add_signed(ms))))
    }

    /// A clock that shows the moment that a test has set, in milliseconds since the Unix epoch.
    #[cfg(test)]
    pub(crate) fn set_by(ms: Arc<std::sync::atomic::AtomicU64>) -> Self {
        Self(Arc::new(move || Timestamp(ms.load(std::sync::atomic::Ordering::SeqCst))))
    }

    /// A clock that is ahead of this one.
    #[cfg(test)]
    pub(crate) fn ahead_by(self, difference: Duration) -> Self {
        Self(Arc::new(move || self.now().after(difference)))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// A new UUIDv7 (RFC 9562) of this moment. Its 74 random bits make it unique.
pub(super) fn uuid_v7(at: Timestamp) -> Uuid {
    let nanos = u32::try_from(at.0 % 1000 * 1_000_000).unwrap_or_default();
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, at.0 / 1000, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_as_rfc_3339_with_milliseconds() {
        assert_eq!(Timestamp::from_ms(1_425_000_000_007).to_string(), "2015-02-27T01:20:00.007Z");
    }

    #[test]
    fn a_moment_is_surely_after_another_where_their_clocks_cannot_explain_it() {
        let moment = Timestamp::from_ms(5);
        let later = moment.after(CLOCK_DIFFERENCE_MAX);
        assert!(!later.is_surely_after(moment));
        assert!(later.after(Duration::from_millis(1)).is_surely_after(moment));
    }

    #[test]
    fn subtracting_stops_at_the_epoch() {
        assert_eq!(Timestamp::from_ms(5).before(Duration::from_secs(1)), Timestamp::from_ms(0));
    }
}
