//! SQS: how many batches of a queue Lambda processes at once, and what messages in flight do to a queue.

use std::time::Duration;

use crate::{Limits, numbers};

/// The pollers of one event source mapping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pollers {
    initial: f64,
    growth: f64,
    max: f64,
    /// In provisioned mode.
    polls_a_second: Option<f64>,
}

impl Pollers {
    /// Of a mapping with this `MaximumConcurrency`, which is scaled already if the limits are.
    pub fn new(limits: &Limits, maximum_concurrency: Option<f64>) -> Self {
        let max = maximum_concurrency.unwrap_or(limits.queue_pollers_max).min(limits.queue_pollers_max).max(1.0);
        Self { initial: limits.queue_pollers, growth: limits.queue_pollers_growth, max, polls_a_second: None }
    }

    /// Of a mapping in provisioned mode with this many pollers, no fewer and no more.
    pub fn provisioned(pollers: u32) -> Self {
        let pollers = f64::from(pollers);
        let batches = pollers * numbers::SQS_POLLER_BATCHES.value;
        let polls_a_second = Some(pollers * numbers::SQS_POLLER_POLLS.value);
        Self { initial: batches, growth: 0.0, max: batches, polls_a_second }
    }

    /// The shortest time between two polls of the queue, if there is one.
    pub fn poll_interval(&self) -> Option<Duration> {
        self.polls_a_second.map(|polls| Duration::from_secs_f64(1.0 / polls))
    }

    /// Batches at once, if there have been messages for this time. Rounded, because a fraction of a load has few.
    pub fn at_once(&self, busy: Duration) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most some thousands")]
        let batches = (self.initial + self.growth * busy.as_secs_f64() / 60.0).round().min(self.max).max(1.0) as u32;
        batches
    }
}

/// What the messages in flight of a standard queue do to those that wait: all that were received, and neither deleted
/// nor visible again. A message whose visibility timeout was made longer is in flight for so long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InFlightRules {
    noisy_in_flight: f64,
    in_flight_max: f64,
}

impl InFlightRules {
    /// Within these limits.
    pub fn new(limits: &Limits) -> Self {
        Self { noisy_in_flight: limits.noisy_in_flight, in_flight_max: limits.queue_in_flight }
    }

    /// Whether a message group has so much in flight that the messages of others come first.
    pub fn is_noisy(&self, in_flight_of_group: u64, in_flight: u64) -> bool {
        let (of_group, all) = (as_number(in_flight_of_group), as_number(in_flight));
        of_group >= self.noisy_in_flight && of_group > numbers::NOISY_SHARE.value * all
    }

    /// Whether nothing more is received until something is no longer in flight.
    pub fn is_full(&self, in_flight: u64) -> bool {
        as_number(in_flight) >= self.in_flight_max
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most 120 000 messages are in flight")]
fn as_number(messages: u64) -> f64 {
    messages as f64
}

impl Default for InFlightRules {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambda_begins_with_five_batches_and_adds_300_a_minute() {
        let pollers = Pollers::new(&Limits::new_account(), None);
        let at = |seconds| pollers.at_once(Duration::from_secs(seconds));
        assert_eq!([at(0), at(60), at(120), at(6000)], [5, 305, 605, 1250]);
        assert_eq!(Pollers::new(&Limits::new_account(), Some(50.0)).at_once(Duration::from_secs(60)), 50);
    }

    #[test]
    fn a_provisioned_poller_has_ten_batches_at_once_and_polls_ten_times_a_second() {
        let pollers = Pollers::provisioned(20);
        assert_eq!([0, 60].map(|seconds| pollers.at_once(Duration::from_secs(seconds))), [200, 200]);
        assert_eq!(pollers.poll_interval(), Some(Duration::from_millis(5)));
        assert_eq!(Pollers::new(&Limits::new_account(), None).poll_interval(), None);
    }

    #[test]
    fn a_queue_gives_out_nothing_while_120000_messages_are_in_flight() {
        let queue = InFlightRules::default();
        assert!(!queue.is_full(119_999) && queue.is_full(120_000));
        assert!(InFlightRules::new(&Limits::new_account().scaled(0.01, 1)).is_full(1200));
    }

    #[test]
    fn a_group_is_noisy_with_30_messages_and_a_tenth_of_all_in_flight() {
        let queue = InFlightRules::default();
        assert!(!queue.is_noisy(29, 29));
        assert!(queue.is_noisy(30, 30));
        assert!(!queue.is_noisy(30, 300));
        assert!(queue.is_noisy(31, 300));
        let tenth = InFlightRules::new(&Limits::new_account().scaled(0.1, 1));
        assert!(!tenth.is_noisy(2, 2) && tenth.is_noisy(3, 3));
    }
}
